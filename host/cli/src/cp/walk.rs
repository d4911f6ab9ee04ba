//! Walks the files below a folder in the order in which S3 lists keys: by the bytes of their names, with `/` between
//! folders.
//!
//! It holds the current folder and its ancestors, so memory is bounded by the depth and the largest folders of a tree. A
//! folder sorts as if its name ended in `/`: `a-b` precedes the content of `a`, and `a0` follows it.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;

use super::filter::Filter;
use super::listing::{Found, Listed};
use crate::destination::is_leftover;
use crate::exit::Exit;
use crate::failure::Failure;

/// How to treat symbolic links in a folder. The folder itself may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Links {
    /// Copy their targets, as a file or folder with the link's name
    #[default]
    Follow,
    /// Skip them, with a message for each
    Skip,
    /// Skip them, and report each as an error: the exit status is 1
    Error,
}

/// A recursive walk through a folder.
pub struct Walk {
    /// The current folder, last, and its ancestors.
    folders: Vec<Folder>,
    /// Entries before the next file.
    pending: VecDeque<Listed>,
    links: Links,
    filter: Arc<Filter>,
}

struct Folder {
    path: PathBuf,
    /// The prefix of the names of its files.
    prefix: String,
    id: Option<FileId>,
    /// Whether it is reached through a symbolic link below the root.
    linked: bool,
    /// The remaining entries, the next one last.
    children: Vec<Child>,
}

struct Child {
    /// Ends in `/` if it is a folder.
    name: String,
    is_link: bool,
}

impl Walk {
    /// Reads the folder itself; subfolders are read during the walk.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn new(folder: &Path, links: Links, filter: Arc<Filter>) -> Result<Walk, Failure> {
        let mut walk = Walk { folders: Vec::new(), pending: VecDeque::new(), links, filter };
        let id = std::fs::metadata(folder).ok().and_then(|metadata| file_id(&metadata));
        walk.enter(folder.to_owned(), String::new(), id, false).map_err(|error| unreadable(folder, &error))?;
        Ok(walk)
    }

    fn enter(&mut self, path: PathBuf, prefix: String, id: Option<FileId>, linked: bool) -> io::Result<()> {
        let mut children = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            match entry {
                Ok(entry) => children.extend(self.child(&entry, &prefix)),
                // There may be further entries that cannot be read.
                Err(error) => self.pending.push_back(Listed::Incomplete(unreadable(&path, &error))),
            }
        }
        children.sort_unstable_by(|one, other| other.name.cmp(&one.name));
        self.folders.push(Folder { path, prefix, id, linked, children });
        Ok(())
    }

    fn child(&mut self, entry: &std::fs::DirEntry, prefix: &str) -> Option<Child> {
        let path = entry.path();
        let mut name = match entry.file_name().into_string() {
            Ok(name) => name,
            Err(name) => {
                let message =
                    format!("{} has a name that is no UTF-8, which no key can have: left out", path.display());
                self.leave_out(&format!("{prefix}{}", name.to_string_lossy()), message);
                return None;
            }
        };
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => {
                self.pending.push_back(Listed::Incomplete(unreadable(&path, &error)));
                return None;
            }
        };
        let is_link = kind.is_symlink();
        match self.links {
            Links::Follow => {}
            _ if !is_link => {}
            _ if self.filter.excludes(&format!("{prefix}{name}")) => return None,
            Links::Skip => {
                let note = format!("left out {}: a symbolic link", path.display());
                self.pending.push_back(Listed::Note(note));
                return None;
            }
            Links::Error => {
                self.leave_out(&format!("{prefix}{name}"), format!("{} is a symbolic link: left out", path.display()));
                return None;
            }
        }
        // The walk reports a broken link when it reaches it.
        if kind.is_dir() || is_link && std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            name.push('/');
        }
        Some(Child { name, is_link })
    }

    fn leave_out(&mut self, name: &str, message: String) {
        if !self.filter.excludes(name) {
            self.pending.push_back(Listed::LeftOut(Failure::new(Exit::Failure, message)));
        }
    }

    fn visit(&mut self, path: PathBuf, name: String, linked: bool, is_link: bool) {
        let excluded = self.filter.excludes(&name);
        if let Some(prefix) = name.ends_with('/').then(|| name.clone()) {
            let id = std::fs::metadata(&path).ok().and_then(|metadata| file_id(&metadata));
            if id.is_some() && self.folders.iter().any(|ancestor| ancestor.id == id) {
                return self.leave_out(&name, format!("{} leads to a folder that it is in: left out", path.display()));
            }
            match self.enter(path.clone(), prefix, id, linked || is_link) {
                Err(error) if !excluded => self.pending.push_back(Listed::Incomplete(unreadable(&path, &error))),
                _ => {}
            }
            return;
        }
        if excluded {
            return;
        }
        let listed = match std::fs::metadata(&path) {
            Err(error) => Listed::LeftOut(unreadable(&path, &error)),
            Ok(metadata) if !metadata.is_file() => {
                let message = format!("{} is {}, not a file: left out", path.display(), kind(&metadata));
                Listed::LeftOut(Failure::new(Exit::Failure, message))
            }
            Ok(_) if path.file_name().is_some_and(|name| is_leftover(&name.to_string_lossy())) => {
                let message = "a temporary file of a download that was killed; delete it";
                Listed::Note(format!("left out {}: {message}", path.display()))
            }
            Ok(metadata) => {
                let (size, modified) = (metadata.len(), metadata.modified().ok());
                Listed::File(Found { name, size, modified, etag: None, linked })
            }
        };
        self.pending.push_back(listed);
    }
}

