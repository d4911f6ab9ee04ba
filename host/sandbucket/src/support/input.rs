//! Reading of files that configuration names: bounded, never blocking, and wiped after use.
//!
//! A path in configuration may lead to an endless device, a FIFO without a writer, or a folder. Only regular files are
//! read, up to a limit; everything else is an immediate error that names the kind of file. Symbolic links are followed,
//! because Kubernetes mounts secrets that way. A file system that does not respond, such as a network share without a
//! server, can still block.

use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::{Zeroize, Zeroizing};

/// Maximum size of a configuration file, AWS credentials file or AWS config file, in bytes.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;

/// Maximum size of a file or environment variable that supplies a value, in bytes: secrets are short.
pub(crate) const MAX_SECRET: u64 = 64 << 10;

/// Maximum size of a file with certificates, in bytes. Mozilla's complete list is about 220 KiB.
pub(crate) const MAX_CERTIFICATES: u64 = 4 << 20;

/// Maximum size of a plugin, in bytes.
pub(crate) const MAX_PLUGIN: u64 = 64 << 20;

/// Why a file was not read, formatted to follow its path. Contains nothing of its content.
#[derive(Debug)]
pub(crate) enum InputError {
    /// It cannot be opened or read.
    Io(io::Error),
    /// It is not a regular file, but this kind.
    Kind(&'static str, u64),
    /// It is longer than this many bytes.
    TooLong(u64),
    /// It is not UTF-8.
    NotText,
}

impl InputError {
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, InputError::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Io(error) => write!(f, "cannot be read: {error}"),
            InputError::Kind(kind, limit) => {
                write!(f, "cannot be read: it is {kind}; expected a regular file no longer than {limit} bytes")
            }
            InputError::TooLong(limit) => write!(f, "is longer than {limit} bytes, which is the limit for such a file"),
            InputError::NotText => write!(f, "is not UTF-8 text"),
        }
    }
}

impl std::error::Error for InputError {}

impl From<InputError> for io::Error {
    fn from(error: InputError) -> io::Error {
        match error {
            InputError::Io(error) => error,
            InputError::Kind(..) => io::Error::new(io::ErrorKind::InvalidInput, error),
            InputError::TooLong(_) => io::Error::new(io::ErrorKind::FileTooLarge, error),
            InputError::NotText => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Checks that this is a regular file within the limit, without reading it.
pub(crate) fn check(path: &Path, limit: u64) -> Result<(), InputError> {
    check_metadata(&std::fs::metadata(path).map_err(InputError::Io)?, limit)
}

/// Reads a regular file within the limit. The result is wiped on drop, and no other copy remains.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, InputError> {
    // Opening some devices has side effects, so the kind is checked before as well as after.
    check(path, limit)?;
    // Without `NONBLOCK`, opening a FIFO that replaced the file blocks until somebody writes.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(InputError::Io)?;
    let metadata = file.metadata().map_err(InputError::Io)?;
    check_metadata(&metadata, limit)?;
    read_open(&mut file, metadata.len(), limit)
}

/// Like [`read`], for UTF-8 text.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<Zeroizing<String>, InputError> {
    let mut bytes = read(path, limit)?;
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(InputError::NotText)
        }
    }
}

fn check_metadata(metadata: &Metadata, limit: u64) -> Result<(), InputError> {
    if !metadata.is_file() {
        return Err(InputError::Kind(kind(metadata.file_type()), limit));
    }
    if metadata.len() > limit {
        return Err(InputError::TooLong(limit));
    }
    Ok(())
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a FIFO (named pipe)",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_char_device() => "a character device",
        _ if kind.is_block_device() => "a block device",
        _ => "something else",
    }
}

/// Reads to the end. The length is a hint: files in `/proc` report 0. Outgrown buffers are wiped before they are freed.
pub(crate) fn read_open(file: &mut File, length: u64, limit: u64) -> Result<Zeroizing<Vec<u8>>, InputError> {
    let limit_bytes = usize::try_from(limit).unwrap_or(usize::MAX - 1);
    // One byte more than expected, so that the end is detected without growing.
    let mut buffer = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or(0).max(1023).min(limit_bytes) + 1]);
    let mut filled = 0;
    loop {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(InputError::Io(error)),
        }
        if filled > limit_bytes {
            return Err(InputError::TooLong(limit));
        }
        if filled == buffer.len() {
            let mut larger = Zeroizing::new(vec![0; (filled * 2).min(limit_bytes + 1)]);
            larger[..filled].copy_from_slice(&buffer);
            buffer = larger;
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}
