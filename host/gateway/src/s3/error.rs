//! Errors of the tenant's store as S3 errors for the client.
//!
//! The client gets the code, the status and the request id of the service, and S3's own wording: the store's messages name the
//! tenant's endpoint, bucket and keys, and go to the log only. Errors that concern the tenant's credentials or settings are the
//! operator's, and become `ServiceUnavailable` or `InternalError`.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::{S3Error, S3ErrorCode};
use sandbucket::Error;

/// Codes of the service about the request that the gateway itself made, not the client's.
const OWN_FAULTS: [&str; 13] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "IllegalLocationConstraintException",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "MissingSecurityHeader",
    "NotSignedUp",
    "PermanentRedirect",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TemporaryRedirect",
    "TokenRefreshRequired",
];
/// Maximum length of a code that the service makes up.
const MAX_CODE: usize = 64;
/// Interval between warnings of a tenant's calls.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Tenants that are remembered: above it, those without a recent warning are forgotten.
const MAX_LOGGED: usize = 1024;
/// `Retry-After` of a throttled request if the time is unknown.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Converts an error of the tenant's store.
pub(super) fn convert(error: &Error, tenant: &str, operation: &'static str) -> S3Error {
    let response = error.failure().and_then(|failure| failure.response.as_ref());
    let service_code = response.and_then(|response| response.code.as_deref()).filter(|code| is_code(code));
    let own_fault = matches!(error, Error::InvalidSettings(_) | Error::Config { .. })
        // The tenant's credentials cannot be had at present.
        || matches!(error, Error::AccessDenied(failure) if failure.response.is_none() && failure.retryable)
        || service_code.is_some_and(|code| OWN_FAULTS.contains(&code));
    let (code, message) = if own_fault {
        (S3ErrorCode::ServiceUnavailable, "The storage behind this bucket does not accept the gateway's requests.")
    } else {
        match (service_code.and_then(|code| S3ErrorCode::from_bytes(code.as_bytes())), own_code(error)) {
            // The case of the error is more precise than the codes that services use for everything.
            (Some(code), (general, message)) if code.as_str() == "InternalError" && general != code => {
                (general, message)
            }
            (Some(code), _) => {
                let message = wording(&code);
                (code, message)
            }
            (None, (code, message)) => (code, message),
        }
    };
    match if is_expected(error) { None } else { LOGGED.admit(tenant) } {
        Some(suppressed) => {
            tracing::warn!(tenant, operation, code = code.as_str(), suppressed, %error, "a call failed");
        }
        None => tracing::debug!(tenant, operation, code = code.as_str(), %error, "a call failed"),
    }
    let retry_after = matches!(code, S3ErrorCode::SlowDown).then(|| retry_after(error));
    let known = code.status_code().is_some();
    let mut converted = S3Error::with_message(code, message);
    if !known {
        let status = response.and_then(|response| StatusCode::from_u16(response.status).ok());
        let failed = status.filter(|status| status.is_client_error() || status.is_server_error());
        converted.set_status_code(failed.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    }
    let mut headers = HeaderMap::new();
    if let Some(id) = response.and_then(|response| response.request_id.as_deref())
        && let Ok(value) = HeaderValue::from_str(id)
    {
        converted.set_request_id(id);
        headers.insert("x-amz-request-id", value);
    }
    if let Some(time) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
    }
    converted.set_headers(headers);
    converted
}

/// Warnings of the calls of tenants: one per tenant and interval, so that no tenant fills the log.
static LOGGED: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);

#[derive(Default)]
struct LogLimit(Mutex<HashMap<String, (Instant, u64)>>);

impl LogLimit {
    /// The number of warnings suppressed before this one; `None` if this one is.
    fn admit(&self, tenant: &str) -> Option<u64> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if tenants.len() >= MAX_LOGGED {
            tenants.retain(|_, (last, _)| now.duration_since(*last) < LOG_INTERVAL);
        }
        match tenants.get_mut(tenant) {
            Some((last, suppressed)) if now.duration_since(*last) < LOG_INTERVAL => {
                *suppressed += 1;
                None
            }
            Some(known) => Some(std::mem::replace(known, (now, 0)).1),
            None => {
                tenants.insert(tenant.to_owned(), (now, 0));
                Some(0)
            }
        }
    }
}

/// Whether an error is an ordinary response, or one that the metrics count: no line in the log.
fn is_expected(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound(_)
            | Error::PreconditionFailed(_)
            | Error::NotModified(_)
            | Error::InvalidRange(_)
            | Error::Conflict(_)
            | Error::InvalidArgument(_)
            | Error::Throttled(_)
            | Error::Busy { .. }
    )
}

