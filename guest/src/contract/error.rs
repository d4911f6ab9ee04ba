//! What can go wrong, as plain data: the contract's `error` without the bindings.
//!
//! What is wrong before anything is sent (a setting, an argument) says so in words for people, and never holds a secret.

use serde::{Deserialize, Serialize};

use std::fmt;

/// The longest piece of a service's own words that is kept, in bytes.
pub const MAX_WORDS: usize = 1024;

/// The contract's `error-kind`, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// No such blob, version or bucket.
    NotFound,
    /// A precondition did not hold.
    PreconditionFailed,
    /// The blob is still what the caller has.
    NotModified,
    /// No byte of the blob is in the range.
    InvalidRange,
    /// Another write of the same blob was under way.
    Conflict,
    /// The credentials are wrong, expired, or do not allow this.
    AccessDenied,
    /// The service asked for fewer requests.
    Throttled,
    /// No answer in time, or the call's own time ran out.
    Timeout,
    /// Not reached, or the connection broke.
    Network,
    /// What came is not what was announced.
    Integrity,
    /// A setting is wrong.
    InvalidSettings,
    /// An argument is wrong; nothing was sent.
    InvalidArgument,
    /// The body is larger than what was allowed.
    TooLarge,
    /// Neither plugin nor service can do this.
    Unsupported,
    /// Sent, answer lost, and the effect cannot be told.
    OutcomeUnknown,
    /// Any other refusal by the service.
    Service,
}

impl Kind {
    /// The case's name in the contract.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::NotFound => "not-found",
            Kind::PreconditionFailed => "precondition-failed",
            Kind::NotModified => "not-modified",
            Kind::InvalidRange => "invalid-range",
            Kind::Conflict => "conflict",
            Kind::AccessDenied => "access-denied",
            Kind::Throttled => "throttled",
            Kind::Timeout => "timeout",
            Kind::Network => "network",
            Kind::Integrity => "integrity",
            Kind::InvalidSettings => "invalid-settings",
            Kind::InvalidArgument => "invalid-argument",
            Kind::TooLarge => "too-large",
            Kind::Unsupported => "unsupported",
            Kind::OutcomeUnknown => "outcome-unknown",
            Kind::Service => "service",
        }
    }
}

/// What the service itself answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceResponse {
    /// The HTTP status.
    pub status: u16,
    /// The service's own code, such as `NoSuchKey`.
    pub code: Option<String>,
    /// The service's own words, at most [`MAX_WORDS`] bytes.
    pub message: Option<String>,
    /// The request's name at the service.
    pub request_id: Option<String>,
    /// The region the service says the bucket is in, where it is not the one asked.
    pub region: Option<String>,
}

/// How a call failed: all that may fail hands this on, and it is rare.
pub type Failure = Box<Error>;

/// The contract's `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Which case of the contract's `error` it is.
    pub kind: Kind,
    /// What was tried, where, what came of it, and what to do.
    pub message: String,
    /// Whether the same call may succeed later, unchanged.
    pub retryable: bool,
    /// How many requests were sent.
    pub attempts: u32,
    /// The setting or argument at fault.
    pub subject: Option<String>,
    /// What the service answered, where it did.
    pub response: Option<ServiceResponse>,
}

impl Error {
    /// A failure of this kind with nothing else known: not retryable, no attempts.
    pub fn failure(kind: Kind, message: impl Into<String>) -> Failure {
        Box::new(Error { kind, message: message.into(), retryable: false, attempts: 0, subject: None, response: None })
    }

    /// An argument that cannot be used, by its name in the contract: what is wrong with it and what would be right.
    pub fn fault(subject: &str, message: impl Into<String>) -> Failure {
        let mut failure = Error::failure(Kind::InvalidArgument, message);
        failure.subject = Some(subject.to_owned());
        failure
    }

    /// The service's own code, where it answered with one.
    pub fn code(&self) -> Option<&str> {
        self.response.as_ref()?.code.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for Error {}

/// Makes a service's words fit to be shown: control characters become spaces, and at most `max` bytes stay, cut at a
/// character's edge.
pub fn tidy(words: &str, max: usize) -> String {
    let mut out = String::with_capacity(words.len().min(max));
    for c in words.trim().chars() {
        let c = if c.is_control() { ' ' } else { c };
        if out.len() + c.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_a_characters_edge_and_cleaned() {
        assert_eq!(tidy("  a\nb\u{1b}[31m  ", 64), "a b [31m");
        assert_eq!(tidy("ééé", 5), "éé");
        assert_eq!(tidy("", 5), "");
    }

    /// The bindings take a case's place for its number in the contract.
    #[test]
    fn kinds_are_in_the_contracts_order() {
        let kinds = crate::contract::model::tests::cases_of("error-kind");
        assert_eq!(kinds.len(), Kind::Service as usize + 1);
        for kind in [
            Kind::NotFound,
            Kind::PreconditionFailed,
            Kind::NotModified,
            Kind::InvalidRange,
            Kind::Conflict,
            Kind::AccessDenied,
            Kind::Throttled,
            Kind::Timeout,
            Kind::Network,
            Kind::Integrity,
            Kind::InvalidSettings,
            Kind::InvalidArgument,
            Kind::TooLarge,
            Kind::Unsupported,
            Kind::OutcomeUnknown,
            Kind::Service,
        ] {
            assert_eq!(kinds[kind as usize], kind.name());
        }
    }

    #[test]
    fn a_fault_keeps_its_subject() {
        let fault = Error::fault("key", "bad");
        assert_eq!((fault.kind, fault.subject.as_deref()), (Kind::InvalidArgument, Some("key")));
        assert_eq!(fault.to_string(), "invalid-argument: bad");
    }
}
