//! The destination of a download: a regular file appears when it is complete; anything else is written into.
//!
//! A FIFO, a device, standard output and an open descriptor (`/dev/stdout`, `/dev/fd/N`, `>(...)`) are never replaced.
//! Symbolic links are followed: their targets are written, and the links remain.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, Stdout};

use crate::failure::Failure;
use crate::output::stdout_failed;
use crate::standard;

/// Names of temporary files: this prefix, six letters or digits, and `SUFFIX`.
const PREFIX: &str = ".sandbucket-";
const SUFFIX: &str = ".part";
const RANDOM: usize = 6;

/// An open destination. Dropped before `finish`, it leaves a regular file unchanged.
pub struct Destination {
    /// tokio's file, so that a blocked write, for example to a pipe, can be abandoned.
    into: Into,
    half: Option<PartialFile>,
    /// The user's name for it; `None` for standard output.
    name: Option<PathBuf>,
}

enum Into {
    Stdout(Stdout),
    File(File),
}

/// A temporary file in the folder of the final one.
struct PartialFile {
    path: TempPath,
    target: PathBuf,
}

impl Destination {
    pub fn stdout() -> Result<Self, Failure> {
        standard::output()?;
        Ok(Destination { into: Into::Stdout(tokio::io::stdout()), half: None, name: None })
    }

    /// Opens this file; waits for a reader of a FIFO.
    pub async fn open(file: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::file("writing", file, &error);
        let name = Some(file.to_owned());
        match resolve(file).map_err(failed)? {
            Target::Regular(target) => {
                let (opened, path) = beside(&target).map_err(failed)?.into_parts();
                Ok(Destination { into: Into::File(opened.into()), half: Some(PartialFile { path, target }), name })
            }
            Target::Stdout => {
                standard::output()?;
                Ok(Destination { into: Into::Stdout(tokio::io::stdout()), half: None, name })
            }
            Target::Special { append } => {
                let opened = tokio::fs::OpenOptions::new().write(true).append(append).open(file).await;
                Ok(Destination { into: Into::File(opened.map_err(failed)?), half: None, name })
            }
        }
    }

    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.into {
            Into::Stdout(stdout) => stdout.write_all(chunk).await,
            Into::File(file) => file.write_all(chunk).await,
        };
        written.map_err(|error| self.failed(error))
    }

    /// Flushes, and moves a regular file into its place, with this modification time; with `sync`, after it is on the disk.
    pub async fn finish(mut self, modified: Option<SystemTime>, sync: bool) -> Result<(), Failure> {
        let flushed = match &mut self.into {
            Into::Stdout(stdout) => stdout.flush().await,
            Into::File(file) => match file.flush().await {
                Ok(()) if self.half.is_some() => settle(file, modified, sync).await,
                flushed => flushed,
            },
        };
        flushed.map_err(|error| self.failed(error))?;
        match self.half.take() {
            Some(PartialFile { path, target }) => path.persist(target).map_err(|error| self.failed(error.error)),
            None => Ok(()),
        }
    }

    fn failed(&self, error: io::Error) -> Failure {
        match &self.name {
            Some(file) if error.kind() != io::ErrorKind::BrokenPipe => Failure::file("writing", file, &error),
            _ => stdout_failed(error),
        }
    }
}

async fn settle(file: &mut File, modified: Option<SystemTime>, sync: bool) -> io::Result<()> {
    // A date that the file system rejects does not fail the download.
    if let (Some(modified), Ok(file)) = (modified, file.try_clone().await) {
        let file = file.into_std().await;
        let _ = tokio::task::spawn_blocking(move || file.set_modified(modified)).await;
    }
    if sync { file.sync_all().await } else { Ok(()) }
}

/// The target of a path.
enum Target {
    /// A file, existing or not, by a path that does not end in a symbolic link.
    Regular(PathBuf),
    Stdout,
    Special {
        append: bool,
    },
}

fn resolve(file: &Path) -> io::Result<Target> {
    let mut path = file.to_owned();
    // As many links as Linux follows.
    for _ in 0..=40 {
        if let Some(descriptor) = descriptor(&path) {
            // Other descriptors are opened again; a regular file in append mode, because a shell would continue at its end.
            let append = std::fs::metadata(&path)?.is_file();
            return Ok(if descriptor == "1" { Target::Stdout } else { Target::Special { append } });
        }
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let target = std::fs::read_link(&path)?;
                path = folder_of(&path).join(target);
            }
            Ok(metadata) if metadata.is_file() => return Ok(Target::Regular(path)),
            Ok(_) => return Ok(Target::Special { append: false }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Target::Regular(path)),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// The number of the open descriptor that a path such as `/dev/fd/N` or `/proc/self/fd/N` names; empty for another
/// process's.
fn descriptor(path: &Path) -> Option<String> {
    let number = path.file_name()?.to_str()?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let folder = folder_of(path).canonicalize().ok()?;
    let own = folder.starts_with(format!("/proc/{}", std::process::id())) || folder.starts_with("/dev");
    match folder.starts_with("/proc") || folder == Path::new("/dev/fd") {
        true if folder.ends_with("fd") && own => Some(number.to_owned()),
        // Descriptors of another process.
        true if folder.ends_with("fd") => Some(String::new()),
        _ => None,
    }
}

/// The parent folder of a file.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether the path denotes a folder, existing or not, in which the file keeps its name.
pub fn is_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|last| std::path::is_separator(char::from(*last)))
        || path.is_dir()
}

/// A temporary file in the same folder, with the permissions of any new file.
fn beside(file: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(RANDOM);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder_of(file))
}

/// Whether a file of this name is left over from a download that was killed. Earlier versions had no suffix.
pub fn is_leftover(name: &str) -> bool {
    let Some(random) = name.strip_prefix(PREFIX) else { return false };
    let random = random.strip_suffix(SUFFIX).unwrap_or(random);
    random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftover_temporary_files_are_recognised_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let half = beside(&folder.path().join("a")).unwrap();
        assert!(is_leftover(half.path().file_name().unwrap().to_str().unwrap()));
        assert!(is_leftover(".sandbucket-aB3dE9"));
        for other in [".sandbucket-", ".sandbucket-12345", ".sandbucket-a_b-cd.part", "sandbucket.toml", ".sandbucket"]
        {
            assert!(!is_leftover(other), "{other}");
        }
    }
}
