//! The server's folder. Nothing outside it is read, written or deleted, whatever it contains.
//!
//! Folders and files are opened relative to their parent folder, one name at a time, without following symbolic links:
//! `cap-std` does so without a race between check and use. Everything other than regular files and folders (links, FIFOs,
//! sockets, devices) is invisible to reads, listings and deletions; a write replaces it, and not its target.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, OpenOptions};

/// Prefix and suffix of the names of incomplete files.
const TEMPORARY: (&str, &str) = (".tmp.", ".part");

/// The folder with all of a server's files.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    root: Arc<Dir>,
    /// The number of temporary files so far.
    temporary: Arc<AtomicU64>,
}

impl Storage {
    /// Opens the folder, whose own path may contain links: the user of the server chose it.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let root = Dir::open_ambient_dir(folder, cap_std::ambient_authority())?;
        // Leftovers of an earlier server.
        for entry in root.entries()?.flatten() {
            let name = entry.file_name();
            let left = name.to_str().is_some_and(|name| name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1));
            if left && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                root.remove_file(&name)?;
            }
        }
        Ok(Storage { root: Arc::new(root), temporary: Arc::default() })
    }

    pub(crate) fn root(&self) -> &Dir {
        &self.root
    }

    /// Opens the folder at this path.
    pub(crate) fn folder(&self, path: &[&str]) -> io::Result<Dir> {
        let mut folder = self.root.try_clone()?;
        for name in path {
            folder = folder.open_dir_nofollow(single(name)?)?;
        }
        Ok(folder)
    }

    /// The same, created if missing.
    pub(crate) fn make_folder(&self, path: &[&str]) -> io::Result<Dir> {
        let mut folder = self.root.try_clone()?;
        for name in path {
            match folder.create_dir(single(name)?) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => folder = folder.open_dir_nofollow(name)?,
            }
        }
        Ok(folder)
    }

    /// Creates a temporary file, deleted on drop unless kept.
    pub(crate) fn temporary(&self) -> io::Result<Temporary> {
        let (before, after) = TEMPORARY;
        loop {
            let number = self.temporary.fetch_add(1, Ordering::Relaxed);
            let name = format!("{before}{}.{number}{after}", std::process::id());
            match self.root.open_with(&name, OpenOptions::new().read(true).write(true).create_new(true)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return Ok(Temporary { root: self.root.clone(), name, file: opened?.into_std() }),
            }
        }
    }

    /// Replaces a file atomically.
    pub(crate) fn write(&self, folder: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
        let mut temporary = self.temporary()?;
        temporary.file.write_all(content)?;
        temporary.keep(folder, name)
    }
}

/// A temporary file.
#[derive(Debug)]
pub(super) struct Temporary {
    root: Arc<Dir>,
    /// Empty once it is kept.
    name: String,
    pub file: File,
}

impl Temporary {
    /// Renames it into this folder, replacing what exists: a link itself, and not its target.
    pub(crate) fn keep(mut self, folder: &Dir, name: &str) -> io::Result<()> {
        self.root.rename(&self.name, folder, single(name)?)?;
        self.name.clear();
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            let _ = self.root.remove_file(&self.name);
        }
    }
}

/// Whether there is a regular file of this name.
pub(super) fn is_file(folder: &Dir, name: &str) -> bool {
    single(name).and_then(|name| folder.symlink_metadata(name)).is_ok_and(|metadata| metadata.is_file())
}

/// Opens a regular file for reading; anything else of that name is not found.
pub(super) fn open(folder: &Dir, name: &str) -> io::Result<File> {
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    // Opening a device can have side effects. Whatever replaces the file afterwards is detected below.
    if !is_file(folder, name) {
        return Err(absent());
    }
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    match folder.open_with(name, &options) {
        Ok(file) if file.metadata()?.is_file() => Ok(file.into_std()),
        Err(error) if is_file(folder, name) => Err(error),
        _ => Err(absent()),
    }
}

/// Reads a regular file up to a maximum size.
pub(super) fn read(folder: &Dir, name: &str, longest: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(folder, name)?.take(longest.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > longest {
        return Err(io::Error::other(format!("{name} has more than {longest} bytes")));
    }
    Ok(content)
}

/// Deletes a regular file, if there is one of this name. What replaces it in the meantime is deleted itself, and not its
/// target.
pub(super) fn remove(folder: &Dir, name: &str) -> io::Result<()> {
    if !is_file(folder, name) {
        return Ok(());
    }
    match folder.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Checks that this is a single name: `cap-std` follows links within the folder in the middle of a path.
fn single(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is not the name of one file")));
    }
    Ok(name)
}
