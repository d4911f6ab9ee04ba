//! Files: what is in a folder, and what may be written into one.

use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::exit::Exit;
use crate::failure::Failure;

/// What is known of one of many, by its name below the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub size: u64,
    pub modified: Option<SystemTime>,
}

/// All files in a folder and below, by their names with `/` between folders. Links to files are followed; links to
/// folders are left out, as they may lead round in a circle or elsewhere. What cannot be read below the folder is a
/// failure of its own.
///
/// # Errors
/// That the folder itself cannot be read.
pub fn walk(folder: &Path, failures: &mut Vec<Failure>) -> Result<Vec<Found>, Failure> {
    std::fs::read_dir(folder).map_err(|error| Failure::file("reading", folder, &error))?;
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                failures.push(Failure::file("reading", &folder, &error));
                continue;
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    failures.push(Failure::file("reading", &folder, &error));
                    continue;
                }
            };
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                let message = format!("{} has a name that is no UTF-8, which no key can have", path.display());
                failures.push(Failure::new(Exit::Failure, message));
                continue;
            };
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && !is_link => folders.push((path, format!("{prefix}{name}/"))),
                Ok(metadata) if metadata.is_file() => found.push(Found {
                    name: format!("{prefix}{name}"),
                    size: metadata.len(),
                    modified: metadata.modified().ok(),
                }),
                Ok(_) => {}
                Err(error) => failures.push(Failure::file("reading", &path, &error)),
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The file of this name in the folder: never one outside it, whatever a key looks like.
pub fn inside(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let plain = |segment: &str| {
        let mut components = Path::new(segment).components();
        let one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
        // What another system would take for a folder or a drive is none here either.
        one && !segment.contains(['\\', '\0', ':'])
    };
    if name.split('/').all(plain) {
        return Ok(folder.join(name));
    }
    let message = format!("{name:?} cannot be a file below {}", folder.display());
    Err(Failure::new(Exit::Failure, message).with_hint("`sandbucket get` writes it to a file of any name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let folder = Path::new("/tmp/x");
        assert_eq!(inside(folder, "a/b c/é.txt").unwrap(), Path::new("/tmp/x/a/b c/é.txt"));
        for evil in
            ["", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", "./a", "a/.", "a\\..\\b", "C:\\a", "a\0b"]
        {
            assert!(inside(folder, evil).is_err(), "{evil:?}");
        }
    }

    #[test]
    fn files_are_found_and_folders_behind_links_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("b/c")).unwrap();
        for (name, text) in [("a", "1"), ("b/x", "22"), ("b/c/y", "333")] {
            std::fs::write(path(name), text).unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("a"), path("to-file")).unwrap();
            std::os::unix::fs::symlink(folder.path(), path("b/round")).unwrap();
            std::os::unix::fs::symlink(path("nowhere"), path("broken")).unwrap();
        }
        let mut failures = Vec::new();
        let found = walk(folder.path(), &mut failures).unwrap();
        let told: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.size)).collect();
        #[cfg(unix)]
        assert_eq!((told, failures.len()), (vec![("a", 1), ("b/c/y", 3), ("b/x", 2), ("to-file", 1)], 1));
        let missing = walk(&path("not there"), &mut failures).unwrap_err();
        assert!(missing.message.contains("not there"), "{}", missing.message);
    }
}
