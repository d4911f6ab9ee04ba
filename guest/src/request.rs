//! What to ask: the HTTP requests of the operations, not yet signed.
//!
//! What a caller gives is checked here, so that a bad argument is an error before anything is sent.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::encode;
use crate::endpoint::Endpoint;
use crate::error::{Fault, Kind};
use crate::headers::{ATTRIBUTES, METADATA_PREFIX};
use crate::model::{
    ByteRange, CallOptions, Conditions, DeleteOptions, HeadOptions, Pair, ReadOptions, WriteCondition, WriteOptions,
};

/// How many bytes of names and values S3 takes as user metadata.
pub const MAX_METADATA: usize = 2048;

/// The latest second that an HTTP date can tell: the end of the year 9999.
const LAST_HTTP_SECOND: u64 = 253_402_300_799;

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

/// A request, but for its body, which is only ever borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Whether it goes over TLS.
    pub https: bool,
    /// Host, and port where it is not the scheme's own: what the `host` header will be.
    pub authority: String,
    /// The path, percent-encoded as it is sent. Begins with a slash.
    pub path: String,
    /// The query's names and values, not encoded, in the order in which they are sent.
    pub query: Vec<(Cow<'static, str>, String)>,
    /// Header names in lower case, each once, with their values. `host`, `content-length` and `user-agent` are not among
    /// them: the transport sets those.
    pub headers: Vec<(Cow<'static, str>, String)>,
}

impl Request {
    /// Adds a header. The name is in lower case.
    pub fn header(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.headers.push((name.into(), value.into()));
    }

    /// The request target as it goes out.
    pub fn path_and_query(&self) -> Cow<'_, str> {
        if self.query.is_empty() {
            return Cow::Borrowed(&self.path);
        }
        let mut target = String::with_capacity(self.path.len() + 64);
        target.push_str(&self.path);
        for (n, (name, value)) in self.query.iter().enumerate() {
            target.push(if n == 0 { '?' } else { '&' });
            let _ = write!(target, "{}={}", encode::query(name), encode::query(value));
        }
        Cow::Owned(target)
    }
}

/// An argument that is refused, and as which case of the contract's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// [`Kind::InvalidArgument`] or [`Kind::Unsupported`].
    pub kind: Kind,
    /// Which argument, and why.
    pub fault: Fault,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Refused { kind: Kind::InvalidArgument, fault }
    }
}

/// Asks for what is known of a blob. `key` is the whole key, prefix included, already checked.
pub fn head(endpoint: &Endpoint, key: &str, options: &HeadOptions) -> Result<Request, Refused> {
    let mut request = base(Method::Head, endpoint, key);
    no_attributes(&options.call)?;
    version(&mut request, options.version.as_deref())?;
    conditions(&mut request, &options.conditions)?;
    Ok(request)
}

/// Asks for a blob or a part of it.
pub fn get(endpoint: &Endpoint, key: &str, options: &ReadOptions) -> Result<Request, Refused> {
    let mut request = base(Method::Get, endpoint, key);
    no_attributes(&options.call)?;
    if let Some(range) = range(options.range)? {
        request.header("range", range);
    }
    version(&mut request, options.version.as_deref())?;
    conditions(&mut request, &options.conditions)?;
    Ok(request)
}

/// Writes a blob.
pub fn put(endpoint: &Endpoint, key: &str, options: &WriteOptions) -> Result<Request, Refused> {
    let mut request = base(Method::Put, endpoint, key);
    if let Some(media_type) = &options.content_type {
        request.header("content-type", visible("content-type", media_type)?);
    }
    match &options.condition {
        WriteCondition::Always => {}
        WriteCondition::IfAbsent => request.header("if-none-match", "*"),
        WriteCondition::IfMatch(etag) => request.header("if-match", visible("if-match", etag)?),
    }
    metadata(&mut request, &options.metadata)?;
    for (name, value) in &options.call.attributes {
        let Some(&known) = ATTRIBUTES.iter().find(|known| *known == name) else {
            return Err(unknown_attribute(name, &format!("a write takes {}", ATTRIBUTES.join(", "))));
        };
        if request.headers.iter().any(|(there, _)| there == known) {
            return Err(Fault::new(known, format!("the attribute {known} is given twice")).into());
        }
        request.header(known, visible(known, value)?);
    }
    Ok(request)
}

/// Deletes a blob.
pub fn delete(endpoint: &Endpoint, key: &str, options: &DeleteOptions) -> Result<Request, Refused> {
    let mut request = base(Method::Delete, endpoint, key);
    no_attributes(&options.call)?;
    version(&mut request, options.version.as_deref())?;
    Ok(request)
}

