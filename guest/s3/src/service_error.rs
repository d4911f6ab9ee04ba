//! Error responses: their code, message and region, and the error kind and advice for them.
//!
//! The body may be S3's XML, or HTML, JSON or a truncated document of a proxy. It is parsed as far as possible, and not trusted:
//! every text is truncated and sanitized.

use sandbucket_plugin::contract::error::{Kind, MAX_MESSAGE, ServiceResponse, tidy};
use sandbucket_plugin::http::request::Method;
use sandbucket_plugin::http::response::{Head, MAX_ERROR_BODY};
use sandbucket_plugin::service::Classification;
use sandbucket_plugin::xml::{self, Element};

/// Maximum length of a code, request id or region, in bytes.
const MAX_NAME: usize = 256;

/// Parses an error response from its head and the beginning of its body.
///
/// `our_region` is the region requests are signed for: [`ServiceResponse::region`] is set only if it differs.
pub fn parse(head: &Head, body: &[u8], our_region: &str) -> ServiceResponse {
    let found = parse_document(body);
    let named = |text: Option<String>, header: &str| {
        text.or_else(|| head.get(header).map(str::to_owned)).map(|text| tidy(&text, MAX_NAME))
    };
    // The response to a HEAD has no body.
    let header = |names: [&str; 2]| names.iter().find_map(|name| head.get(name)).map(str::to_owned);
    let code = found.code.or_else(|| header(["x-amz-error-code", "x-minio-error-code"]));
    let message = found.message.or_else(|| header(["x-amz-error-message", "x-minio-error-desc"]));
    let region = head.get("x-amz-bucket-region").map(str::to_owned).or(found.region);
    ServiceResponse {
        status: head.status,
        code: code.map(|code| tidy(&code, MAX_NAME)).filter(|code| !code.is_empty()),
        message: message.map(|words| tidy(&words, MAX_MESSAGE)).filter(|words| !words.is_empty()),
        request_id: named(found.request_id, "x-amz-request-id").filter(|id| !id.is_empty()),
        region: region.map(|r| tidy(&r, MAX_NAME)).filter(|r| is_region(r) && r != our_region),
    }
}

/// Whether the body of a successful response is an error document, as some services and proxies send.
pub fn is_error_document(body: &[u8]) -> bool {
    parse_document(body).code.is_some()
}

#[derive(Default)]
struct Found {
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    region: Option<String>,
}

/// Parses `<Error><Code>…`, also inside another element, as far as the document is valid.
fn parse_document(body: &[u8]) -> Found {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_ERROR_BODY)]);
    let (document, _) = xml::read(&text);
    document.as_ref().and_then(|document| error_in(document.root())).map(Found::from).unwrap_or_default()
}

/// The outermost `<Error>`.
fn error_in(element: Element<'_>) -> Option<Element<'_>> {
    if element.name() == "Error" { Some(element) } else { element.children().find_map(error_in) }
}

impl From<Element<'_>> for Found {
    fn from(error: Element<'_>) -> Self {
        let text = |name| error.raw_text(name).map(|text| text.trim().to_owned());
        Found { code: text("Code"), message: text("Message"), request_id: text("RequestId"), region: text("Region") }
    }
}

