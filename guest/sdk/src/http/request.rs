//! The HTTP requests of the operations, before signing.
//!
//! Arguments are validated here: an invalid one is an error before any request is sent.

pub mod attributes;
mod blob;
mod bucket;
mod checksum;
mod copy;
pub(crate) mod delete_many;
mod listing;
mod metadata;
mod multipart;
mod presign;
mod tags;

use std::borrow::Cow;
use std::fmt;

use crate::contract::error::{Error, Failure};
use crate::contract::model::{ReadConditions, WriteCondition};
use crate::s3::encode;
use crate::s3::headers::{self, Headers, USER_AGENT, is_visible};
use crate::s3::time;
use crate::settings::Settings;

pub use blob::{delete, get, head, put};
pub use bucket::{create_bucket, delete_bucket, head_bucket, in_bucket, list_buckets};
pub use copy::{Source, copy};
pub use delete_many::{DeleteEntry, MAX_DELETES, delete_many};
pub use listing::{list, list_versions};
pub use metadata::MAX_METADATA;
pub(crate) use metadata::metadata;
pub use multipart::{
    abort_upload, complete_upload, copy_part, create_upload, list_parts, list_uploads, part_checksums, upload_part,
};
pub use presign::{MAX_EXPIRES, presign};
pub use tags::{set_tags, tags};

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
}

impl Method {
    /// As it is sent and signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// A request without its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Whether it is sent over TLS.
    pub https: bool,
    /// Host, and port if it is not the scheme's default: the value of `host`.
    pub authority: String,
    /// Percent-encoded path, with a leading slash.
    pub path: String,
    /// Query parameters, not encoded, in the order sent.
    pub query: Headers,
    /// Header fields, names in lower case, each once, without `host`, `content-length` and `user-agent`, which
    /// [`Request::field_lines`] adds.
    pub headers: Headers,
}

impl Request {
    /// Appends a header. The name is in lower case.
    pub fn header(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.headers.push((name.into(), value.into()));
    }

    /// All header fields to send with a body of this length, as lines: those of the request, `host`, `user-agent` and
    /// `content-length`.
    pub fn field_lines(&self, body_length: u64) -> String {
        let agent = ["user-agent", USER_AGENT];
        if matches!(self.method, Method::Put | Method::Post) {
            let length = body_length.to_string();
            return headers::to_lines(&self.authority, &self.headers, &[agent, ["content-length", &length]]);
        }
        headers::to_lines(&self.authority, &self.headers, &[agent])
    }

    /// Appends a query parameter.
    pub fn parameter(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.query.push((name.into(), value.into()));
    }

    /// Like [`Request::path_and_query`], without copying the path if possible.
    pub fn into_path_and_query(self) -> String {
        if self.query.is_empty() { self.path } else { self.path_and_query().into_owned() }
    }

    /// Path and encoded query.
    pub fn path_and_query(&self) -> Cow<'_, str> {
        if self.query.is_empty() {
            return Cow::Borrowed(&self.path);
        }
        let mut target = String::with_capacity(self.path.len() + 64);
        target.push_str(&self.path);
        for (n, (name, value)) in self.query.iter().enumerate() {
            target.push(if n == 0 { '?' } else { '&' });
            for piece in [&encode::query(name), "=", &encode::query(value)] {
                target.push_str(piece);
            }
        }
        Cow::Owned(target)
    }
}

impl fmt::Debug for Request {
    /// Omits values, which include keys and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &Headers| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let Request { method, https, authority, path, query, headers } = self;
        f.debug_struct("Request")
            .field("method", method)
            .field("https", https)
            .field("authority", authority)
            .field("path", path)
            .field("query", &names(query))
            .field("headers", &names(headers))
            .finish()
    }
}

/// A request for the blob with this full key, or for the bucket if it is empty.
pub(crate) fn base(method: Method, settings: &Settings, key: &str) -> Request {
    let endpoint = &settings.endpoint;
    Request {
        method,
        https: endpoint.https,
        authority: endpoint.authority.clone(),
        path: endpoint.object_path(key),
        query: Vec::new(),
        headers: Vec::with_capacity(12),
    }
}

pub(crate) fn version(request: &mut Request, version: Option<&str>) -> Result<(), Failure> {
    if let Some(id) = version {
        check_version(id)?;
        request.parameter("versionId", id);
    }
    Ok(())
}

fn check_version(id: &str) -> Result<(), Failure> {
    if id.is_empty() || id.len() > 1024 || id.chars().any(char::is_control) {
        return Err(Error::fault(
            "version",
            "a version is 1 to 1,024 bytes of text without control characters; leave it out for the current one",
        ));
    }
    Ok(())
}

/// Condition headers of a read.
const READ: [&str; 4] = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

/// Condition headers on the source of a copy.
pub(crate) const SOURCE: [&str; 4] = [
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
];

/// Adds conditions of a read or on the source of a copy, with these header names.
pub(crate) fn conditions(
    request: &mut Request,
    given: &ReadConditions,
    names: [&'static str; 4],
) -> Result<(), Failure> {
    let [matched, unmatched, modified, unmodified] = names;
    if let Some(etag) = &given.if_match {
        request.header(matched, strong(visible(matched, etag)?));
    }
    if let Some(etag) = &given.if_none_match {
        request.header(unmatched, visible(unmatched, etag)?);
    }
    for (name, at) in [(modified, given.if_modified_since), (unmodified, given.if_unmodified_since)] {
        if let Some(at) = at {
            request.header(name, date(name, at.seconds)?);
        }
    }
    Ok(())
}

/// Adds the condition of a write.
pub(crate) fn write_condition(
    request: &mut Request,
    settings: &Settings,
    condition: &WriteCondition,
) -> Result<(), Failure> {
    match condition {
        WriteCondition::Always => {}
        WriteCondition::IfAbsent => request.header("if-none-match", "*"),
        WriteCondition::IfMatch(etag) => {
            let etag = strong(visible("if-match", etag)?);
            let etag = if settings.bare_if_match { etag.trim_matches('"').to_owned() } else { etag };
            request.header("if-match", etag);
        }
    }
    Ok(())
}

/// Makes entity tags strong: a weak one never matches in `if-match` (RFC 9110, section 13.1.1). S3 sends strong tags; only proxies
/// make them weak.
fn strong(etags: String) -> String {
    if etags.contains("W/\"") { etags.replace("W/\"", "\"") } else { etags }
}

fn date(name: &'static str, at: u64) -> Result<String, Failure> {
    if at > time::LAST {
        return Err(Error::fault(name, format!("{name}: {at} seconds since 1970 is later than the year 9999")));
    }
    Ok(time::http_date(at))
}

/// Validates and trims a header's value: visible ASCII and spaces.
pub(crate) fn visible(name: &'static str, value: &str) -> Result<String, Failure> {
    let value = value.trim_matches(' ');
    if !is_visible(value, 1024) {
        return Err(Error::fault(name, format!("{name} must be 1 to 1,024 characters of visible ASCII and spaces")));
    }
    Ok(value.to_owned())
}

/// Whether the byte is valid in a header name (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
