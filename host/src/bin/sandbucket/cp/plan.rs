//! What is to be copied, and where to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures::TryStreamExt;
use sandbucket::Store;

use super::local::{self, Found, Walk};
use crate::destination::{folder_of, is_folder};
use crate::exit::Exit;
use crate::failure::Failure;

/// Marks a place in the store.
const STORE: &str = "store:";

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A key, or what keys begin with.
    Store(String),
    Local(PathBuf),
    /// Standard input or output.
    Stream,
}

impl Place {
    pub fn read(text: &str) -> Place {
        match text.strip_prefix(STORE) {
            Some(key) => Place::Store(key.to_owned()),
            None if text == "-" => Place::Stream,
            None => Place::Local(PathBuf::from(text)),
        }
    }

    pub fn shown(&self) -> String {
        match self {
            Place::Store(key) => format!("{STORE}{key}"),
            Place::Local(path) => path.display().to_string(),
            Place::Stream => "-".to_owned(),
        }
    }
}

/// One thing to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub from: Place,
    pub to: Place,
    /// Its length, where it is known before.
    pub size: Option<u64>,
}

/// All that is to be copied.
#[derive(Debug, Default)]
pub struct Plan {
    pub items: Vec<Item>,
    /// What cannot be copied.
    pub failures: Vec<Failure>,
    /// Temporary files of downloads that were killed, which are left out.
    pub leftovers: Vec<PathBuf>,
}

/// A single file or blob. Where the target is a folder, it keeps its name.
pub fn one(from: &Place, to: &Place) -> Result<Item, Failure> {
    let usage = |message: String| Err(Failure::new(Exit::Usage, message));
    let name = match from {
        Place::Store(key) if key.is_empty() => {
            return usage("store: alone is all there is: add --recursive".to_owned());
        }
        Place::Store(key) => key.rsplit('/').next().unwrap_or_default().to_owned(),
        Place::Local(path) if path.is_dir() => {
            return usage(format!("{} is a folder: add --recursive", path.display()));
        }
        Place::Local(path) => match path.file_name().map(|name| name.to_str()) {
            Some(Some(name)) => name.to_owned(),
            _ => return usage(format!("{} is no name that a key can have", path.display())),
        },
        Place::Stream => String::new(),
    };
    let to = match to {
        Place::Store(key) if key.is_empty() || key.ends_with('/') => {
            if name.is_empty() {
                return usage(format!("{STORE}{key} names no blob"));
            }
            Place::Store(format!("{key}{name}"))
        }
        Place::Local(path) if is_folder(path) => Place::Local(local::inside(path, &name)?),
        to => to.clone(),
    };
    let size = match from {
        // Of a FIFO or a device it says nothing.
        Place::Local(path) => {
            std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
        }
        _ => None,
    };
    Ok(Item { from: from.clone(), to, size })
}

/// All that is in a folder and below, and what of it cannot be copied.
///
/// # Errors
/// The source cannot be read or listed; no key begins with its prefix.
pub async fn several(source: &Store, target: &Store, from: &Place, to: &Place, newer: bool) -> Result<Plan, Failure> {
    let mut failures = Vec::new();
    let (found, leftovers) = match found(source, from, &mut failures).await? {
        // A target that is not there yet is none.
        Contents { exists: false, .. } => {
            let Place::Store(key) = from else { unreachable!("a folder that is missing is an error") };
            let hint = "for a single blob, leave out --recursive; `sandbucket ls` lists what there is";
            return Err(missing(&folder(key)).with_hint(hint));
        }
        contents => (contents.found, contents.leftovers),
    };
    // Nothing is in a folder that is still to be made.
    let is_there = !matches!(to, Place::Local(path) if !path.exists());
    let there: HashMap<String, Found> = if newer && is_there {
        // What cannot be looked at there cannot be in the way either.
        let there = self::found(target, to, &mut Vec::new()).await?;
        there.found.into_iter().map(|found| (found.name.clone(), found)).collect()
    } else {
        HashMap::new()
    };
    let mut items = Vec::new();
    for one in found {
        if there.get(&one.name).is_some_and(|there| is_current(&one, there)) {
            continue;
        }
        match (place(from, &one.name), place(to, &one.name)) {
            (Ok(from), Ok(to)) => items.push(Item { from, to, size: Some(one.size) }),
            (Err(failure), _) | (_, Err(failure)) => failures.push(failure),
        }
    }
    Ok(Plan { items, failures, leftovers })
}

