//! Why something failed: the contract's error, and what the host itself has to say.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::named;
use crate::text::sanitized;

/// Bytes of what is said of a plugin that does not load or whose result is refused.
const MAX_PLUGIN_MESSAGE: usize = 4 << 10;

/// What the service itself answered, where an error rests on an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The service's own code, such as `NoSuchKey`.
    pub code: Option<String>,
    /// The service's own words.
    pub message: Option<String>,
    /// What to name when asking the service's support.
    pub request_id: Option<String>,
    /// The region the bucket is in, where it is not the one that was asked.
    pub region: Option<String>,
}

/// What went wrong, told for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What was tried, on which bucket and key, at which endpoint, what came of it, and what to do.
    pub message: String,
    /// Whether the same call may succeed later, unchanged. The plugin's own tries are already over.
    pub retryable: bool,
    /// How many requests were sent.
    pub attempts: u32,
    /// The setting or argument at fault, by its name in the contract.
    pub subject: Option<String>,
    /// What the service answered, where it did.
    pub answer: Option<ServiceAnswer>,
}

impl Failure {
    /// A failure with this message and nothing else, for code that stands in for a store in tests.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), retryable: false, attempts: 0, subject: None, answer: None }
    }

    /// A failure that the host finds itself, before or after the plugin was asked.
    pub(crate) fn ours(subject: &str, message: String) -> Box<Self> {
        Box::new(Failure { message, retryable: false, attempts: 0, subject: Some(subject.to_owned()), answer: None })
    }
}

