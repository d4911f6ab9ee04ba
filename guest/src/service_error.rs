//! A service's refusal: what its status and its error body mean.
//!
//! The body may be S3's XML, or whatever a proxy in between thought right: HTML, JSON, half of something, nothing. All
//! of it is read as far as it goes, and none of it is trusted.

use crate::error::{Answer, Kind, MAX_WORDS, tidy};
use crate::request::Method;
use crate::response::Head;
use crate::xml::{self, Element};

/// How much of an error body is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The longest code, request id or region that is taken for one, in bytes.
const MAX_NAME: usize = 256;

/// What the service answered, from the answer's head and the beginning of its body.
///
/// `our_region` is the one that requests are signed for: only another one is told in [`Answer::region`].
pub fn answer(head: &Head, body: &[u8], our_region: &str) -> Answer {
    let found = parse(body);
    let named = |text: Option<String>, header: &str| {
        text.or_else(|| head.get(header).map(str::to_owned)).map(|text| tidy(&text, MAX_NAME))
    };
    let region = head.get("x-amz-bucket-region").map(str::to_owned).or(found.region);
    Answer {
        status: head.status,
        code: found.code.map(|code| tidy(&code, MAX_NAME)).filter(|code| !code.is_empty()),
        message: found.message.map(|words| tidy(&words, MAX_WORDS)).filter(|words| !words.is_empty()),
        request_id: named(found.request_id, "x-amz-request-id").filter(|id| !id.is_empty()),
        region: region.map(|r| tidy(&r, MAX_NAME)).filter(|r| is_region(r) && r != our_region),
    }
}

/// Whether an answer that claims success holds an error all the same, as some services and proxies have it.
pub fn is_error_document(body: &[u8]) -> bool {
    parse(body).code.is_some()
}

#[derive(Default)]
struct Found {
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    region: Option<String>,
}

/// Reads `<Error><Code>…`, by itself or within an outer element, as far as it is XML at all.
fn parse(body: &[u8]) -> Found {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY)]);
    let (root, _) = xml::read(&text);
    root.as_ref().and_then(|root| error_in(root)).map(Found::from).unwrap_or_default()
}

/// The outermost `<Error>`.
fn error_in(element: &Element) -> Option<&Element> {
    if element.name == "Error" { Some(element) } else { element.children.iter().find_map(error_in) }
}

impl From<&Element> for Found {
    fn from(error: &Element) -> Self {
        let text = |name| error.exact(name).map(|text| text.trim().to_owned());
        Found { code: text("Code"), message: text("Message"), request_id: text("RequestId"), region: text("Region") }
    }
}

/// Whether this can be a region's name: it is put into advice to people.
fn is_region(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// What to say of a precondition.
const UNMET: &str = "the precondition does not hold for what is there";

/// Which case of the contract's error a refusal is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The case.
    pub kind: Kind,
    /// The setting or argument at fault.
    pub subject: Option<&'static str>,
    /// One sentence for people; empty where there is nothing to say.
    pub advice: String,
}

impl Verdict {
    fn new(kind: Kind, advice: &str) -> Self {
        Verdict { kind, subject: None, advice: advice.to_owned() }
    }

    fn of(kind: Kind, subject: &'static str, advice: impl Into<String>) -> Self {
        Verdict { kind, subject: Some(subject), advice: advice.into() }
    }
}

