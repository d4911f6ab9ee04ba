//! Source and target of a copy.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::listing::no_folder;
use super::local;
use crate::destination::{folder_of, is_folder};
use crate::exit::Exit;
use crate::failure::Failure;

/// Prefix of a location in a store, which a colon follows, or a full stop, the store's name and a colon.
const STORE: &str = "store";

/// A location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A key or a key prefix, in the store of this name; in the default one if there is none.
    Store {
        name: Option<String>,
        key: String,
    },
    Local(PathBuf),
    /// Standard input or output.
    Stream,
}

impl Place {
    pub fn read(text: &str) -> Place {
        let in_store = text.strip_prefix(STORE).and_then(|rest| match rest.strip_prefix('.') {
            None => rest.strip_prefix(':').map(Place::key),
            // A name of a file has the same form, but for the colon.
            Some(rest) => rest
                .split_once(':')
                .filter(|(name, _)| !name.is_empty() && !name.contains(std::path::is_separator))
                .map(|(name, key)| Place::Store { name: Some(name.to_owned()), key: key.to_owned() }),
        });
        match in_store {
            Some(place) => place,
            None if text == "-" => Place::Stream,
            None => Place::Local(PathBuf::from(text)),
        }
    }

    /// A key in the default store.
    pub fn key(key: &str) -> Place {
        Place::Store { name: None, key: key.to_owned() }
    }

    /// The name of its store, if it is in a store and names it.
    pub fn store_name(&self) -> Option<&str> {
        match self {
            Place::Store { name, .. } => name.as_deref(),
            Place::Local(_) | Place::Stream => None,
        }
    }

    pub fn is_in_store(&self) -> bool {
        matches!(self, Place::Store { .. })
    }

    pub fn shown(&self) -> String {
        match self {
            Place::Store { name: None, key } => format!("{STORE}:{key}"),
            Place::Store { name: Some(name), key } => format!("{STORE}.{name}:{key}"),
            Place::Local(path) => path.display().to_string(),
            Place::Stream => "-".to_owned(),
        }
    }
}

/// One file or blob to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub from: Place,
    pub to: Place,
    /// Its length, if known in advance.
    pub size: Option<u64>,
    /// Skips the copy if the existing file has the content of this ETag, and sets the file's date, so that a later listing
    /// shows it as current.
    pub unless_equal: Option<(String, SystemTime)>,
}

/// A single file or blob. It keeps its name if the target is a folder.
pub fn one(from: &Place, to: &Place) -> Result<Item, Failure> {
    let usage = |message: String| Err(Failure::new(Exit::Usage, message));
    let name = match from {
        Place::Store { key, .. } if key.is_empty() => {
            return usage("`store:` without a key means all blobs: add --recursive".to_owned());
        }
        Place::Store { key, .. } => key.rsplit('/').next().unwrap_or_default().to_owned(),
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
        Place::Store { name: store, key } if key.is_empty() || key.ends_with('/') => {
            if name.is_empty() {
                return usage(format!("{} names no blob", to.shown()));
            }
            Place::Store { name: store.clone(), key: format!("{key}{name}") }
        }
        Place::Local(path) if is_folder(path) => Place::Local(local::inside(path, &name)?),
        to => to.clone(),
    };
    let size = match from {
        // The length of a FIFO or a device is unknown.
        Place::Local(path) => {
            std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
        }
        _ => None,
    };
    Ok(Item { from: from.clone(), to, size, unless_equal: None })
}

/// The key prefix of a folder.
pub fn folder(key: &str) -> String {
    if key.is_empty() || key.ends_with('/') { key.to_owned() } else { format!("{key}/") }
}

/// The location of this name in a folder.
pub fn place(folder_: &Place, name: &str) -> Result<Place, Failure> {
    match folder_ {
        Place::Store { name: store, key } => {
            Ok(Place::Store { name: store.clone(), key: format!("{}{name}", folder(key)) })
        }
        Place::Local(path) => Ok(Place::Local(local::inside(path, name)?)),
        Place::Stream => Err(no_folder()),
    }
}

/// The file for a blob: if the path is a folder, the blob keeps its name in it.
pub fn file(key: &str, path: &Path) -> Result<PathBuf, Failure> {
    if is_folder(path) { local::inside(path, key.rsplit('/').next().unwrap_or_default()) } else { Ok(path.to_owned()) }
}

/// Creates the parent folder of a file.
pub fn make_folder(file: &Path) -> Result<(), Failure> {
    let folder = folder_of(file);
    std::fs::create_dir_all(folder).map_err(|error| Failure::file("creating the folder", folder, &error))
}

/// The error for a prefix without blobs.
pub fn missing(prefix: &str) -> Failure {
    Failure::new(Exit::Failure, format!("no blob has a key that begins with {prefix:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_in_a_store_may_name_the_store() {
        let named = |name: &str, key: &str| Place::Store { name: Some(name.to_owned()), key: key.to_owned() };
        for (text, place) in [
            ("store:a/b:c", Place::key("a/b:c")),
            ("store.archive:a/b:c", named("archive", "a/b:c")),
            ("store.eu.archive:", named("eu.archive", "")),
        ] {
            assert_eq!(Place::read(text), place);
            assert_eq!(place.shown(), text);
        }
        for local in ["store", "store.txt", "store.:a", "store.d/a:b", "stores:a", "./store:a", "storea:b"] {
            assert_eq!(Place::read(local), Place::Local(local.into()), "{local}");
        }
        let to = one(&named("a", "x/y"), &named("b", "z/")).unwrap().to;
        assert_eq!(to, named("b", "z/y"));
        assert_eq!(place(&named("b", "z"), "y").unwrap(), named("b", "z/y"));
    }

    #[test]
    fn single_blob_keeps_its_name_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        std::fs::write(&file, "12345").unwrap();
        let (file, folder) = (Place::Local(file), Place::Local(folder.path().to_owned()));
        let store = Place::key;
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
}
