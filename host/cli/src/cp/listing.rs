//! Recursive listings of a store or a local folder, ordered by the bytes of names.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sandbucket::Store;

use super::filter::Filter;
use super::plan::{Place, folder, missing};
use super::walk::{Links, Walk};
use crate::exit::Exit;
use crate::failure::Failure;

/// A file or blob, by its name relative to the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub size: u64,
    pub modified: Option<SystemTime>,
    /// Blobs only.
    pub etag: Option<String>,
    /// Whether it is reached through a symbolic link, and so possibly outside the folder.
    pub linked: bool,
}

#[derive(Debug)]
pub enum Listed {
    File(Found),
    /// A requested entry that is skipped.
    LeftOut(Failure),
    /// An entry that cannot be read, so that the listing is incomplete.
    Incomplete(Failure),
    /// A skipped entry that is no error.
    Note(String),
}

/// An error ends the listing.
pub type Listing = BoxStream<'static, Result<Listed, Failure>>;

/// Files listed ahead of their use.
const AHEAD: usize = 256;

/// Lists a source.
pub fn of_source(store: &Store, place: &Place, links: Links, filter: &Arc<Filter>) -> Result<Listing, Failure> {
    match place {
        Place::Store { key, .. } => Ok(blobs(store, key, filter.clone(), true)),
        Place::Local(path) => Ok(files(Walk::new(path, links, filter.clone())?)),
        Place::Stream => Err(no_folder()),
    }
}

/// Lists a target.
pub fn of_target(store: &Store, place: &Place, filter: &Arc<Filter>) -> Result<Listing, Failure> {
    match place {
        Place::Store { key, .. } => Ok(blobs(store, key, filter.clone(), false)),
        // A folder that will be created is empty.
        Place::Local(path) if is_missing(path) => Ok(futures::stream::empty().boxed()),
        Place::Local(path) => Ok(files(Walk::new(path, Links::Follow, filter.clone())?)),
        Place::Stream => Err(no_folder()),
    }
}

pub fn no_folder() -> Failure {
    Failure::new(Exit::Usage, "standard input and output are no folders")
}

fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Runs on a blocking thread, because file system calls block.
fn files(walk: Walk) -> Listing {
    let (sender, receiver) = tokio::sync::mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        for listed in walk {
            if sender.blocking_send(listed).is_err() {
                break;
            }
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|listed| (Ok(listed), receiver))
    })
    .boxed()
}

/// Lists page by page on demand. If a blob is required, an empty listing is an error.
fn blobs(store: &Store, key: &str, filter: Arc<Filter>, required: bool) -> Listing {
    let prefix = folder(key);
    let mut seen = !required || prefix.is_empty();
    let entries = store.list(&prefix).entries().map_err(Failure::from).map(Some);
    let listed = entries.chain(futures::stream::iter([None])).filter_map(move |entry| {
        let listed = match entry {
            Some(Ok(entry)) => {
                seen = true;
                match entry.key.strip_prefix(&prefix) {
                    None => Some(Err(foreign(&entry.key, &prefix))),
                    // Skips the placeholder of a folder that some programs write.
                    Some(name) if name.is_empty() || name.ends_with('/') && entry.size == 0 => None,
                    Some(name) if filter.excludes(name) => None,
                    Some(name) => Some(Ok(Listed::File(Found {
                        name: name.to_owned(),
                        size: entry.size,
                        modified: entry.last_modified,
                        etag: entry.etag,
                        linked: false,
                    }))),
                }
            }
            Some(Err(failure)) => {
                // The entry explains why there is none.
                seen = true;
                Some(Err(failure))
            }
            // A listing does not distinguish an empty folder from a missing one.
            None if !seen => {
                let hint =
                    "`sandbucket ls` lists what there is; `sandbucket cp` without --recursive copies a single blob";
                Some(Err(missing(&prefix).with_hint(hint)))
            }
            None => None,
        };
        std::future::ready(listed)
    });
    listed.boxed()
}

fn foreign(key: &str, prefix: &str) -> Failure {
    Failure::new(Exit::Failure, format!("the service listed the key {key:?} among those that begin with {prefix:?}"))
}
