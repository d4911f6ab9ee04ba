//! What a request that a plugin builds may look like: its method, its header fields, its size.
//!
//! Framing and routing of a message belong to the host (RFC 9112): a field that changes how a connection is used or where
//! a message ends, such as `connection`, `expect`, `te`, `trailer`, `transfer-encoding` or `upgrade`, is in no list here.
//! The lists are of what blob stores take; a field beyond them is an error that names it.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, Method, Uri};

use crate::text::sanitize;

/// Bytes of a request's header fields, names and values. S3 takes 8 KiB; tags of a blob, percent-encoded, can be 36 KiB.
pub(super) const MAX_HEADER: usize = 64 << 10;
/// Header fields of a request. S3's 2 KiB of metadata are some hundred at most.
pub(super) const MAX_FIELDS: usize = 1024;
/// Bytes of a request's path and query: a key of 1,024 bytes, percent-encoded, and a continuation token.
pub(super) const MAX_PATH: usize = 32 << 10;

/// Bytes of a method or a field's name that an error shows.
const MAX_SHOWN: usize = 64;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To look at a blob.
    Head,
    /// To read a blob.
    Read,
    /// To write a blob or a part of one.
    Write,
    /// Any operation: a request of the plugin's own, over wasi:http.
    Own,
}

/// Fields of any request.
const COMMON: [&str; 4] = ["accept", "authorization", "date", "user-agent"];
/// What extension fields of blob stores begin with: S3 and what is compatible to it, Azure, Google.
const EXTENSIONS: [&str; 3] = ["x-amz-", "x-ms-", "x-goog-"];
/// Fields of a read (RFC 9110, sections 13.1 and 14.2) and, but for the range, of a write.
const CONDITIONS: [&str; 4] = ["if-match", "if-modified-since", "if-none-match", "if-unmodified-since"];
/// Fields that are stored with a blob, or are about the body that is sent.
const CONTENT: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
];

impl Purpose {
    /// Fails with what is wrong with a request of this method.
    pub(super) fn check_method(self, method: &Method) -> Result<(), String> {
        let allowed: &[Method] = match self {
            Purpose::Head => &[Method::HEAD],
            Purpose::Read => &[Method::GET],
            Purpose::Write => &[Method::PUT],
            Purpose::Own => &[Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE],
        };
        check_method(allowed, method)
    }

    /// Fails with what is wrong with a request that has this field.
    pub(super) fn check_field(self, name: &HeaderName) -> Result<(), String> {
        let name = name.as_str();
        let allowed = COMMON.contains(&name)
            || EXTENSIONS.iter().any(|prefix| name.starts_with(prefix))
            || match self {
                Purpose::Head => CONDITIONS.contains(&name),
                Purpose::Read => name == "range" || CONDITIONS.contains(&name),
                Purpose::Write => CONTENT.contains(&name) || CONDITIONS.contains(&name),
                Purpose::Own => name == "range" || CONTENT.contains(&name) || CONDITIONS.contains(&name),
            };
        if allowed {
            return Ok(());
        }
        let name = sanitize(name, MAX_SHOWN);
        Err(format!("the plugin built a request with the header {name}, which is not allowed here"))
    }
}

fn check_method(allowed: &[Method], method: &Method) -> Result<(), String> {
    if allowed.contains(method) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let method = sanitize(method.as_str(), MAX_SHOWN);
    Err(format!("the plugin built a request with the method {method}, and only {names} is allowed here"))
}

/// Fails with what is wrong with a request of the plugin's own, but for its body. That may have a `content-length`, which
/// wasi:http holds the body to.
pub(super) fn check_own(methods: &[Method], method: &Method, uri: &Uri, fields: &HeaderMap) -> Result<(), String> {
    check_method(methods, method)?;
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if path > MAX_PATH {
        return Err(format!("the plugin built a request with a path of {path} bytes, and {MAX_PATH} are allowed"));
    }
    if fields.len() > MAX_FIELDS {
        return Err(format!("the plugin built a request with more than {MAX_FIELDS} header fields"));
    }
    let mut bytes = 0;
    for (name, value) in fields {
        if name != CONTENT_LENGTH {
            Purpose::Own.check_field(name)?;
        }
        bytes += name.as_str().len() + value.len();
    }
    if bytes > MAX_HEADER {
        return Err(format!("the plugin built a request with {bytes} bytes of header, and {MAX_HEADER} are allowed"));
    }
    Ok(())
}

/// Whether this request may be sent twice although the first may have been applied: the second then finds what the first left,
/// and comes to the same. A write on a condition does not: its own success can make the condition fail.
pub(super) fn is_repeatable(method: &Method, fields: &HeaderMap) -> bool {
    match *method {
        Method::GET | Method::HEAD => true,
        Method::PUT => !fields.keys().any(is_condition_of_write),
        _ => false,
    }
}

/// Whether a write with this field depends on what is there: HTTP's conditions, those of S3's directory buckets, the place at
/// which an append begins, and Google's.
fn is_condition_of_write(name: &HeaderName) -> bool {
    let name = name.as_str();
    CONDITIONS.contains(&name)
        || ["x-amz-if-match-", "x-goog-if-"].iter().any(|prefix| name.starts_with(prefix))
        || matches!(name, "x-amz-write-offset-bytes" | "x-ms-blob-condition-appendpos")
}

/// Whether a request of this method has a body.
pub(crate) fn has_body(method: &Method) -> bool {
    matches!(*method, Method::PUT | Method::POST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Purpose; 4] = [Purpose::Head, Purpose::Read, Purpose::Write, Purpose::Own];

    #[test]
    fn fields_that_frame_or_route_a_message_are_refused_for_every_purpose() {
        for name in [
            "connection",
            "content-length",
            "expect",
            "forwarded",
            "host",
            "http2-settings",
            "keep-alive",
            "max-forwards",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "via",
            "x-forwarded-for",
            "x-http-method-override",
            "x-original-url",
            "cookie",
            "accept-encoding",
        ] {
            let name = HeaderName::from_static(name);
            assert!(ALL.iter().all(|purpose| purpose.check_field(&name).is_err()), "{name}");
        }
    }

    #[test]
    fn each_purpose_has_its_method_and_its_fields() {
        let methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "CONNECT", "TRACE", "OPTIONS", "PATCH", "PROPFIND"];
        let allowed = |purpose: Purpose| {
            methods.iter().filter(move |name| purpose.check_method(&name.parse().unwrap()).is_ok()).copied()
        };
        assert!(allowed(Purpose::Head).eq(["HEAD"]));
        assert!(allowed(Purpose::Read).eq(["GET"]));
        assert!(allowed(Purpose::Write).eq(["PUT"]));
        assert!(allowed(Purpose::Own).eq(["GET", "HEAD", "PUT", "POST", "DELETE"]));
        let allowed = |name: &'static str| {
            let name = HeaderName::from_static(name);
            ALL.map(|purpose| purpose.check_field(&name).is_ok())
        };
        assert_eq!(allowed("x-amz-date"), [true; 4]);
        assert_eq!(allowed("if-match"), [true; 4]);
        assert_eq!(allowed("range"), [false, true, false, true]);
        assert_eq!(allowed("content-type"), [false, false, true, true]);
        assert_eq!(allowed("x-other"), [false; 4]);
    }
}
