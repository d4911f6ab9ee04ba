//! The parser of a configuration file: sections, positions, errors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::document::Document;
use crate::error::{Error, Result};
use crate::support::environment::Environment;
use crate::support::input;

/// Maximum number of keys per section. The built-in plugin has about 30 settings.
const MAX_KEYS: usize = 256;

/// The parser of a configuration.
pub(crate) struct Reader<'a> {
    pub(crate) path: Option<Arc<Path>>,
    pub(crate) environment: &'a Environment,
    text: &'a str,
    lines: Lines,
}

/// The positions of the line ends of a text, ascending.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<[usize]>);

impl Lines {
    pub(crate) fn of(text: &str) -> Lines {
        Lines(memchr::memchr_iter(b'\n', text.as_bytes()).collect())
    }

    /// The line of a byte, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|&end| end < offset) + 1
    }
}

/// Reads the text of a configuration file of at most so many bytes.
///
/// # Errors
/// [`Error::Config`].
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<zeroize::Zeroizing<String>> {
    input::read_text(path, limit).map_err(|error| Error::Config {
        path: Some(path.to_owned()),
        line: None,
        key: None,
        message: format!("the file {error}"),
    })
}

impl<'a> Reader<'a> {
    pub(crate) fn new(path: Option<&Path>, text: &'a str, environment: &'a Environment) -> Reader<'a> {
        Reader { path: path.map(Arc::from), environment, text, lines: Lines::of(text) }
    }

    /// Parses the text, of at most so many bytes.
    pub(crate) fn document(&self, limit: u64) -> Result<Document<'a>> {
        if self.text.len() as u64 > limit {
            return Err(self.error(None, None, format!("it is longer than {limit} bytes")));
        }
        // Not `toml::from_str`, whose errors contain a copy of the text, and show values of the wrong kind.
        let parsed = DeTable::parse(self.text).map_err(|error| {
            let line = error.span().map(|span| self.line(span.start));
            self.error(line, None, error.message())
        })?;
        Ok(Document(parsed.into_inner()))
    }

    /// The table at this path, with a limited number of keys; `None` if it does not exist. `name` is its name in errors.
    pub(crate) fn section<'t, 'i>(
        &self,
        table: &'t mut DeTable<'i>,
        path: &[&str],
        name: &str,
    ) -> Result<Option<&'t mut DeTable<'i>>> {
        let table = self.table(table, path, name)?;
        if let Some(table) = &table
            && table.len() > MAX_KEYS
        {
            let message = format!("{} keys where {MAX_KEYS} are allowed", table.len());
            return Err(self.error(None, Some(name.to_owned()), message));
        }
        Ok(table)
    }

    /// The same, with any number of keys.
    pub(crate) fn table<'t, 'i>(
        &self,
        table: &'t mut DeTable<'i>,
        path: &[&str],
        name: &str,
    ) -> Result<Option<&'t mut DeTable<'i>>> {
        let mut table = table;
        for &step in path {
            let Some(value) = table.get_mut(step) else { return Ok(None) };
            let line = self.line(value.span().start);
            table = match value.get_mut() {
                DeValue::Table(inner) => inner,
                other => {
                    let message = format!("expected the section [{name}], not {}", kind(other));
                    return Err(self.error(Some(line), Some(name.to_owned()), message));
                }
            };
        }
        Ok(Some(table))
    }

    /// The line at which the table at this path begins, if it exists.
    pub(crate) fn begins(&self, table: &DeTable<'_>, path: &[&str]) -> Option<usize> {
        let (last, path) = path.split_last()?;
        let parent = path.iter().try_fold(table, |table, step| table.get(*step)?.get_ref().as_table())?;
        Some(self.line(parent.get(*last)?.span().start))
    }

    /// Resolves a path relative to the file.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        match self.path.as_deref().and_then(Path::parent) {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// The line of a byte, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.line(offset)
    }

    /// The lines of the text.
    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn error(&self, line: Option<usize>, key: Option<String>, message: impl Into<String>) -> Error {
        Error::Config { path: self.path.as_deref().map(Path::to_owned), line, key, message: message.into() }
    }
}

/// The kind of a value, with its article.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
