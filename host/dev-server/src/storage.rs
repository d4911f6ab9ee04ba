//! The server's folder. Nothing outside of it is read, written or deleted, whatever is in it.
//!
//! Folders and files are opened relative to the folder above them, one name at a time, and no symbolic link is followed:
//! `cap-std` does so without a gap between a check and a use. What is neither a regular file nor a folder (a link, a FIFO,
//! a socket, a device) is not there as far as reads, lists and deletions go; a write replaces it, and not what it leads to.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, OpenOptions};

/// What the names of files begin and end with that are still being written.
const TEMPORARY: (&str, &str) = (".tmp.", ".part");

/// A folder that a server keeps everything in.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    root: Arc<Dir>,
    /// How many temporary files there were.
    temporary: Arc<AtomicU64>,
}

impl Storage {
    /// Opens the folder, which may itself be reached through links: whoever starts the server chose it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let root = Dir::open_ambient_dir(folder, cap_std::ambient_authority())?;
        // Of a server that ended before.
        for entry in root.entries()?.flatten() {
            let name = entry.file_name();
            let left = name.to_str().is_some_and(|name| name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1));
            if left && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                root.remove_file(&name)?;
            }
        }
        Ok(Storage { root: Arc::new(root), temporary: Arc::default() })
    }

    pub fn root(&self) -> &Dir {
        &self.root
    }

    /// The folder of this path.
    pub fn folder(&self, path: &[&str]) -> io::Result<Dir> {
        let mut folder = self.root.try_clone()?;
        for name in path {
            folder = folder.open_dir_nofollow(single(name)?)?;
        }
        Ok(folder)
    }

    /// The same, which is made where it is missing.
    pub fn make_folder(&self, path: &[&str]) -> io::Result<Dir> {
        let mut folder = self.root.try_clone()?;
        for name in path {
            match folder.create_dir(single(name)?) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => folder = folder.open_dir_nofollow(name)?,
            }
        }
        Ok(folder)
    }

    /// A new file, which is gone unless it is kept.
    pub fn temporary(&self) -> io::Result<Temporary> {
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

    /// Writes a file whole, in place of what is there.
    pub fn write(&self, folder: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
        let mut temporary = self.temporary()?;
        temporary.file.write_all(content)?;
        temporary.keep(folder, name)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Temporary {
    root: Arc<Dir>,
    /// Empty once it is kept.
    name: String,
    pub file: File,
}

impl Temporary {
    /// Gives it its name in this folder, in place of what is there: a link itself, and not what it leads to.
    pub fn keep(mut self, folder: &Dir, name: &str) -> io::Result<()> {
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

/// Whether a regular file of this name is there.
pub(super) fn is_file(folder: &Dir, name: &str) -> bool {
    single(name).and_then(|name| folder.symlink_metadata(name)).is_ok_and(|metadata| metadata.is_file())
}

/// Opens a regular file for reading; what else there is of that name is not found.
pub(super) fn open(folder: &Dir, name: &str) -> io::Result<File> {
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    // A device is better not opened at all. What takes the file's place after this is seen to below.
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

/// All of a regular file, if it has no more bytes than that.
pub(super) fn read(folder: &Dir, name: &str, longest: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(folder, name)?.take(longest.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > longest {
        return Err(io::Error::other(format!("{name} has more than {longest} bytes")));
    }
    Ok(content)
}

/// Removes a regular file, if there is one of this name. What takes its place meanwhile is removed itself, and not what it
/// leads to.
pub(super) fn remove(folder: &Dir, name: &str) -> io::Result<()> {
    if !is_file(folder, name) {
        return Ok(());
    }
    match folder.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name, if it is one: `cap-std` would follow links within the folder that are in the middle of a path.
fn single(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is not the name of one file")));
    }
    Ok(name)
}
