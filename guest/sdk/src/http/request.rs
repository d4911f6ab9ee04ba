//! Requests, and what goes into them: conditions, ranges, header fields and query parameters.
//!
//! Arguments are validated here: an invalid one is an error before any request is sent.

use std::borrow::Cow;
use std::fmt;

use crate::contract::error::{Error, Failure};
use crate::contract::model::{ByteRange, ReadConditions, Span, WriteCondition};

use super::headers::{self, Headers, is_visible};
use super::{encode, time};

/// Header fields of the conditions of a read.
pub const READ_CONDITIONS: [&str; 4] = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

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
    /// A request without query and header fields.
    pub fn new(method: Method, https: bool, authority: impl Into<String>, path: impl Into<String>) -> Request {
        let (authority, path) = (authority.into(), path.into());
        Request { method, https, authority, path, query: Vec::new(), headers: Vec::with_capacity(12) }
    }

    /// Appends a header. The name is in lower case.
    pub fn header(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.headers.push((name.into(), value.into()));
    }

    /// All header fields to send with a body of this length, as lines: those of the request, `host`, `user-agent` and
    /// `content-length`.
    pub fn field_lines(&self, user_agent: &str, body_length: u64) -> String {
        let agent = ["user-agent", user_agent];
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

    /// Adds the header `range`, unless it is the whole blob.
    ///
    /// # Errors
    /// A fault of `range` if it holds no byte.
    pub fn range(&mut self, range: ByteRange) -> Result<(), Failure> {
        let value = match range {
            ByteRange::Whole => return Ok(()),
            ByteRange::From(start) => format!("bytes={start}-"),
            ByteRange::Within(span) => return self.span("range", span),
            ByteRange::Last(0) => return Err(Error::fault("range", "the last 0 bytes are none: ask for 1 or more")),
            ByteRange::Last(count) => format!("bytes=-{count}"),
        };
        self.header("range", value);
        Ok(())
    }

    /// Adds a half-open range as this header, such as that of the range of a copy's source: `bytes=0-4` for `0..5`.
    ///
    /// # Errors
    /// A fault of `range` if it holds no byte.
    pub fn span(&mut self, name: &'static str, span: Span) -> Result<(), Failure> {
        let Span { start, end } = span;
        if start >= end {
            let why = format!("the range {start}..{end} holds no byte: its end must be above its start");
            return Err(Error::fault("range", why));
        }
        self.header(name, format!("bytes={start}-{}", end - 1));
        Ok(())
    }

    /// Adds conditions with these header names: [`READ_CONDITIONS`], or those of the source of a copy.
    ///
    /// # Errors
    /// A fault of the condition.
    pub fn read_conditions(&mut self, given: &ReadConditions, names: [&'static str; 4]) -> Result<(), Failure> {
        let [matched, unmatched, modified, unmodified] = names;
        if let Some(etag) = &given.if_match {
            self.header(matched, strong(visible(matched, etag)?));
        }
        if let Some(etag) = &given.if_none_match {
            self.header(unmatched, visible(unmatched, etag)?);
        }
        for (name, at) in [(modified, given.if_modified_since), (unmodified, given.if_unmodified_since)] {
            if let Some(at) = at {
                self.header(name, date(name, at.seconds)?);
            }
        }
        Ok(())
    }

    /// Adds the condition of a write. `quoted` is false for services that compare entity tags without quotes.
    ///
    /// # Errors
    /// A fault of the condition.
    pub fn write_condition(&mut self, condition: &WriteCondition, quoted: bool) -> Result<(), Failure> {
        match condition {
            WriteCondition::Always => {}
            WriteCondition::IfAbsent => self.header("if-none-match", "*"),
            WriteCondition::IfMatch(etag) => {
                let etag = strong(visible("if-match", etag)?);
                self.header("if-match", if quoted { etag } else { etag.trim_matches('"').to_owned() });
            }
        }
        Ok(())
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

/// Makes entity tags strong: a weak one never matches in `if-match` (RFC 9110, section 13.1.1). Object
/// stores send strong tags; only proxies make them weak.
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
pub fn visible(name: &'static str, value: &str) -> Result<String, Failure> {
    let value = value.trim_matches(' ');
    if !is_visible(value, 1024) {
        return Err(Error::fault(name, format!("{name} must be 1 to 1,024 characters of visible ASCII and spaces")));
    }
    Ok(value.to_owned())
}

/// Whether the byte is valid in a header name (RFC 9110, section 5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(range: ByteRange) -> Result<Option<String>, Failure> {
        let mut request = Request::new(Method::Get, true, "h", "/");
        request.range(range)?;
        Ok(request.headers.pop().map(|(_, value)| value))
    }

    #[test]
    fn ranges_are_formatted_and_empty_ranges_rejected() {
        let spelled = |requested| range(requested).unwrap();
        assert_eq!(spelled(ByteRange::Whole), None);
        assert_eq!(spelled(ByteRange::From(7)).as_deref(), Some("bytes=7-"));
        assert_eq!(spelled(ByteRange::Last(7)).as_deref(), Some("bytes=-7"));
        for empty in [
            ByteRange::Last(0),
            ByteRange::Within(Span { start: 3, end: 3 }),
            ByteRange::Within(Span { start: 4, end: 3 }),
            ByteRange::Within(Span { start: 0, end: 0 }),
        ] {
            assert_eq!(range(empty).unwrap_err().subject.as_deref(), Some("range"));
        }
    }
}
