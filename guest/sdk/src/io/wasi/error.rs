//! What the host's errors mean: whose they are, whether the request can have gone out, and what to do.

use crate::contract::bindings::exports::sandbucket::blob::sans_io::TransportError as Cause;
use crate::contract::bindings::wasi::clocks::monotonic_clock;
use crate::contract::bindings::wasi::http::types::{self, DnsErrorPayload, ErrorCode};
use crate::contract::bindings::wasi::io::poll::Pollable;
use crate::contract::bindings::wasi::io::streams::StreamError;
use crate::contract::error::{Kind, MAX_MESSAGE, tidy};
use crate::io::Waits;
use crate::machine::TransportError;
use crate::machine::state::nanos;

/// Ready when the waiting is over that begins now.
pub(super) fn timer(waits: Waits) -> Result<Pollable, TransportError> {
    let now = monotonic_clock::now();
    if now >= waits.deadline {
        return Err(stalled(waits, "there was no time left to wait for it"));
    }
    Ok(first_timer(Waits { now, ..waits }))
}

/// Ready when the waiting is over that began with the request.
pub(super) fn first_timer(waits: Waits) -> Pollable {
    monotonic_clock::subscribe_duration(waits.deadline.saturating_sub(waits.now).min(nanos(waits.idle)))
}

pub(super) fn stalled(waits: Waits, what: &str) -> TransportError {
    let in_time = if monotonic_clock::now() >= waits.deadline { "before the time was up" } else { "in time" };
    let message = format!("{what} {in_time}");
    TransportError { kind: Kind::Timeout, message, not_sent: false, retryable: true }
}

/// What the host does not take into a request. Nothing was sent.
pub(super) fn unfit(part: &str) -> TransportError {
    let message = format!("the host does not take {part} of the request");
    TransportError { kind: Kind::Network, message, not_sent: true, retryable: false }
}

pub(super) fn broken(message: &str) -> TransportError {
    TransportError { kind: Kind::Network, message: message.to_owned(), not_sent: false, retryable: true }
}

pub(super) fn stream_error(error: StreamError) -> TransportError {
    match error {
        StreamError::Closed => broken("the connection was closed"),
        StreamError::LastOperationFailed(error) => match types::http_error_code(&error) {
            Some(code) => TransportError { not_sent: false, retryable: true, ..error_of(&code) },
            None => broken(&format!("the connection broke: {}", tidy(&error.to_debug_string(), 200))),
        },
    }
}

/// The error of a request that another driver sent, with its details.
pub fn transport_error(cause: Cause, detail: Option<&str>) -> TransportError {
    let mut error = error_of(&match cause {
        Cause::DnsError => ErrorCode::DnsError(DnsErrorPayload { rcode: None, info_code: None }),
        Cause::HttpResponseHeaderSectionSize => ErrorCode::HttpResponseHeaderSectionSize(None),
        Cause::DestinationUnavailable => ErrorCode::DestinationUnavailable,
        Cause::DestinationIpProhibited => ErrorCode::DestinationIpProhibited,
        Cause::ConnectionRefused => ErrorCode::ConnectionRefused,
        Cause::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Cause::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        Cause::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Cause::ConnectionWriteTimeout => ErrorCode::ConnectionWriteTimeout,
        Cause::TlsProtocolError => ErrorCode::TlsProtocolError,
        Cause::TlsCertificateError => ErrorCode::TlsCertificateError,
        Cause::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        Cause::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Cause::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Cause::HttpProtocolError => ErrorCode::HttpProtocolError,
    });
    if let Some(detail) = detail {
        error.message.push_str(&format!(" ({})", tidy(detail, MAX_MESSAGE)));
    }
    error
}

/// What the host's error means for the call.
pub(super) fn error_of(code: &ErrorCode) -> TransportError {
    use ErrorCode as E;
    let (kind, not_sent, retryable, message) = match code {
        E::DnsTimeout => (Kind::Timeout, true, true, "its name was not resolved in time"),
        E::DnsError(_) | E::DestinationNotFound => {
            (Kind::Network, true, true, "its name cannot be resolved: check endpoint")
        }
        E::DestinationUnavailable => (Kind::Network, true, true, "it cannot be reached: check endpoint"),
        E::DestinationIpUnroutable => (Kind::Network, true, true, "there is no way to its address: check endpoint"),
        E::DestinationIpProhibited | E::HttpRequestDenied => {
            (Kind::Network, true, false, "the host does not allow the plugin to reach this address")
        }
        E::ConnectionRefused => {
            (Kind::Network, true, true, "it refused the connection: check that it runs, and endpoint")
        }
        E::ConnectionTimeout => (Kind::Timeout, true, true, "it could not be connected to in time"),
        E::ConnectionLimitReached => (Kind::Network, true, true, "the host has no connection to spare"),
        E::ConnectionTerminated => (Kind::Network, false, true, "the connection broke"),
        E::ConnectionReadTimeout => (Kind::Timeout, false, true, "its response stopped arriving"),
        E::ConnectionWriteTimeout => (Kind::Timeout, false, true, "it stopped taking the request"),
        E::HttpResponseTimeout => (Kind::Timeout, false, true, "it did not respond in time"),
        E::TlsCertificateError => {
            (Kind::Network, true, false, "its TLS certificate is not trusted: check endpoint, or give the host its CA")
        }
        E::TlsProtocolError | E::TlsAlertReceived(_) => {
            (Kind::Network, true, true, "TLS failed: check that endpoint speaks https on this port")
        }
        E::HttpResponseIncomplete => (Kind::Network, false, true, "the connection broke in the middle of its response"),
        E::HttpResponseHeaderSectionSize(_)
        | E::HttpResponseHeaderSize(_)
        | E::HttpResponseTrailerSectionSize(_)
        | E::HttpResponseTrailerSize(_) => {
            (Kind::Integrity, false, true, "its response's header is larger than the host takes")
        }
        E::HttpResponseBodySize(_) => {
            (Kind::Integrity, false, true, "its response's body is not of the length announced")
        }
        E::HttpResponseTransferCoding(_) | E::HttpResponseContentCoding(_) => {
            (Kind::Integrity, false, true, "its response is coded in a way the host does not know")
        }
        E::HttpProtocolError => (Kind::Network, false, true, "the connection broke, or its response is not HTTP"),
        E::HttpRequestUriTooLong | E::HttpRequestUriInvalid => {
            (Kind::Network, true, false, "the host does not take its URL")
        }
        E::InternalError(Some(words)) => {
            let message = format!("the host could not do the request: {}", tidy(words, 200));
            return TransportError { kind: Kind::Network, message, not_sent: false, retryable: true };
        }
        E::ConfigurationError => (Kind::Network, true, false, "the host is not set up for this request"),
        _ => (Kind::Network, false, true, "the host could not do the request"),
    };
    TransportError { kind, message: message.to_owned(), not_sent, retryable }
}
