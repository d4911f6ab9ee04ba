//! Files and blobs that only the target of a `sync --delete` has: collected during the listing, and deleted at the end.

use std::io::{BufRead, BufReader, Lines, Seek, Write};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use sandbucket::Store;
use tempfile::SpooledTempFile;

use super::listing::Found;
use super::listing::no_folder;
use super::plan::{Place, folder};
use crate::exit::Exit;
use crate::failure::Failure;

/// Size of the names above which they move from memory to a temporary file.
const IN_MEMORY: usize = 8 << 20;
/// Blobs per bulk delete; S3 accepts as many.
pub const BATCH: usize = 1000;

/// A list of names.
#[derive(Default)]
pub struct Extras {
    /// One JSON string per line, since names may contain line breaks.
    names: Option<SpooledTempFile>,
}

impl Extras {
    pub fn is_empty(&self) -> bool {
        self.names.is_none()
    }

    /// Adds a name, unless it is below a symbolic link, which may lead anywhere.
    pub fn push(&mut self, found: &Found) -> Result<(), Failure> {
        if found.linked {
            return Ok(());
        }
        self.push_name(&found.name)
    }

    pub fn push_name(&mut self, name: &str) -> Result<(), Failure> {
        let names = self.names.get_or_insert_with(|| SpooledTempFile::new(IN_MEMORY));
        let line = format!("{}\n", serde_json::Value::from(name));
        names.write_all(line.as_bytes()).map_err(|error| failed(&error))
    }

    /// Returns all names in order.
    pub fn read(self) -> Result<Remembered, Failure> {
        let mut names = self.names.unwrap_or_else(|| SpooledTempFile::new(IN_MEMORY));
        names.rewind().map_err(|error| failed(&error))?;
        Ok(Remembered { lines: BufReader::new(names).lines() })
    }
}

pub struct Remembered {
    lines: Lines<BufReader<SpooledTempFile>>,
}

impl Remembered {
    /// The next names; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<Vec<String>>, Failure> {
        let mut batch = Vec::new();
        for line in self.lines.by_ref().take(BATCH) {
            let line = line.map_err(|error| failed(&error))?;
            let name = serde_json::from_str(&line).map_err(|error| failed(&error.into()))?;
            batch.push(name);
        }
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }
}

fn failed(error: &std::io::Error) -> Failure {
    let message = format!("the temporary file with the names to delete: {error}");
    Failure::new(Exit::Failure, message).with_hint("TMPDIR names the folder for it")
}

/// Deletes these in the folder, and returns the outcome of each.
///
/// # Errors
/// If none could be deleted.
pub async fn delete(
    store: &Store,
    target: &Place,
    names: Vec<String>,
) -> Result<Vec<(String, Result<(), Failure>)>, Failure> {
    match target {
        Place::Store { key, .. } => {
            let prefix = folder(key);
            let outcomes = store.delete_many(names.iter().map(|name| format!("{prefix}{name}"))).await?;
            Ok(names.into_iter().zip(outcomes.into_iter().map(|outcome| outcome.map_err(Failure::from))).collect())
        }
        // Relative to a handle of the folder, so that nothing outside is deleted, whatever is replaced by a symbolic link
        // in the meantime.
        Place::Local(path) => tokio::task::block_in_place(|| {
            let folder = Dir::open_ambient_dir(path, ambient_authority())
                .map_err(|error| Failure::file("opening the folder", path, &error))?;
            let outcome = |name: &str| {
                folder.remove_file(name).map_err(|error| Failure::file("deleting", &path.join(name), &error))
            };
            Ok(names.into_iter().map(|name| (name.clone(), outcome(&name))).collect())
        }),
        Place::Stream => Err(no_folder()),
    }
}
