//! Errors of the public API: those of the contract, and the host's own.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::limits::named;
use crate::text::sanitized;

/// Maximum length in bytes of the message about a plugin that does not load or whose result is refused.
const MAX_PLUGIN_MESSAGE: usize = 4 << 10;

/// The service's response, of an error that one led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceResponse {
    /// HTTP status.
    pub status: u16,
    /// The service's error code, such as `NoSuchKey`.
    pub code: Option<String>,
    /// The service's message.
    pub message: Option<String>,
    /// Request id, for the service's support.
    pub request_id: Option<String>,
    /// Region of the bucket, if it is not the one that the request went to.
    pub region: Option<String>,
}

/// Details of an error, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The operation, its bucket, key and endpoint, the cause, and advice.
    pub message: String,
    /// Whether the same call may succeed later, unchanged. The plugin's own retries are already over.
    pub retryable: bool,
    /// Number of requests sent.
    pub attempts: u32,
    /// Setting or argument at fault, by its name in the contract.
    pub subject: Option<String>,
    /// The service's response, if there was one.
    pub response: Option<ServiceResponse>,
    /// Of an exceeded budget of a tenant: the time after which the same call may succeed.
    pub retry_after: Option<Duration>,
    /// The transport's error, if there was no response or it broke off.
    source: Option<Cause>,
}

/// The error that led to another. Two are equal whatever they hold: equality of errors is that of their messages.
#[derive(Clone, Debug)]
struct Cause(Arc<dyn StdError + Send + Sync>);

impl PartialEq for Cause {
    fn eq(&self, _: &Cause) -> bool {
        true
    }
}

impl Eq for Cause {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|cause| &*cause.0 as _)
    }
}

impl Failure {
    /// A failure with this message and nothing else, for mocks of a store.
    pub fn new(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            retryable: false,
            attempts: 0,
            subject: None,
            response: None,
            retry_after: None,
            source: None,
        }
    }

    /// A failure that the host finds itself, before or after the plugin ran.
    pub(crate) fn ours(subject: &str, message: String) -> Box<Self> {
        Box::new(Failure { subject: Some(subject.to_owned()), ..Failure::new(message) })
    }
}

