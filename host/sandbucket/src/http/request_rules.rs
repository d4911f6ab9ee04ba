//! What a request that a plugin builds may look like: its method, its header fields, its size.
//!
//! Framing and routing of a message belong to the host (RFC 9112): a field that changes how a connection is used or where
//! a message ends, such as `connection`, `expect`, `te`, `trailer`, `transfer-encoding` or `upgrade`, is in no list here.
//! The lists are of what blob stores take; a field beyond them is an error that names it.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, Method, Request};
use http_body::Body;

use crate::text::sanitize;

/// Bytes of a request's header fields, names and values. S3 takes 8 KiB; tags of a blob, percent-encoded, can be 36 KiB.
pub(super) const MAX_HEADER: usize = 64 << 10;
/// Header fields of a request. S3's 2 KiB of metadata are some hundred at most.
pub(super) const MAX_FIELDS: usize = 1024;
/// Bytes of a request's path and query: a key of 1,024 bytes, percent-encoded, and a continuation token.
pub(super) const MAX_PATH: usize = 32 << 10;

/// Bytes of a method or a field's name that an error shows.
const MAX_SHOWN: usize = 64;

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

/// Fails with what is wrong with a request of this method that has this field.
pub(super) fn check_field(method: &Method, name: &HeaderName) -> Result<(), String> {
    let name = name.as_str();
    let allowed = COMMON.contains(&name)
        || EXTENSIONS.iter().any(|prefix| name.starts_with(prefix))
        || CONDITIONS.contains(&name)
        || match *method {
            Method::GET => name == "range",
            Method::PUT | Method::POST => CONTENT.contains(&name),
            _ => false,
        };
    if allowed {
        return Ok(());
    }
    let name = sanitize(name, MAX_SHOWN);
    Err(format!("the plugin built a request with the header {name}, which is not allowed here"))
}

/// Fails if the method is none of these.
pub(super) fn check_method(allowed: &[Method], method: &Method) -> Result<(), String> {
    if allowed.contains(method) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let method = sanitize(method.as_str(), MAX_SHOWN);
    Err(format!("the plugin built a request with the method {method}, and only {names} is allowed here"))
}

/// Fails with what is wrong with a request that a plugin sends over wasi:http, which holds its body to the `content-length`.
pub(super) fn check_own<B: Body>(methods: &[Method], request: &Request<B>) -> Result<(), String> {
    let (method, fields) = (request.method(), request.headers());
    check_method(methods, method)?;
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if path > MAX_PATH {
        return Err(format!("the plugin built a request with a path of {path} bytes, and {MAX_PATH} are allowed"));
    }
    if fields.len() > MAX_FIELDS {
        return Err(format!("the plugin built a request with more than {MAX_FIELDS} header fields"));
    }
    let mut bytes = 0;
    for (name, value) in fields {
        if name != CONTENT_LENGTH {
            check_field(method, name)?;
        }
        bytes += name.as_str().len() + value.len();
    }
    if bytes > MAX_HEADER {
        return Err(format!("the plugin built a request with {bytes} bytes of header, and {MAX_HEADER} are allowed"));
    }
    // A body is for methods that have one, and says how long it is.
    match fields.get(CONTENT_LENGTH) {
        None if request.body().is_end_stream() => Ok(()),
        Some(length) if length == "0" => Ok(()),
        _ if !has_body(method) => Err(format!("the plugin sent a body with a {method} request")),
        Some(_) => Ok(()),
        None => Err("the plugin sent a body without its content-length".to_owned()),
    }
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
pub(super) fn has_body(method: &Method) -> bool {
    matches!(*method, Method::PUT | Method::POST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Method; 5] = [Method::HEAD, Method::GET, Method::PUT, Method::POST, Method::DELETE];

    #[test]
    fn fields_that_frame_or_route_a_message_are_refused_for_every_method() {
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
            assert!(ALL.iter().all(|method| check_field(method, &name).is_err()), "{name}");
        }
    }

    #[test]
    fn each_method_has_its_fields() {
        let allowed = |name: &'static str| {
            let name = HeaderName::from_static(name);
            ALL.map(|method| check_field(&method, &name).is_ok())
        };
        assert_eq!(allowed("x-amz-date"), [true; 5]);
        assert_eq!(allowed("if-match"), [true; 5]);
        assert_eq!(allowed("range"), [false, true, false, false, false]);
        assert_eq!(allowed("content-type"), [false, false, true, true, false]);
        assert_eq!(allowed("x-other"), [false; 5]);
    }

    #[test]
    fn methods_are_those_of_the_operation() {
        let methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "CONNECT", "TRACE", "OPTIONS", "PATCH", "PROPFIND"];
        let allowed = |of: &'static [Method]| {
            methods.iter().filter(move |name| check_method(of, &name.parse().unwrap()).is_ok()).copied()
        };
        assert!(allowed(&[Method::GET, Method::HEAD]).eq(["GET", "HEAD"]));
        assert!(allowed(&[]).eq([] as [&str; 0]));
    }
}