impl Iterator for Walk {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        loop {
            if let Some(listed) = self.pending.pop_front() {
                return Some(listed);
            }
            let folder = self.folders.last_mut()?;
            match folder.children.pop() {
                None => drop(self.folders.pop()),
                Some(Child { name, is_link }) => {
                    let path = folder.path.join(name.strip_suffix('/').unwrap_or(&name));
                    let (name, linked) = (format!("{}{name}", folder.prefix), folder.linked);
                    self.visit(path, name, linked, is_link);
                }
            }
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::file("reading", path, error)
}

/// Device and inode.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(metadata: &Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

/// Without inodes, a cycle of links ends at the maximum length of a path.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(walk: Walk) -> Vec<String> {
        walk.filter_map(|listed| if let Listed::File(found) = listed { Some(found.name) } else { None }).collect()
    }

    fn walk(folder: &Path) -> Walk {
        Walk::new(folder, Links::Follow, Arc::default()).unwrap()
    }

    #[test]
    fn files_are_ordered_by_their_full_names() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = [
            "a/z",
            "a/b/c",
            "a/b-c",
            "a/b0",
            "a-b",
            "a-b.d/x",
            "a.b",
            "a0",
            "A",
            "é/x",
            "é",
            "\u{1f600}",
            "\u{fffd}",
            "a/b/c.d",
        ]
        .iter()
        .filter(|name| **name != "é")
        .map(|name| (*name).to_owned())
        .collect::<Vec<_>>();
        for name in &expected {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "x").unwrap();
        }
        expected.sort();
        assert_eq!(names(walk(folder.path())), expected);
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_are_followed_and_cycles_are_skipped() {
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
        let (mut found, mut messages, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for listed in walk(folder.path()) {
            match listed {
                Listed::File(file) => found.push((file.name, file.size, file.linked)),
                Listed::LeftOut(failure) | Listed::Incomplete(failure) => messages.push(failure.message),
                Listed::Note(note) => notes.push(note),
            }
        }
        let expected =
            [("a", 1, false), ("b/c/y", 3, false), ("b/x", 2, false), ("to-file", 1, false), ("to-folder/y", 3, true)];
        assert_eq!(found, expected.map(|(name, size, linked)| (name.to_owned(), size, linked)));
        assert!(notes.len() == 1 && notes[0].contains(".sandbucket-abcdef.part"), "{notes:?}");
        messages.sort();
        for (message, expected) in
            messages.iter().zip([["round", "it is in"], ["socket", "a socket"], ["broken", "No such"]])
        {
            assert!(expected.iter().all(|word| message.contains(word)), "{message}");
        }
        assert_eq!(messages.len(), 3, "{messages:?}");
        let missing = Walk::new(&path("not there"), Links::Follow, Arc::default()).err().unwrap();
        assert!(missing.message.contains("not there"), "{}", missing.message);

        let skipping = Walk::new(folder.path(), Links::Skip, Arc::default()).unwrap();
        assert_eq!(names(skipping), ["a", "b/c/y", "b/x"]);
        let refusing = Walk::new(folder.path(), Links::Error, Arc::default()).unwrap();
        assert_eq!(refusing.filter(|listed| matches!(listed, Listed::LeftOut(_))).count(), 5);
    }
}
