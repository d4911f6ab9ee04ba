//! What to ask: the HTTP requests of the operations, not yet signed.
//!
//! What a caller gives is checked here, so that a bad argument is an error before anything is sent.

use std::borrow::Cow;

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
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
}