/// Error of an operation, or of opening a store or an engine.
///
/// The first cases are the contract's (`wit/types.wit`), which the plugin returns. The others are the host's own.
///
/// `Display` is one line for people, causes included, escaped and bounded in length. [`source`](std::error::Error::source) has the
/// cause for programs: of a [`Network`](Error::Network) or [`Timeout`](Error::Timeout) the transport's error and below it, for
/// example, an [`io::Error`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such blob, version or bucket. [`Error::is_missing_bucket`] returns whether it is the bucket.
    #[error(transparent)]
    NotFound(Box<Failure>),
    /// The precondition does not hold; a write changed nothing.
    #[error(transparent)]
    PreconditionFailed(Box<Failure>),
    /// The blob is still what the caller has.
    #[error(transparent)]
    NotModified(Box<Failure>),
    /// No byte of the blob is in the range.
    #[error(transparent)]
    InvalidRange(Box<Failure>),
    /// Another write of the same blob is in progress.
    #[error(transparent)]
    Conflict(Box<Failure>),
    /// The credentials are wrong, expired, or do not allow this.
    #[error(transparent)]
    AccessDenied(Box<Failure>),
    /// The service asked for fewer requests; or the call exceeds the [`Budget`](crate::Budget) of its tenant, which `subject` then
    /// names, no request was sent, and [`retry_after`](Error::retry_after) is the time to wait.
    #[error(transparent)]
    Throttled(Box<Failure>),
    /// No response arrived in time, or the call's deadline passed.
    #[error(transparent)]
    Timeout(Box<Failure>),
    /// The service could not be reached, the connection broke, or the address is not allowed.
    #[error(transparent)]
    Network(Box<Failure>),
    /// The response or its body is not as announced.
    #[error(transparent)]
    Integrity(Box<Failure>),
    /// A setting is missing, unknown, malformed or wrong; `subject` names it.
    #[error(transparent)]
    InvalidSettings(Box<Failure>),
    /// An argument is not what the contract or the service takes; nothing was sent.
    #[error(transparent)]
    InvalidArgument(Box<Failure>),
    /// The body is larger than allowed.
    #[error(transparent)]
    TooLarge(Box<Failure>),
    /// Neither the plugin nor the service can do this.
    #[error(transparent)]
    Unsupported(Box<Failure>),
    /// A write was sent, its response lost, and whether it took effect is unknown.
    #[error(transparent)]
    OutcomeUnknown(Box<Failure>),
    /// The blob is archived (S3's `InvalidObjectState`, Azure's `BlobArchived`): it has to be restored before it can be read or copied.
    #[error(transparent)]
    Archived(Box<Failure>),
    /// Any other refusal by the service.
    #[error(transparent)]
    Service(Box<Failure>),

    /// The plugin crashed. Its instance is gone; the store goes on with another.
    #[error("{operation}: the plugin crashed ({message}); its instance was discarded")]
    #[non_exhaustive]
    Trapped {
        /// The call.
        operation: &'static str,
        /// The trap.
        message: String,
    },
    /// The plugin needs more memory than [`Limits::memory`](crate::Limits::memory), or than the budget of its tenant.
    #[error(
        "{operation}: the plugin needs more than the {limit} bytes of memory that {} or its tenant's budget allows it",
        named("memory")
    )]
    #[non_exhaustive]
    OutOfMemory {
        /// The call.
        operation: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The system provides no memory or address space for an instance of the plugin, and there is none to wait for.
    #[error("{operation}: {message}")]
    #[non_exhaustive]
    NoMemory {
        /// The call, or the step of the setup.
        operation: &'static str,
        /// The system's error, and advice.
        message: String,
    },
    /// The plugin computed for longer than [`Limits::cpu_time`](crate::Limits::cpu_time).
    #[error(
        "{operation}: the plugin was stopped after {limit:?} of computing, which is what {} allows it",
        named("cpu-time")
    )]
    #[non_exhaustive]
    OutOfTime {
        /// The call.
        operation: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The call took longer than [`Limits::call_time`](crate::Limits::call_time).
    #[error("{operation}: the call was stopped after {limit:?}; a write may or may not have taken effect")]
    #[non_exhaustive]
    Overdue {
        /// The call.
        operation: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The call waited for too long because of other calls: of the same store (`instances-per-store`) or of all stores of
    /// the engine (`instances`, or `address-space` where the process may have less memory than so many take).
    #[error("{operation}: waited {waited:?} {}", busy(name, *limit))]
    #[non_exhaustive]
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
    /// The plugin does not load, is no blob store, or returned what the contract does not allow. It has no source: the messages of
    /// wasmtime may quote the component, and are escaped here.
    #[error("plugin: {message}")]
    #[non_exhaustive]
    Plugin {
        /// The fault.
        message: String,
    },
    /// The configuration cannot be used.
    #[error("{}", config_line(path.as_deref(), *line, key.as_deref(), message))]
    #[non_exhaustive]
    Config {
        /// The file, if there is one.
        path: Option<PathBuf>,
        /// The line, counted from 1.
        line: Option<usize>,
        /// The key at fault, such as `store.blob.s3.timeout`.
        key: Option<String>,
        /// The fault.
        message: String,
    },
    /// A file, or the body of a write, cannot be read or written.
    #[error("{doing}: {source}")]
    Io {
        /// The step that failed, and its file.
        doing: String,
        /// The cause.
        source: Arc<io::Error>,
    },
}

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a call waited for, and advice.
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
    /// The details of an error of the contract; none of the host's own errors.
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

    /// Whether the service reports that the bucket itself is missing: then nothing is known of the blob. Of a `head`, only services
    /// that send `x-amz-error-code` report it; Azure does.
    pub fn is_missing_bucket(&self) -> bool {
        let response = self.failure().and_then(|failure| failure.response.as_ref());
        let code = response.and_then(|response| response.code.as_deref());
        matches!(code, Some("NoSuchBucket" | "ContainerNotFound"))
    }

    /// The time after which the same call may succeed, if it exceeded the budget of its tenant.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure().and_then(|failure| failure.retry_after)
    }

    /// Whether the same call may succeed later, unchanged.
    pub fn is_retryable(&self) -> bool {
        match self.failure() {
            Some(failure) => failure.retryable,
            None => matches!(self, Error::Busy { .. } | Error::NoMemory { .. }),
        }
    }

    /// Adds the cause to an error of the contract that a request without a response leads to.
    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        if let Error::Network(failure)
        | Error::Timeout(failure)
        | Error::Integrity(failure)
        | Error::OutcomeUnknown(failure) = &mut self
        {
            failure.source = Some(Cause(Arc::new(source)));
        }
        self
    }

    pub(crate) fn no_memory(operation: &'static str, message: String) -> Self {
        Error::NoMemory { operation, message }
    }

    pub(crate) fn plugin(message: impl Into<String>) -> Self {
        // It may quote a component: names of its imports and exports.
        Error::Plugin { message: sanitized(message.into(), MAX_PLUGIN_MESSAGE) }
    }
}

fn config_line(path: Option<&std::path::Path>, line: Option<usize>, key: Option<&str>, message: &str) -> String {
    let mut text = path.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
    if let Some(line) = line {
        text.push_str(&format!(":{line}"));
    }
    if let Some(key) = key {
        text.push_str(&format!(": {key}"));
    }
    text.push_str(&format!(": {message}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_error_has_file_line_and_key() {
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
    fn error_is_small() {
        assert!(size_of::<Error>() <= 96, "{}", size_of::<Error>());
    }

    #[test]
    fn transport_error_is_the_source_of_the_error_it_leads_to() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let message = "get \"k\": connection refused";
        let error = Error::Network(Box::new(Failure::new(message))).with_source(refused());
        assert_eq!(error.to_string(), message);
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(
            error.failure(),
            Some(&Failure { source: Some(Cause(Arc::new(refused()))), ..Failure::new(message) })
        );
        let refused = Error::AccessDenied(Box::new(Failure::new("no"))).with_source(refused());
        assert!(refused.source().is_none() && Error::plugin("no").source().is_none());
    }
}
