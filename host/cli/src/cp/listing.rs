//! What is in a folder and below, at a store or on this machine: one after the other, in the order of their names' bytes.

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

/// A file or blob, by its name below the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub size: u64,
    pub modified: Option<SystemTime>,
    /// Of blobs.
    pub etag: Option<String>,
    /// Whether it is in a folder to which a symbolic link leads, and so perhaps not below the folder at all.
    pub linked: bool,
}

#[derive(Debug)]
pub enum Listed {
    File(Found),
    /// What is left out although it was asked for.
    LeftOut(Failure),
    /// What cannot be read, so that there may be more than shows.
    Incomplete(Failure),
    /// What is left out, and no failure.
    Note(String),
}

/// After an error nothing more comes.
pub type Listing = BoxStream<'static, Result<Listed, Failure>>;

/// How many files are listed ahead of what is done with them.
const AHEAD: usize = 256;

/// What is copied from here.
pub fn of_source(store: &Store, place: &Place, links: Links, filter: &Arc<Filter>) -> Result<Listing, Failure> {
    match place {
        Place::Store(key) => Ok(blobs(store, key, filter.clone(), true)),
        Place::Local(path) => Ok(files(Walk::new(path, links, filter.clone())?)),
        Place::Stream => Err(no_folder()),
    }
}

/// What is there already.
pub fn of_target(store: &Store, place: &Place, filter: &Arc<Filter>) -> Result<Listing, Failure> {
    match place {
        Place::Store(key) => Ok(blobs(store, key, filter.clone(), false)),
        // Nothing is in a folder that is still to be made.
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

/// On a thread of its own, since files are looked at with calls that block.
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

/// Page by page, as they are taken. Where there must be some, it is an error that there is none.
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
                    // What stands for a folder, as some programs write it, is nothing in it.
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
                // This is why there is none.
                seen = true;
                Some(Err(failure))
            }
            // A listing does not tell an empty folder from a missing one.
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
