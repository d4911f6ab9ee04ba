//! The error of a command: one message, at most one cause and one hint, and an exit status.

use std::io;
use std::path::Path;

use sandbucket::Error;
use serde_json::{Value, json};

use crate::exit::Exit;

/// An error for people.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// The service's own message.
    pub cause: Option<String>,
    /// Advice.
    pub hint: Option<String>,
    /// For programs: the error's variant in the contract, and the service's response.
    kind: &'static str,
    retryable: bool,
    response: Option<Box<Value>>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let kind = match exit {
            Exit::Usage => "usage",
            Exit::Config => "config",
            Exit::Interrupted | Exit::Terminated | Exit::HungUp => "interrupted",
            _ => "failure",
        };
        Failure { exit, message: message.into(), cause: None, hint: None, kind, retryable: false, response: None }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn interrupted() -> Self {
        Failure::ended_by(Exit::Interrupted)
    }

    /// Terminated by the signal of this exit status.
    pub fn ended_by(exit: Exit) -> Self {
        let message = match exit {
            Exit::Terminated => "terminated by SIGTERM",
            Exit::HungUp => "terminated by SIGHUP",
            _ => "interrupted",
        };
        Failure::new(exit, message)
    }

    /// A local file that cannot be read or written.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Failure::new(Exit::Failure, format!("{doing} {}: {error}", path.display()))
    }

    pub fn to_json(&self) -> Value {
        json!({
            "error": {
                "kind": self.kind,
                "message": self.message,
                "cause": self.cause,
                "hint": self.hint,
                "retryable": self.retryable,
                "exit-status": self.exit as u8,
                "response": self.response,
            }
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, kind) = classify(&error);
        let mut failure = Failure::new(exit, error.to_string());
        failure.kind = kind;
        failure.retryable = error.is_retryable();
        if let Some(response) = error.failure().and_then(|failure| failure.response.as_ref()) {
            let code = response.code.as_deref();
            failure.hint = code.and_then(hint_for_code).map(str::to_owned);
            // The plugin's message usually contains it.
            failure.cause = response.message.clone().filter(|words| !failure.message.contains(words.as_str()));
            failure.response = Some(Box::new(json!({
                "status": response.status,
                "code": code,
                "message": response.message,
                "request-id": response.request_id,
                "region": response.region,
            })));
        }
        if failure.hint.is_none() {
            failure.hint = hint(&error).map(str::to_owned);
        }
        failure
    }
}

fn classify(error: &Error) -> (Exit, &'static str) {
    match error {
        Error::NotFound(_) => (Exit::NotFound, "not-found"),
        Error::PreconditionFailed(_) => (Exit::Precondition, "precondition-failed"),
        Error::NotModified(_) => (Exit::Precondition, "not-modified"),
        Error::InvalidRange(_) => (Exit::Precondition, "invalid-range"),
        Error::Conflict(_) => (Exit::Precondition, "conflict"),
        Error::AccessDenied(_) => (Exit::Denied, "access-denied"),
        Error::Throttled(_) => (Exit::Network, "throttled"),
        Error::Timeout(_) => (Exit::Network, "timeout"),
        Error::Network(_) => (Exit::Network, "network"),
        Error::Integrity(_) => (Exit::Failure, "integrity"),
        Error::InvalidSettings(_) => (Exit::Config, "invalid-settings"),
        Error::InvalidArgument(_) => (Exit::Usage, "invalid-argument"),
        Error::TooLarge(_) => (Exit::Failure, "too-large"),
        Error::Unsupported(_) => (Exit::Usage, "unsupported"),
        Error::OutcomeUnknown(_) => (Exit::Failure, "outcome-unknown"),
        Error::Archived(_) => (Exit::Failure, "archived"),
        Error::Service(_) => (Exit::Failure, "service"),
        Error::Trapped { .. } => (Exit::Failure, "trapped"),
        Error::OutOfMemory { .. } | Error::NoMemory { .. } => (Exit::Failure, "out-of-memory"),
        Error::OutOfTime { .. } => (Exit::Failure, "out-of-time"),
        Error::Overdue { .. } => (Exit::Network, "overdue"),
        Error::Busy { .. } => (Exit::Failure, "busy"),
        Error::Plugin { .. } => (Exit::Failure, "plugin"),
        Error::Config { .. } => (Exit::Config, "config"),
        Error::Io { .. } => (Exit::Failure, "io"),
        _ => (Exit::Failure, "failure"),
    }
}

/// Advice for the error codes of S3 and Azure, if the service's message gives none.
fn hint_for_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "InvalidAccessKeyId" => "compare `access-key` and `endpoint`: one service does not know another's keys",
        "SignatureDoesNotMatch" => "compare `secret-key` with the one that belongs to this `access-key`",
        "ExpiredToken" => "the temporary credentials have expired: obtain new ones",
        "InvalidToken" => "`security-token` must be the one that came with these keys, and is for temporary keys only",
        "RequestTimeTooSkewed" => "this machine's clock and the service's differ too much: set the clock",
        "NoSuchBucket" => "create the bucket, or correct `bucket`, `endpoint` or `region`",
        "ContainerNotFound" => "create the container, or correct `container`, `account` or `endpoint`",
        "NoSuchKey" | "BlobNotFound" => "keys are matched exactly, after `key-prefix` if it is set",
        _ => return None,
    })
}

const SETTINGS: &str = "`sandbucket settings` lists what there is to set";

fn hint(error: &Error) -> Option<&'static str> {
    Some(match error {
        // Other rejections of this setting have a code, which takes precedence.
        Error::AccessDenied(failure) if failure.subject.as_deref() == Some("access-key") => {
            "credentials come from `access-key` and `secret-key`, `profile`, AWS_ACCESS_KEY_ID, AWS_PROFILE or the default profile"
        }
        Error::AccessDenied(_) => {
            "do the credentials allow this on this bucket? `sandbucket check` tests it step by step"
        }
        Error::Network(_) | Error::Timeout(_) => "`sandbucket check` shows how far the connection gets",
        Error::Throttled(_) => "retry later, or with fewer concurrent requests",
        Error::OutcomeUnknown(_) => "check with `sandbucket head` what is stored now, before writing again",
        Error::InvalidSettings(_) => SETTINGS,
        Error::Config { key: Some(key), .. } if key.starts_with("store.blob.s3.") => SETTINGS,
        Error::PreconditionFailed(_) => "the blob is unchanged",
        Error::TooLarge(failure) if failure.subject.as_deref() == Some("body") => {
            "raise --part-size, or set --expected-size"
        }
        Error::OutOfMemory { .. } => "raise `memory` in the section [sandbox]",
        Error::Busy { .. } => "retry later, or with fewer concurrent requests",
        Error::OutOfTime { .. } => "raise `cpu-time` in the section [sandbox]",
        _ => return None,
    })
}