/// What a refusal means. `head` is the answer that `answer` was read from.
pub fn verdict(method: Method, head: &Head, answer: &Answer, anonymous: bool) -> Verdict {
    if let (301 | 302 | 307 | 308 | 400, Some(region)) = (answer.status, &answer.region) {
        return Verdict::of(
            Kind::InvalidSettings,
            "region",
            format!("the bucket is in the region {region}: set region = \"{region}\""),
        );
    }
    if let Some(code) = &answer.code
        && let Some(verdict) = by_code(code)
    {
        return verdict;
    }
    match answer.status {
        300..=399 if answer.status != 304 => {
            let to = head.get("location").map_or(String::new(), |to| format!(" to \"{}\"", tidy(to, 200)));
            Verdict::of(
                Kind::InvalidSettings,
                "endpoint",
                format!(
                    "it redirects{to}, and redirects are not followed: set endpoint (or region) to where the bucket is"
                ),
            )
        }
        304 => Verdict::new(Kind::NotModified, "the blob is still the one that the condition names"),
        400 if method == Method::Head => Verdict::new(
            Kind::Service,
            "a HEAD is refused without words: an expired security token or a wrong region does this",
        ),
        401 | 403 if anonymous => Verdict::of(
            Kind::AccessDenied,
            "access-key",
            "it does not allow this without credentials: set access-key and secret-key",
        ),
        401 | 403 => Verdict::new(Kind::AccessDenied, "check the keys and what their policy allows on this bucket"),
        404 => Verdict::new(Kind::NotFound, "there is no such key, or no such bucket"),
        405 if head.get("x-amz-delete-marker") == Some("true") => {
            Verdict::new(Kind::NotFound, "this version is a delete marker")
        }
        405 | 501 => Verdict::new(Kind::Unsupported, "it does not know this operation, or the endpoint is not S3's"),
        407 => Verdict::new(Kind::Network, "a proxy in between wants credentials"),
        408 => Verdict::new(Kind::Timeout, ""),
        409 => Verdict::new(Kind::Conflict, ""),
        411 => Verdict::new(Kind::Unsupported, "it wants the length in another way, or a proxy in between took it out"),
        412 => Verdict::new(Kind::PreconditionFailed, UNMET),
        413 => Verdict::new(Kind::TooLarge, "the body is larger than it takes"),
        416 => Verdict::new(Kind::InvalidRange, "no byte of the blob is in the range"),
        429 => Verdict::new(Kind::Throttled, "it asks for fewer requests"),
        200..=299 => Verdict::new(Kind::Integrity, "it is no answer to this request"),
        _ => Verdict::new(Kind::Service, ""),
    }
}

fn by_code(code: &str) -> Option<Verdict> {
    Some(match code {
        "NoSuchKey" => Verdict::new(Kind::NotFound, "there is no such key"),
        "NoSuchVersion" => Verdict::new(Kind::NotFound, "there is no such version of the key"),
        "NoSuchUpload" => {
            Verdict::new(Kind::NotFound, "there is no such upload: it was completed or aborted, or it has expired")
        }
        "NoSuchBucket" => Verdict::of(
            Kind::NotFound,
            "bucket",
            "there is no such bucket: make it, or check bucket, endpoint and addressing-style",
        ),
        "InvalidBucketName" => Verdict::of(Kind::InvalidSettings, "bucket", "it does not take this bucket name"),
        "InvalidAccessKeyId" => Verdict::of(Kind::AccessDenied, "access-key", "it does not know this access-key"),
        "SignatureDoesNotMatch" => Verdict::of(
            Kind::AccessDenied,
            "secret-key",
            "the secret-key does not belong to the access-key, or a proxy in between changed the request",
        ),
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            Verdict::of(Kind::AccessDenied, "security-token", "the temporary credentials have expired: get fresh ones")
        }
        "InvalidToken" => Verdict::of(
            Kind::AccessDenied,
            "security-token",
            "the security-token is not the one of this access-key, or is missing",
        ),
        "RequestTimeTooSkewed" | "RequestExpired" => {
            Verdict::new(Kind::AccessDenied, "this machine's clock and the service's are too far apart: set the clock")
        }
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "NotSignedUp" => {
            Verdict::new(Kind::AccessDenied, "check the keys and what their policy allows on this bucket")
        }
        "PreconditionFailed" => Verdict::new(Kind::PreconditionFailed, UNMET),
        "InvalidRange" => Verdict::new(Kind::InvalidRange, "no byte of the blob is in the range"),
        "ConditionalRequestConflict" | "OperationAborted" => {
            Verdict::new(Kind::Conflict, "another write of this key is under way")
        }
        "SlowDown"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "BandwidthLimitExceeded"
        | "SlowDownRead"
        | "SlowDownWrite" => Verdict::new(Kind::Throttled, "it asks for fewer requests"),
        "RequestTimeout" | "RequestTimeoutException" => {
            Verdict::new(Kind::Timeout, "the body did not reach it in time")
        }
        "EntityTooLarge" | "MaxMessageLengthExceeded" => {
            Verdict::new(Kind::TooLarge, "the body is larger than it takes")
        }
        "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch" | "InvalidDigest" => {
            Verdict::new(Kind::Integrity, "the body did not reach it as it was sent")
        }
        "NotImplemented" => Verdict::new(Kind::Unsupported, "it does not know this operation or one of its conditions"),
        "PermanentRedirect" | "TemporaryRedirect" | "Redirect" => Verdict::of(
            Kind::InvalidSettings,
            "endpoint",
            "the bucket is served elsewhere, and redirects are not followed: set region or endpoint to where it is",
        ),
        "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            Verdict::of(Kind::InvalidSettings, "region", "it expects another region: set region to the bucket's")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
