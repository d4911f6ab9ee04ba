//! Files: what is in a folder, and what may be written into one.

use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::destination::is_leftover;
use crate::exit::Exit;
use crate::failure::Failure;

/// What is known of one of many, by its name below the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub size: u64,
    pub modified: Option<SystemTime>,
}

/// What is in a folder and below.
#[derive(Debug, Default)]
pub struct Walk {
    /// By their names, with `/` between folders, in order.
    pub found: Vec<Found>,
    /// Temporary files of downloads that were killed.
    pub leftovers: Vec<PathBuf>,
}

/// A folder yet to be read, and those that it is in.
struct Folder {
    path: PathBuf,
    prefix: String,
    id: Option<FileId>,
    parent: Option<Arc<Folder>>,
}

/// All files in a folder and below. Symbolic links are followed. What cannot be copied is a failure of its own: what cannot be
/// read, FIFOs, sockets and devices, and links to a folder that they are in.
///
/// # Errors
/// That the folder itself cannot be read.
pub fn walk(folder: &Path, failures: &mut Vec<Failure>) -> Result<Walk, Failure> {
    let failed = |path: &Path, error: &io::Error| Failure::file("reading", path, error);
    std::fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    let id = std::fs::metadata(folder).ok().and_then(|metadata| file_id(&metadata));
    let mut walk = Walk::default();
    let mut folders = vec![Folder { path: folder.to_owned(), prefix: String::new(), id, parent: None }];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder.path) {
            Ok(entries) => entries,
            Err(error) => {
                failures.push(failed(&folder.path, &error));
                continue;
            }
        };
        let folder = Arc::new(folder);
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    failures.push(failed(&folder.path, &error));
                    continue;
                }
            };
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                let message = format!("{} has a name that is no UTF-8, which no key can have", path.display());
                failures.push(Failure::new(Exit::Failure, message));
                continue;
            };
            let metadata = match std::fs::metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) => {
                    failures.push(failed(&path, &error));
                    continue;
                }
            };
            if metadata.is_dir() {
                let id = file_id(&metadata);
                if id.is_some() && ancestors(&folder).any(|ancestor| ancestor.id == id) {
                    let message = format!("{} leads to a folder that it is in: left out", path.display());
                    failures.push(Failure::new(Exit::Failure, message));
                    continue;
                }
                let prefix = format!("{}{name}/", folder.prefix);
                folders.push(Folder { path, prefix, id, parent: Some(folder.clone()) });
            } else if !metadata.is_file() {
                let message = format!("{} is {}, not a file: left out", path.display(), kind(&metadata));
                failures.push(Failure::new(Exit::Failure, message));
            } else if is_leftover(&name) {
                walk.leftovers.push(path);
            } else {
                let name = format!("{}{name}", folder.prefix);
                walk.found.push(Found { name, size: metadata.len(), modified: metadata.modified().ok() });
            }
        }
    }
    walk.found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(walk)
}

fn ancestors(folder: &Arc<Folder>) -> impl Iterator<Item = &Arc<Folder>> {
    std::iter::successors(Some(folder), |folder| folder.parent.as_ref())
}

/// Device and inode.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(metadata: &Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

/// Where there are none, a circle of links ends at the longest path that the system takes.
#[cfg(not(unix))]
fn file_id(_: &Metadata) -> Option<FileId> {
    None
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind(_: &Metadata) -> &'static str {
    "a device"
}

/// What no file name has: on Windows, `\` is between folders and `:` follows a drive.
const FORBIDDEN: &[char] = if cfg!(windows) { &['\0', '\\', ':'] } else { &['\0'] };

/// The file of this name in the folder: never one outside it, whatever a key looks like.
pub fn inside(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let plain = |segment: &str| {
        let mut components = Path::new(segment).components();
        let one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
        one && !segment.contains(FORBIDDEN)
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
        for evil in ["", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", "./a", "a/.", "a\0b"] {
            assert!(inside(folder, evil).is_err(), "{evil:?}");
        }
        for foreign in ["a\\..\\b", "C:\\a", "2024-01-01T12:30:00.log"] {
            assert_eq!(inside(folder, foreign).is_err(), cfg!(windows), "{foreign:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_are_followed_and_cycles_are_failures() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("b/c")).unwrap();
        for (name, text) in [("a", "1"), ("b/x", "22"), ("b/c/y", "333"), ("b/.sandbucket-abcdef.part", "half")] {
            std::fs::write(path(name), text).unwrap();
        }
        symlink(path("a"), path("to-file")).unwrap();
        symlink("b/c", path("to-folder")).unwrap();
        symlink(folder.path(), path("b/round")).unwrap();
        symlink(path("nowhere"), path("broken")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("b/socket")).unwrap();
        let mut failures = Vec::new();
        let walked = walk(folder.path(), &mut failures).unwrap();
        let found: Vec<_> = walked.found.iter().map(|found| (found.name.as_str(), found.size)).collect();
        assert_eq!(found, [("a", 1), ("b/c/y", 3), ("b/x", 2), ("to-file", 1), ("to-folder/y", 3)]);
        assert_eq!(walked.leftovers, [path("b/.sandbucket-abcdef.part")]);
        let mut messages: Vec<_> = failures.into_iter().map(|failure| failure.message).collect();
        messages.sort();
        for (message, expected) in
            messages.iter().zip([["round", "it is in"], ["socket", "a socket"], ["broken", "No such"]])
        {
            assert!(expected.iter().all(|word| message.contains(word)), "{message}");
        }
        assert_eq!(messages.len(), 3, "{messages:?}");
        let missing = walk(&path("not there"), &mut Vec::new()).unwrap_err();
        assert!(missing.message.contains("not there"), "{}", missing.message);
    }
}