/// The time after which a throttled request may succeed.
fn retry_after(error: &Error) -> Duration {
    let time = error.retry_after().unwrap_or(DEFAULT_RETRY_AFTER);
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// Code and message of an error without a response, or whose response has no code.
fn own_code(error: &Error) -> (S3ErrorCode, &'static str) {
    use S3ErrorCode as Code;
    let code = match error {
        Error::NotFound(_) if error.is_missing_bucket() => Code::NoSuchBucket,
        Error::NotFound(_) => Code::NoSuchKey,
        Error::PreconditionFailed(_) => Code::PreconditionFailed,
        Error::NotModified(_) => Code::NotModified,
        Error::InvalidRange(_) => Code::InvalidRange,
        Error::Conflict(_) => Code::ConditionalRequestConflict,
        Error::AccessDenied(_) => Code::AccessDenied,
        Error::Throttled { .. } | Error::Busy { .. } | Error::NoMemory { .. } => Code::SlowDown,
        Error::Timeout(_) | Error::Network(_) | Error::Overdue { .. } => Code::ServiceUnavailable,
        Error::InvalidArgument(_) => Code::InvalidArgument,
        Error::TooLarge(_) => Code::EntityTooLarge,
        Error::Unsupported(_) => Code::NotImplemented,
        Error::Archived(_) => Code::InvalidObjectState,
        _ => Code::InternalError,
    };
    let message = wording(&code);
    (code, message)
}

/// S3's wording of a code.
fn wording(code: &S3ErrorCode) -> &'static str {
    match code.as_str() {
        "AccessDenied" => "Access Denied",
        "BadDigest" => "The Content-MD5 or checksum value that you specified did not match what the server received.",
        "ConditionalRequestConflict" => {
            "The conditional request cannot succeed due to a conflicting operation against this resource."
        }
        "EntityTooLarge" => "Your proposed upload exceeds the maximum allowed size",
        "EntityTooSmall" => "Your proposed upload is smaller than the minimum allowed size",
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidArgument" => "Invalid Argument",
        "InvalidObjectState" => "The operation is not valid for the object's storage class",
        "InvalidPart" => {
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified \
             entity tag may not match the part's entity tag."
        }
        "InvalidPartOrder" => "The list of parts was not in ascending order. Parts must be ordered by part number.",
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidRequest" => "Invalid Request",
        "InvalidTag" => {
            "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation."
        }
        "KeyTooLongError" => "Your key is too long",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "NoSuchUpload" => {
            "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been \
             aborted or completed."
        }
        "NoSuchVersion" => "The specified version does not exist.",
        "NotImplemented" => "A header you provided implies functionality that is not implemented",
        "NotModified" => "Not Modified",
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold",
        "ServiceUnavailable" => "Service is unable to handle request.",
        "SlowDown" => "Please reduce your request rate.",
        _ => "The storage behind this bucket rejected the request.",
    }
}

fn is_code(code: &str) -> bool {
    (1..=MAX_CODE).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket::{Failure, ServiceResponse};

    fn failure(status: u16, code: Option<&str>) -> Box<Failure> {
        let mut response = ServiceResponse::default();
        response.status = status;
        response.code = code.map(str::to_owned);
        response.message = Some("the key AKIDTENANT".to_owned());
        response.request_id = Some("backend-1".to_owned());
        let mut failure = Failure::new("get \"k\" of tenant-bucket at https://internal:9000");
        failure.response = Some(response);
        Box::new(failure)
    }

    #[test]
    fn warnings_are_limited_per_tenant() {
        let limit = LogLimit::default();
        assert_eq!((limit.admit("a"), limit.admit("a"), limit.admit("b")), (Some(0), None, Some(0)));
    }

    #[test]
    fn service_code_and_request_id_pass_and_details_do_not() {
        let mut unready = Box::new(Failure::new("the provider of https://internal:9000 has no credentials"));
        unready.retryable = true;
        let cases = [
            (Error::NotFound(failure(404, Some("NoSuchKey"))), "NoSuchKey", 404),
            (Error::NotFound(failure(404, Some("NoSuchUpload"))), "NoSuchUpload", 404),
            (Error::NotFound(failure(404, None)), "NoSuchKey", 404),
            (Error::AccessDenied(failure(403, Some("AccessDenied"))), "AccessDenied", 403),
            (Error::AccessDenied(failure(403, Some("InvalidAccessKeyId"))), "ServiceUnavailable", 503),
            (Error::AccessDenied(failure(403, Some("SignatureDoesNotMatch"))), "ServiceUnavailable", 503),
            (Error::Service(failure(409, Some("VendorSpecific"))), "VendorSpecific", 409),
            (Error::Service(failure(409, Some("<bad>"))), "InternalError", 500),
            (Error::Service(failure(200, Some("Odd"))), "Odd", 500),
            (Error::Timeout(failure(504, None)), "ServiceUnavailable", 503),
            (Error::Unsupported(failure(501, None)), "NotImplemented", 501),
            (Error::AccessDenied(unready), "ServiceUnavailable", 503),
        ];
        for (error, code, status) in cases {
            let has_response = error.failure().is_some_and(|failure| failure.response.is_some());
            let converted = convert(&error, "alice", "GetObject");
            assert_eq!(converted.code().as_str(), code, "{error:?}");
            assert_eq!(converted.status_code().map(|status| status.as_u16()), Some(status), "{code}");
            assert_eq!(converted.request_id(), has_response.then_some("backend-1"));
            let shown = format!("{:?} {:?}", converted.message(), converted.headers());
            assert!(!shown.contains("AKID") && !shown.contains("internal:9000") && !shown.contains("tenant-bucket"));
        }
    }
}