fn base(method: Method, endpoint: &Endpoint, key: &str) -> Request {
    Request {
        method,
        https: endpoint.https,
        authority: endpoint.authority.clone(),
        path: endpoint.object_path(key),
        query: Vec::new(),
        headers: Vec::with_capacity(12),
    }
}

fn no_attributes(call: &CallOptions) -> Result<(), Refused> {
    match call.attributes.first() {
        Some((name, _)) => Err(unknown_attribute(name, "only a write takes attributes")),
        None => Ok(()),
    }
}

fn unknown_attribute(name: &str, known: &str) -> Refused {
    let name = crate::error::tidy(name, 64);
    let message = format!("there is no attribute {name:?} here: {known}");
    Refused { kind: Kind::Unsupported, fault: Fault::new(name, message) }
}

fn version(request: &mut Request, version: Option<&str>) -> Result<(), Fault> {
    match version {
        None => Ok(()),
        Some(id) if id.is_empty() || id.len() > 1024 || id.chars().any(char::is_control) => Err(Fault::new(
            "version",
            "a version is 1 to 1,024 bytes of text without control characters; leave it out for the current one",
        )),
        Some(id) => {
            request.query.push((Cow::Borrowed("versionId"), id.to_owned()));
            Ok(())
        }
    }
}

fn conditions(request: &mut Request, conditions: &Conditions) -> Result<(), Fault> {
    if let Some(etag) = &conditions.if_match {
        request.header("if-match", visible("if-match", etag)?);
    }
    if let Some(etag) = &conditions.if_none_match {
        request.header("if-none-match", visible("if-none-match", etag)?);
    }
    if let Some(at) = conditions.if_modified_since {
        request.header("if-modified-since", date("if-modified-since", at)?);
    }
    if let Some(at) = conditions.if_unmodified_since {
        request.header("if-unmodified-since", date("if-unmodified-since", at)?);
    }
    Ok(())
}

fn date(name: &'static str, at: u64) -> Result<String, Fault> {
    if at > LAST_HTTP_SECOND {
        return Err(Fault::new(name, format!("{name}: {at} seconds since 1970 is later than the year 9999")));
    }
    Ok(httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(at)))
}

/// The `range` header of this range, or none where all is asked for.
fn range(range: ByteRange) -> Result<Option<String>, Fault> {
    match range {
        ByteRange::Whole => Ok(None),
        ByteRange::From(start) => Ok(Some(format!("bytes={start}-"))),
        ByteRange::Within(span) if span.start >= span.end => Err(Fault::new(
            "range",
            format!("the range {}..{} holds no byte: its end must be above its start", span.start, span.end),
        )),
        ByteRange::Within(span) => Ok(Some(format!("bytes={}-{}", span.start, span.end - 1))),
        ByteRange::Last(0) => Err(Fault::new("range", "the last 0 bytes are none: ask for 1 or more")),
        ByteRange::Last(count) => Ok(Some(format!("bytes=-{count}"))),
    }
}

fn metadata(request: &mut Request, pairs: &[Pair]) -> Result<(), Fault> {
    let mut total = 0;
    for (name, value) in pairs {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Fault::new(
                "metadata",
                format!(
                    "{:?} cannot be a metadata name: it takes letters, digits and !#$%&'*+-.^_`|~",
                    crate::error::tidy(name, 64)
                ),
            ));
        }
        if value.trim_matches(' ').len() != value.len() || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(Fault::new(
                "metadata",
                format!("the value of metadata {name:?} must be visible ASCII with spaces only inside it"),
            ));
        }
        total += name.len() + value.len();
        let header = format!("{METADATA_PREFIX}{}", name.to_ascii_lowercase());
        if request.headers.iter().any(|(there, _)| *there == header) {
            return Err(Fault::new("metadata", format!("metadata {name:?} is given twice; case does not count")));
        }
        request.headers.push((Cow::Owned(header), value.clone()));
    }
    if total > MAX_METADATA {
        return Err(Fault::new(
            "metadata",
            format!("the metadata are {total} bytes of names and values; S3 takes {MAX_METADATA}"),
        ));
    }
    Ok(())
}

/// The value, if it can be a header's: visible ASCII, and spaces inside it.
fn visible(name: &'static str, value: &str) -> Result<String, Fault> {
    let value = value.trim_matches(' ');
    if value.is_empty() || value.len() > 1024 || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(Fault::new(name, format!("{name} must be 1 to 1,024 characters of visible ASCII and spaces")));
    }
    Ok(value.to_owned())
}

/// Whether the byte may be in a header name (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