/// Whether what is there need not be copied again. Services tell whole seconds, so these are compared.
fn is_current(one: &Found, there: &Found) -> bool {
    let second = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let older = match (one.modified, there.modified) {
        (Some(ours), Some(theirs)) => second(ours) <= second(theirs),
        _ => false,
    };
    one.size == there.size && older
}

/// What is in a folder and below.
struct Contents {
    found: Vec<Found>,
    /// Whether there is anything at all; a listing does not tell an empty folder from a missing one.
    exists: bool,
    leftovers: Vec<PathBuf>,
}

async fn found(store: &Store, place: &Place, failures: &mut Vec<Failure>) -> Result<Contents, Failure> {
    match place {
        Place::Store(key) => {
            let prefix = folder(key);
            let mut entries = store.list(&prefix).entries();
            let mut contents = Contents { found: Vec::new(), exists: prefix.is_empty(), leftovers: Vec::new() };
            while let Some(entry) = entries.try_next().await? {
                contents.exists = true;
                let name = &entry.key[prefix.len()..];
                // What stands for a folder, as some programs write it, is nothing in it.
                if !name.is_empty() && (!name.ends_with('/') || entry.size > 0) {
                    let name = name.to_owned();
                    contents.found.push(Found { name, size: entry.size, modified: entry.last_modified });
                }
            }
            Ok(contents)
        }
        Place::Local(path) => {
            let Walk { found, leftovers } = tokio::task::block_in_place(|| local::walk(path, failures))?;
            Ok(Contents { found, exists: true, leftovers })
        }
        Place::Stream => Err(Failure::new(Exit::Usage, "standard input and output are no folders")),
    }
}

/// What the keys in a folder begin with.
pub fn folder(key: &str) -> String {
    if key.is_empty() || key.ends_with('/') { key.to_owned() } else { format!("{key}/") }
}

/// Where something of this name is in a folder.
fn place(folder_: &Place, name: &str) -> Result<Place, Failure> {
    match folder_ {
        Place::Store(key) => Ok(Place::Store(format!("{}{name}", folder(key)))),
        Place::Local(path) => Ok(Place::Local(local::inside(path, name)?)),
        Place::Stream => Err(Failure::new(Exit::Usage, "standard input and output are no folders")),
    }
}

/// The file that a blob goes to: where the path is a folder, the blob keeps its name in it.
pub fn file(key: &str, path: &Path) -> Result<PathBuf, Failure> {
    if is_folder(path) { local::inside(path, key.rsplit('/').next().unwrap_or_default()) } else { Ok(path.to_owned()) }
}

/// Creates the folder that a file is to be in.
pub fn make_folder(file: &Path) -> Result<(), Failure> {
    let folder = folder_of(file);
    std::fs::create_dir_all(folder).map_err(|error| Failure::file("creating the folder", folder, &error))
}

/// Nothing is where all of something was asked for.
pub fn missing(prefix: &str) -> Failure {
    Failure::new(Exit::Failure, format!("no blob has a key that begins with {prefix:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_single_one_keeps_its_name_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        std::fs::write(&file, "12345").unwrap();
        let (file, folder) = (Place::Local(file), Place::Local(folder.path().to_owned()));
        let store = |key: &str| Place::Store(key.to_owned());
        let to = |from: &Place, to: &Place| one(from, to).map(|item| item.to);
        assert_eq!(to(&file, &store("x/")).unwrap(), store("x/a.txt"));
        assert_eq!(to(&file, &store("")).unwrap(), store("a.txt"));
        assert_eq!(to(&file, &store("x")).unwrap(), store("x"));
        assert_eq!(one(&file, &store("x")).unwrap().size, Some(5));
        assert_eq!(to(&store("x/a.txt"), &folder).unwrap(), file);
        assert_eq!(to(&store("x/a"), &store("y/")).unwrap(), store("y/a"));
        assert!(to(&folder, &store("x")).is_err() && to(&store(""), &folder).is_err());
        assert!(to(&Place::Stream, &store("x/")).is_err());
        assert!(to(&store("x/.."), &folder).is_err());
    }

    #[test]
    fn what_is_there_and_as_new_is_left() {
        let at = |size, seconds| Found {
            name: "a".to_owned(),
            size,
            modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        };
        assert!(is_current(&at(1, 5), &at(1, 5)) && is_current(&at(1, 5), &at(1, 6)));
        assert!(!is_current(&at(1, 7), &at(1, 6)) && !is_current(&at(2, 5), &at(1, 6)));
        assert!(!is_current(&Found { modified: None, ..at(1, 5) }, &at(1, 6)));
    }
}
