//! The contract's `error` as plain data, without the bindings.
//!
//! [`Error::fault`] makes the error of an invalid argument or setting, found before a request is sent; [`Error::failure`] any other.
//! Messages are for people and never contain a secret: text of a service or a caller goes through [`tidy`].

use serde::{Deserialize, Serialize};

use std::borrow::Cow;
use std::fmt;

/// Maximum length of a service's error message, in bytes; a longer one is truncated.
pub const MAX_MESSAGE: usize = 1024;

/// The contract's `error-kind`, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The blob, version, upload or bucket does not exist.
    NotFound,
    /// A condition did not hold.
    PreconditionFailed,
    /// The blob has not changed since the caller read it.
    NotModified,
    /// The range contains no byte of the blob.
    InvalidRange,
    /// A concurrent write to the same key; or a bucket that exists already, or is not empty.
    Conflict,
    /// The credentials are wrong or expired, or do not permit the operation.
    AccessDenied,
    /// The service asked for fewer requests.
    Throttled,
    /// The service did not respond in time, or the call's time limit elapsed.
    Timeout,
    /// The service is unreachable, the connection broke, or the host does not permit the address.
    Network,
    /// A response is malformed, truncated, or does not match its checksum.
    Integrity,
    /// A setting is missing, unknown, malformed, or contradicts another or the service.
    InvalidSettings,
    /// An argument violates the contract or a limit of the service. No request was sent.
    InvalidArgument,
    /// The body exceeds a limit.
    TooLarge,
    /// Not supported by the plugin or the service.
    Unsupported,
    /// The response to a write was lost, and it is unknown whether the write took effect.
    OutcomeUnknown,
    /// Any other error response of the service.
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

/// The service's error response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceResponse {
    /// HTTP status.
    pub status: u16,
    /// The service's error code, such as `NoSuchKey`.
    pub code: Option<String>,
    /// The service's message, truncated to [`MAX_MESSAGE`] bytes.
    pub message: Option<String>,
    /// Request id.
    pub request_id: Option<String>,
    /// Region the service reported for the bucket, if it differs from the configured one.
    pub region: Option<String>,
}

/// The error of a call, boxed: it is large and rare, and every fallible function returns it.
pub type Failure = Box<Error>;

/// The contract's `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Cause.
    pub kind: Kind,
    /// What was attempted, where, what happened, and what to do.
    pub message: String,
    /// Whether the same call may succeed later, unchanged.
    pub retryable: bool,
    /// Number of requests sent.
    pub attempts: u32,
    /// Setting or argument at fault, by its name in the contract.
    pub subject: Option<String>,
    /// The service's response, if there was one.
    pub response: Option<ServiceResponse>,
}

impl Error {
    /// An error of this kind: not retryable, without attempts, subject and response.
    pub fn failure(kind: Kind, message: impl Into<String>) -> Failure {
        Box::new(Error { kind, message: message.into(), retryable: false, attempts: 0, subject: None, response: None })
    }

    /// An invalid argument or setting, by its name in the contract. The message says what is wrong and what is valid.
    pub fn fault(subject: &str, message: impl Into<String>) -> Failure {
        let mut failure = Error::failure(Kind::InvalidArgument, message);
        failure.subject = Some(subject.to_owned());
        failure
    }

    /// The service's error code, if its response had one.
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

/// Parameters of a URL whose value authorizes anybody who has it: of a shared access signature, and of a presigned request. Their `=`
/// may be encoded, in a URL that is itself a parameter.
const SIGNATURES: [&str; 4] = ["sig=", "sig%3d", "signature=", "signature%3d"];

/// Makes untrusted text safe to display: trims it, takes signatures out of URLs in it, replaces control characters by spaces, and
/// truncates it to `max` bytes at a character boundary.
pub fn tidy(text: &str, max: usize) -> String {
    let text = &*without_signatures(text);
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.trim().chars() {
        let c = if c.is_control() { ' ' } else { c };
        if out.len() + c.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out
}

/// The text with `…` in place of the values of [`SIGNATURES`].
fn without_signatures(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let mut out = String::new();
    let mut kept = 0;
    loop {
        let rest = &lower[kept..];
        let next = SIGNATURES.iter().filter_map(|name| Some(kept + rest.find(name)? + name.len())).min();
        let Some(value) = next else { break };
        // Base64, encoded or not.
        let is_value = |b: &u8| b.is_ascii_alphanumeric() || b"+/=%-_".contains(b);
        let length = lower.as_bytes()[value..].iter().take_while(|b| is_value(b)).count();
        out.push_str(&text[kept..value]);
        out.push('…');
        kept = value + length;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidy_truncates_at_a_character_boundary_and_replaces_control_characters() {
        assert_eq!(tidy("  a\nb\u{1b}[31m  ", 64), "a b [31m");
        assert_eq!(tidy("ééé", 5), "éé");
        assert_eq!(tidy("", 5), "");
    }

    #[test]
    fn tidy_takes_signatures_out_of_urls() {
        assert_eq!(tidy("GET /c/k?sp=r&sig=a%2Bb%3D&se=1, é", 64), "GET /c/k?sp=r&sig=…&se=1, é");
        assert_eq!(tidy("'?SIG=a+/b=' and ?X-Amz-Signature=0af&x", 64), "'?SIG=…' and ?X-Amz-Signature=…&x");
        assert_eq!(tidy("?to=https%3A%2F%2Fh%2F%3Fsig%3Dsecret", 64), "?to=https%3A%2F%2Fh%2F%3Fsig%3D…");
        // A signature that the maximum cuts does not show in part.
        assert_eq!(tidy("sig=secret", 8), "sig=…");
        assert_eq!(tidy("the signature is wrong, sig=", 64), "the signature is wrong, sig=…");
    }

    /// `contract::convert` converts a case by its position.
    #[test]
    fn kinds_have_the_cases_of_the_contract_in_its_order() {
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
    fn fault_has_its_subject_and_displays_kind_and_message() {
        let fault = Error::fault("key", "bad");
        assert_eq!((fault.kind, fault.subject.as_deref()), (Kind::InvalidArgument, Some("key")));
        assert_eq!(fault.to_string(), "invalid-argument: bad");
    }
}
