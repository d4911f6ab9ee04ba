//! Errors of starting, configuring and running a gateway. Those of requests are S3 errors for the client.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the gateway.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table `[serve]`, a tenant's table `[tenants.NAME.gateway]`, or a file that they name cannot be used.
    #[error("{}{message}", place(path.as_deref(), *line))]
    #[non_exhaustive]
    Config {
        /// The file, if there is one.
        path: Option<PathBuf>,
        /// The line, counted from 1.
        line: Option<usize>,
        /// The fault.
        message: String,
    },
    /// A tenant, or the engine, cannot be configured.
    #[error(transparent)]
    Sandbucket(#[from] sandbucket::Error),
    /// The admin API rejected a request.
    #[error("{message}")]
    #[non_exhaustive]
    Admin {
        /// HTTP status.
        status: u16,
        /// The gateway's message.
        message: String,
    },
    /// An address cannot be listened on, or a file cannot be read.
    #[error("{doing}: {source}")]
    #[non_exhaustive]
    Io {
        /// The step that failed.
        doing: String,
        /// The cause.
        source: io::Error,
    },
}

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn config(message: impl Into<String>) -> Error {
        Error::Config { path: None, line: None, message: message.into() }
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::Io { doing, source }
    }
}

fn place(path: Option<&Path>, line: Option<usize>) -> String {
    let mut text = path.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
    if let Some(line) = line {
        text.push_str(&format!(":{line}"));
    }
    text + ": "
}
