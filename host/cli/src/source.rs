//! The source of an upload: a file, a FIFO or device, or standard input.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, Stdin};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::standard;

/// An open source.
pub enum Source {
    Stdin(Stdin),
    /// The file's metadata are from before it was read.
    File {
        file: File,
        before: Box<Metadata>,
        path: PathBuf,
    },
}

impl Source {
    pub fn stdin() -> Result<Self, Failure> {
        standard::input()?;
        Ok(Source::Stdin(tokio::io::stdin()))
    }

    /// Opens this file, or standard input for `-`; waits for a writer of a FIFO.
    pub async fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Self::stdin();
        }
        let failed = |e: io::Error| Failure::file("reading", path, &e);
        let file = File::open(path).await.map_err(failed)?;
        let before = file.metadata().await.map_err(failed)?;
        if before.is_dir() {
            return Err(Failure::new(Exit::Usage, format!("{} is a folder", path.display())));
        }
        Ok(Source::File { file, before: Box::new(before), path: path.to_owned() })
    }

    /// The length, if known in advance: pipes and devices report 0, whatever they contain.
    pub fn length(&self) -> Option<u64> {
        match self {
            Source::File { before, .. } if before.is_file() => Some(before.len()),
            _ => None,
        }
    }

    /// Reads into the free space of the buffer; returns 0 at the end.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize, Failure> {
        match self {
            Source::Stdin(stdin) => stdin
                .read_buf(buffer)
                .await
                .map_err(|error| Failure::new(Exit::Failure, format!("reading standard input: {error}"))),
            Source::File { file, path, .. } => {
                file.read_buf(buffer).await.map_err(|error| Failure::file("reading", path, &error))
            }
        }
    }

    /// # Errors
    /// If the file was written to, or its length changed, since it was opened: the bytes read may be no state that it ever
    /// had.
    pub async fn check_unchanged(&self) -> Result<(), Failure> {
        let Source::File { file, before, path } = self else { return Ok(()) };
        if !before.is_file() {
            return Ok(());
        }
        let after = file.metadata().await.map_err(|error| Failure::file("reading", path, &error))?;
        if after.len() == before.len() && after.modified().ok() == before.modified().ok() {
            return Ok(());
        }
        let message = format!("{} changed while it was read: nothing was stored", path.display());
        let hint = "try again when nothing writes to it, or copy a snapshot of it";
        Err(Failure::new(Exit::Failure, message).with_hint(hint))
    }
}