/// Whether the text can be the name of a region, which advice repeats.
fn is_region(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// A [`Classification`] in a table.
type Entry = (Kind, Option<&'static str>, &'static str);

const fn with_subject(kind: Kind, subject: &'static str, advice: &'static str) -> Entry {
    (kind, Some(subject), advice)
}

/// What HTTP says about a status.
const fn by_http(status: u16) -> Entry {
    let (kind, advice) = Classification::by_status(status);
    (kind, None, advice)
}

const DENIED: Entry = (Kind::AccessDenied, None, "check the keys and what their policy allows on this bucket");

/// Without credentials, the advice is to set some.
const DENIED_ANONYMOUS: Entry = with_subject(
    Kind::AccessDenied,
    "access-key",
    "the request was anonymous, and it does not allow this without credentials: none were found, set access-key and \
     secret-key",
);

/// Classification of S3's error codes.
const CODES: [(&[&str], Entry); 24] = [
    (&["NoSuchKey"], (Kind::NotFound, None, "there is no such key")),
    (&["NoSuchVersion"], (Kind::NotFound, None, "there is no such version of the key")),
    (
        &["NoSuchUpload"],
        (Kind::NotFound, None, "there is no such upload: it was completed or aborted, or it has expired"),
    ),
    (
        &["NoSuchBucket"],
        with_subject(
            Kind::NotFound,
            "bucket",
            "there is no such bucket: make it, or check bucket, endpoint and addressing-style",
        ),
    ),
    (&["InvalidBucketName"], with_subject(Kind::InvalidSettings, "bucket", "it does not take this bucket name")),
    (&["InvalidAccessKeyId"], with_subject(Kind::AccessDenied, "access-key", "it does not know this access-key")),
    (
        &["SignatureDoesNotMatch"],
        with_subject(
            Kind::AccessDenied,
            "secret-key",
            "the secret-key does not belong to the access-key, or a proxy in between changed the request",
        ),
    ),
    (
        &["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"],
        with_subject(Kind::AccessDenied, "security-token", "the temporary credentials have expired: get fresh ones"),
    ),
    (
        &["InvalidToken"],
        with_subject(
            Kind::AccessDenied,
            "security-token",
            "the security-token is not the one of this access-key, or is missing",
        ),
    ),
    (
        &["RequestTimeTooSkewed", "RequestExpired"],
        (Kind::AccessDenied, None, "this machine's clock and the service's are too far apart: set the clock"),
    ),
    (&["AccessDenied", "AllAccessDisabled", "AccountProblem", "NotSignedUp"], DENIED),
    (
        &["InvalidObjectState"],
        (
            Kind::Service,
            None,
            "the blob is archived (its storage class is GLACIER, DEEP_ARCHIVE or an archive tier): restore it with \
             RestoreObject, and read it once that is done",
        ),
    ),
    (
        &["BucketAlreadyExists", "BucketAlreadyOwnedByYou"],
        (Kind::Conflict, None, "there is a bucket of this name already"),
    ),
    (
        &["BucketNotEmpty"],
        (Kind::Conflict, None, "the bucket is not empty: delete its blobs, versions and uploads first"),
    ),
    (&["PreconditionFailed"], by_http(412)),
    (&["InvalidRange"], by_http(416)),
    (
        &["ConditionalRequestConflict", "OperationAborted"],
        (Kind::Conflict, None, "another write of this key is in progress"),
    ),
    (
        &[
            "SlowDown",
            "TooManyRequests",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "BandwidthLimitExceeded",
            "SlowDownRead",
            "SlowDownWrite",
        ],
        by_http(429),
    ),
    (&["RequestTimeout", "RequestTimeoutException"], (Kind::Timeout, None, "the body did not reach it in time")),
    (&["EntityTooLarge", "MaxMessageLengthExceeded"], by_http(413)),
    (
        &["BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "InvalidDigest"],
        (Kind::Integrity, None, "the body did not reach it as it was sent"),
    ),
    (&["NotImplemented"], (Kind::Unsupported, None, "it does not know this operation or one of its conditions")),
    (
        &["PermanentRedirect", "TemporaryRedirect", "Redirect"],
        with_subject(
            Kind::InvalidSettings,
            "endpoint",
            "the bucket is served elsewhere, and redirects are not followed: set region or endpoint to where it is",
        ),
    ),
    (
        &["AuthorizationHeaderMalformed", "IllegalLocationConstraintException"],
        with_subject(Kind::InvalidSettings, "region", "it expects another region: set region to the bucket's"),
    ),
];

/// Classifies an error response. `response` was parsed from `head`.
pub fn classify(method: Method, head: &Head, response: &ServiceResponse, anonymous: bool) -> Classification {
    if let (301 | 302 | 307 | 308 | 400, Some(region)) = (response.status, &response.region) {
        let advice = format!("the bucket is in the region {region}: set region = \"{region}\"");
        return Classification::new(Kind::InvalidSettings, advice).with_subject("region");
    }
    let code = response.code.as_deref().unwrap_or_default();
    let (kind, subject, advice) = match CODES.iter().find(|(codes, _)| codes.contains(&code)) {
        Some(&(_, DENIED)) if anonymous => DENIED_ANONYMOUS,
        Some(&(_, entry)) => entry,
        None if (300..=399).contains(&response.status) && response.status != 304 => {
            let to = head.get("location").map_or(String::new(), |to| format!(" to \"{}\"", tidy(to, 200)));
            let advice = format!(
                "it redirects{to}, and redirects are not followed: set endpoint (or region) to where the bucket is"
            );
            return Classification::new(Kind::InvalidSettings, advice).with_subject("endpoint");
        }
        None => by_status(method, head, response.status, anonymous),
    };
    Classification::new(kind, advice).with_subject(subject)
}

fn by_status(method: Method, head: &Head, status: u16, anonymous: bool) -> Entry {
    match status {
        400 if method == Method::Head => (
            Kind::Service,
            None,
            "a HEAD is refused without words: an expired security token or a wrong region does this",
        ),
        401 | 403 if anonymous => DENIED_ANONYMOUS,
        401 | 403 => DENIED,
        404 => (Kind::NotFound, None, "there is no such key, or no such bucket"),
        405 if head.get("x-amz-delete-marker") == Some("true") => {
            (Kind::NotFound, None, "this version is a delete marker")
        }
        405 | 501 => (Kind::Unsupported, None, "it does not know this operation, or the endpoint is not S3's"),
        _ => by_http(status),
    }
}

#[cfg(test)]
mod tests;