/// Why a call, or the opening of a store or an engine, failed.
///
/// The first cases are the contract's (`wit/types.wit`): the plugin tells them. The others are the host's own.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such blob, version or bucket. [`Error::is_missing_bucket`] tells whether it is the bucket.
    #[error("{}", .0.message)]
    NotFound(Box<Failure>),
    /// The precondition did not hold; a write changed nothing.
    #[error("{}", .0.message)]
    PreconditionFailed(Box<Failure>),
    /// The blob is still what the caller has.
    #[error("{}", .0.message)]
    NotModified(Box<Failure>),
    /// No byte of the blob is in the range.
    #[error("{}", .0.message)]
    InvalidRange(Box<Failure>),
    /// Another write of the same blob was under way.
    #[error("{}", .0.message)]
    Conflict(Box<Failure>),
    /// The credentials are wrong, expired, or do not allow this.
    #[error("{}", .0.message)]
    AccessDenied(Box<Failure>),
    /// The service asked for fewer requests.
    #[error("{}", .0.message)]
    Throttled(Box<Failure>),
    /// The service did not answer in time, or the call's own time ran out.
    #[error("{}", .0.message)]
    Timeout(Box<Failure>),
    /// The service could not be reached, the connection broke, or the address is not allowed.
    #[error("{}", .0.message)]
    Network(Box<Failure>),
    /// What came is not what was announced.
    #[error("{}", .0.message)]
    Integrity(Box<Failure>),
    /// A setting is missing, unknown, malformed or wrong; `subject` names it.
    #[error("{}", .0.message)]
    InvalidSettings(Box<Failure>),
    /// An argument is not what the contract or the service takes; nothing was sent.
    #[error("{}", .0.message)]
    InvalidArgument(Box<Failure>),
    /// The body is larger than what was allowed.
    #[error("{}", .0.message)]
    TooLarge(Box<Failure>),
    /// Neither the plugin nor the service can do this.
    #[error("{}", .0.message)]
    Unsupported(Box<Failure>),
    /// A write was sent, its answer lost, and whether it took effect cannot be told.
    #[error("{}", .0.message)]
    OutcomeUnknown(Box<Failure>),
    /// The blob is archived (S3's `InvalidObjectState`): it has to be restored before it can be read or copied.
    #[error("{}", .0.message)]
    Archived(Box<Failure>),
    /// Any other refusal by the service.
    #[error("{}", .0.message)]
    Service(Box<Failure>),

    /// The plugin crashed. Its instance is gone; the store goes on with another.
    #[error("{operation}: the plugin crashed ({message}); its instance was discarded")]
    Trapped {
        /// The call that it crashed in.
        operation: &'static str,
        /// What the sandbox says of it.
        message: String,
    },
    /// The plugin wanted more memory than [`Limits::memory`](crate::Limits::memory).
    #[error("{operation}: the plugin needs more than the {limit} bytes of memory that {} allows it", named("memory"))]
    OutOfMemory {
        /// The call.
        operation: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The system gives no memory or address space for an instance of the plugin, and there is none to wait for.
    #[error("{operation}: {message}")]
    NoMemory {
        /// The call, or what was made.
        operation: &'static str,
        /// What was not given, and what to do.
        message: String,
    },
    /// The plugin computed for longer than [`Limits::cpu_time`](crate::Limits::cpu_time).
    #[error(
        "{operation}: the plugin was stopped after {limit:?} of computing, which is what {} allows it",
        named("cpu-time")
    )]
    OutOfTime {
        /// The call.
        operation: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The plugin overstayed [`Limits::call_time`](crate::Limits::call_time) and was stopped.
    #[error("{operation}: the call was stopped after {limit:?}; a write may or may not have taken effect")]
    Overdue {
        /// The call.
        operation: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The call waited for too long because of other calls: of the same store (`instances-per-store`) or of all stores of
    /// the engine (`instances`, or `address-space` where the process may have less memory than so many take).
    #[error("{operation}: waited {waited:?} {}", busy(name, *limit))]
    Busy {
        /// The call.
        operation: &'static str,
        /// The name of the limit that was reached.
        name: &'static str,
        /// The limit: as many calls of the store, or instances of the engine, at once.
        limit: usize,
        /// How long the call waited.
        waited: Duration,
    },
    /// The plugin does not load, or is no blob store, or wants more than it may have.
    #[error("plugin: {message}")]
    Plugin {
        /// What is wrong with it.
        message: String,
    },
    /// The configuration cannot be used.
    #[error("{}", config_words(path.as_deref(), *line, key.as_deref(), message))]
    Config {
        /// The file, where it came from one.
        path: Option<PathBuf>,
        /// The line, counted from 1.
        line: Option<usize>,
        /// The key at fault, such as `store.blob.s3.timeout`.
        key: Option<String>,
        /// What is wrong.
        message: String,
    },
    /// A file of the host's own cannot be read or written.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried, on which file.
        doing: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
}

/// What this crate's functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a call waited for, and what to do.
fn busy(name: &str, limit: usize) -> String {
    let set = named(name);
    match name {
        "instances-per-store" => format!(
            "for other calls of the same store, which make all of the {limit} at once that {set} allows it; make fewer at \
             once, or raise that limit"
        ),
        "address-space" => format!(
            "for an instance: the memory and address space that this process may have hold {limit} of them at once; try again \
             later, raise the process's limit (`ulimit -v`, `ulimit -d`) or {set}, or lower {}",
            named("memory")
        ),
        _ => format!(
            "for an instance: the engine's stores take all of the {limit} that {set} allows, but for the reserve for stores \
             that have none, or this store has its fair share of them; try again later, or raise that limit"
        ),
    }
}

impl Error {
    /// What the plugin told, where it was the plugin.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Error::NotFound(failure)
            | Error::PreconditionFailed(failure)
            | Error::NotModified(failure)
            | Error::InvalidRange(failure)
            | Error::Conflict(failure)
            | Error::AccessDenied(failure)
            | Error::Throttled(failure)
            | Error::Timeout(failure)
            | Error::Network(failure)
            | Error::Integrity(failure)
            | Error::InvalidSettings(failure)
            | Error::InvalidArgument(failure)
            | Error::TooLarge(failure)
            | Error::Unsupported(failure)
            | Error::OutcomeUnknown(failure)
            | Error::Archived(failure)
            | Error::Service(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether the service says that the bucket itself is missing: then nothing is known of the blob. A `head` is told so by
    /// services that send `x-amz-error-code` only.
    pub fn is_missing_bucket(&self) -> bool {
        let answer = self.failure().and_then(|failure| failure.answer.as_ref());
        answer.and_then(|answer| answer.code.as_deref()) == Some("NoSuchBucket")
    }

    /// Whether the same call may succeed later, unchanged.
    pub fn is_retryable(&self) -> bool {
        match self.failure() {
            Some(failure) => failure.retryable,
            None => matches!(self, Error::Busy { .. } | Error::NoMemory { .. }),
        }
    }

    pub(crate) fn no_memory(operation: &'static str, message: String) -> Self {
        Error::NoMemory { operation, message }
    }

    pub(crate) fn plugin(message: impl Into<String>) -> Self {
        // It may quote a component: names of imports and exports, and what wasmtime makes of them.
        Error::Plugin { message: sanitized(message.into(), MAX_PLUGIN_MESSAGE) }
    }
}

fn config_words(path: Option<&std::path::Path>, line: Option<usize>, key: Option<&str>, message: &str) -> String {
    let mut words = path.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
    if let Some(line) = line {
        words.push_str(&format!(":{line}"));
    }
    if let Some(key) = key {
        words.push_str(&format!(": {key}"));
    }
    words.push_str(&format!(": {message}"));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_error_points_at_its_place() {
        let error = Error::Config {
            path: Some("sandbucket.toml".into()),
            line: Some(7),
            key: Some("store.blob.s3.timeout".into()),
            message: "no duration".into(),
        };
        assert_eq!(error.to_string(), "sandbucket.toml:7: store.blob.s3.timeout: no duration");
        assert!(!error.is_retryable() && error.failure().is_none());
    }

    #[test]
    fn an_error_is_no_larger_than_a_few_words() {
        assert!(size_of::<Error>() <= 96, "{}", size_of::<Error>());
    }
}
