//! Requests of plugins: checked and sent, and their responses in the contract's form.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Parts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use memchr::memchr;
use zeroize::Zeroizing;

use super::client::Client;
use super::error::{HttpError, HttpErrorKind};
use super::ip_policy::Addresses;
use super::pool::NewConnection;
use super::request_body::{RequestBody, Source};
use super::request_rules::{MAX_FIELDS, MAX_HEADER, MAX_PATH, check_field, check_method, check_own, has_body};
use super::response_body::ResponseBody;
use super::timeouts::{RequestProgress, RequestedTimeouts, Timeouts};
use super::{ConnectionPermit, HttpGate, Progress};
use crate::budget::Admission;

/// A request of a plugin that may wait longer than this for its response takes a new connection: an idle one that is dead without
/// a sign would cost as long. Completed uploads and copies are such requests.
const LONG: Duration = Duration::from_secs(60);

/// A request as the plugin made it.
pub(crate) struct Prepared {
    /// Methods that the operation may use.
    pub(crate) methods: &'static [Method],
    pub(crate) method: Method,
    pub(crate) https: bool,
    pub(crate) authority: String,
    pub(crate) path_with_query: String,
    /// A field to a line.
    pub(crate) headers: String,
    /// Maximum time without progress.
    pub(crate) timeout: Duration,
    /// Whether it must not use an idle connection.
    pub(crate) fresh_connection: bool,
}

/// A response whose body is still to be read.
pub(crate) struct Received {
    pub(crate) status: u16,
    /// A field to a line.
    pub(crate) headers: String,
    pub(crate) body: ResponseBody,
}

/// A request to send.
pub(crate) struct Sending<'a> {
    timeouts: Timeouts,
    watch: Arc<RequestProgress>,
    tenant: Option<&'a Arc<Admission>>,
    connection: ConnectionPermit,
    /// The request, or the error of one that must not be sent.
    request: Result<(Box<Request<RequestBody>>, &'a Client, Addresses), HttpError>,
}

impl HttpGate {
    /// Sends a request with this body. `left` is the time that may pass, but for that in which the body is sent.
    pub(crate) fn send(
        &self,
        prepared: Prepared,
        body: Source,
        left: Duration,
        progress: Option<Progress>,
        connection: ConnectionPermit,
    ) -> Sending<'_> {
        let (gate, tenant) = (&*self.state, self.tenant.as_ref());
        let (timeout, fresh_connection) = (Some(prepared.timeout), prepared.fresh_connection);
        let timeouts =
            gate.timeouts.within(RequestedTimeouts { connect: timeout, first_byte: timeout, between_bytes: timeout });
        let watch = RequestProgress::new(body.is_over(), Some(left));
        let request = head_of(prepared, body.length()).map_err(HttpError::denied).and_then(|head| {
            let (client, addresses) = gate.client(head.uri())?;
            let mut request = Box::new(head.map(|()| RequestBody::new(body, watch.clone(), progress, tenant)));
            if fresh_connection {
                request.extensions_mut().insert(NewConnection);
            }
            Ok((request, client, addresses))
        });
        Sending { timeouts, watch, tenant, connection, request }
    }
}

impl Sending<'_> {
    /// Waits for the response's header. The duration is the time spent sending the body.
    pub(crate) async fn response(self) -> (Result<Received, HttpError>, Duration) {
        let Sending { timeouts, watch, tenant, connection, request } = self;
        let received = match request {
            Ok((request, client, addresses)) => client.send(request, addresses, timeouts, &watch).await,
            Err(error) => Err(error),
        };
        let received = received.and_then(|response| {
            let (head, body) = response.into_parts();
            if head.status.is_success() && !watch.is_sent() {
                let message = "the response came before the whole body was sent";
                return Err(HttpError::new(HttpErrorKind::ConnectionTerminated, message));
            }
            let body = body.charged(tenant, connection);
            Ok(Received { status: head.status.as_u16(), headers: lines(&head.headers), body })
        });
        (received, watch.sending())
    }
}

/// Requests that plugins send over wasi:http.
impl HttpGate {
    /// Fails if the request is not one of these methods, has a header field that is not allowed, or leads to where the store may
    /// not send requests.
    pub(crate) fn check_request(&self, methods: &[Method], request: &Request<impl Body>) -> Result<(), HttpError> {
        check_own(methods, request).map_err(HttpError::denied)?;
        self.state.client(request.uri()).map(drop)
    }

    /// Sends a request that was [checked](HttpGate::check_request), and waits for the response's header.
    pub(crate) async fn forward(
        &self,
        request: Request<Source>,
        timeouts: RequestedTimeouts,
        progress: Option<Progress>,
        connection: ConnectionPermit,
    ) -> Result<Response<ResponseBody>, HttpError> {
        let (gate, tenant) = (&*self.state, self.tenant.as_ref());
        let (client, addresses) = gate.client(request.uri())?;
        let watch = RequestProgress::new(request.body().is_over(), None);
        let mut request = Box::new(request.map(|source| RequestBody::new(source, watch.clone(), progress, tenant)));
        if timeouts.first_byte.is_some_and(|timeout| timeout > LONG) {
            request.extensions_mut().insert(NewConnection);
        }
        let response = client.send(request, addresses, gate.timeouts.within(timeouts), &watch).await?;
        Ok(response.map(|body| body.charged(tenant, connection)))
    }
}

/// The request without its body, or the reason why it is not allowed.
pub(super) fn head_of(prepared: Prepared, length: u64) -> Result<Request<()>, String> {
    let Prepared { methods, method, https, authority, path_with_query, headers, .. } = prepared;
    let unfit = |part: &str| format!("the plugin asked for a request with {part} that HTTP does not have");
    for (part, length, most) in
        [("a header", headers.len(), MAX_HEADER), ("a path and query", path_with_query.len(), MAX_PATH)]
    {
        if length > most {
            return Err(format!("the plugin built a request with {part} of {length} bytes, and {most} are allowed"));
        }
    }
    check_method(methods, &method)?;
    if !has_body(&method) && length > 0 {
        return Err(format!("the plugin built a request with the method {method} and a body of {length} bytes"));
    }
    // They may carry a session token or a customer key: wiped when the last of them is dropped. This allocates no more than
    // `Bytes::from` does, which has to share the string as well.
    let headers = Bytes::from_owner(Zeroizing::new(headers));
    let mut fields = HeaderMap::with_capacity(16);
    let mut start = 0;
    while start < headers.len() {
        let end = memchr(b'\n', &headers[start..]).map_or(headers.len(), |length| start + length);
        let line = &headers[start..end];
        start = end + 1;
        let colon = memchr(b':', line).ok_or_else(|| unfit("a header"))?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| unfit("a header"))?;
        if name != HOST && name != CONTENT_LENGTH {
            check_field(&method, &name)?;
        }
        if fields.len() >= MAX_FIELDS {
            return Err(format!("the plugin built a request with more than {MAX_FIELDS} header fields"));
        }
        let value = HeaderValue::from_maybe_shared(headers.slice_ref(&line[colon + 1..]));
        fields.append(name, value.map_err(|_| unfit("a header"))?);
    }
    let host = only(&fields, &HOST)?;
    if host.is_none_or(|host| host.as_bytes() != authority.as_bytes()) {
        return Err("the plugin built a request whose host is not its authority".to_owned());
    }
    match only(&fields, &CONTENT_LENGTH)? {
        Some(value) if *value == HeaderValue::from(length) => {}
        None if length == 0 => {
            if has_body(&method) {
                fields.insert(CONTENT_LENGTH, length.into());
            }
        }
        _ => {
            return Err(format!(
                "the plugin built a request whose content-length is not its body's, which is {length}"
            ));
        }
    }
    let authority = Bytes::from(authority);
    let mut parts = Parts::default();
    parts.scheme = Some(if https { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(http::uri::Authority::from_maybe_shared(authority).map_err(|_| unfit("a host"))?);
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path_with_query).map_err(|_| unfit("a path"))?);
    let mut head = Request::new(());
    *head.method_mut() = method;
    *head.uri_mut() = Uri::from_parts(parts).map_err(|_| unfit("a URL"))?;
    *head.headers_mut() = fields;
    Ok(head)
}

/// The only value of a field; none if it is absent.
fn only<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, String> {
    let mut values = fields.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(format!("the plugin built a request with more than one {name}")),
    }
}

/// The header, a field to a line. What is not UTF-8 is replaced.
pub(super) fn lines(headers: &HeaderMap) -> String {
    let length = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 2).sum();
    let mut lines = Vec::with_capacity(length);
    for (name, value) in headers {
        for piece in [name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"] {
            lines.extend_from_slice(piece);
        }
    }
    String::from_utf8(lines).unwrap_or_else(|lines| String::from_utf8_lossy(lines.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = "host:s3.test:9000\ncontent-length:5\n";

    fn prepared(headers: &str) -> Prepared {
        Prepared {
            methods: &[Method::PUT],
            method: Method::PUT,
            https: false,
            authority: "s3.test:9000".to_owned(),
            path_with_query: "/b/a%20b?x=1".to_owned(),
            headers: format!("{COMPLETE}{headers}"),
            timeout: Duration::ZERO,
            fresh_connection: false,
        }
    }

    #[test]
    fn request_is_sent_as_the_plugin_made_it() {
        let head = head_of(prepared("x-amz-a:1\nx-amz-a: 2\ndate:now\n"), 5).unwrap();
        assert_eq!(head.uri(), "http://s3.test:9000/b/a%20b?x=1");
        assert_eq!(head.headers()[HOST], "s3.test:9000");
        assert_eq!(head.headers()[CONTENT_LENGTH], "5");
        assert_eq!(head.headers()["date"], "now");
        assert_eq!(head.headers().get_all("x-amz-a").iter().collect::<Vec<_>>(), ["1", " 2"]);
    }

    #[test]
    fn malformed_headers_and_those_that_frame_a_message_are_refused() {
        for headers in
            ["x", ":v\n", "a b:c\n", "a:\u{1}\n", "Host:other\n", "content-length:4\n", "Transfer-Encoding:chunked\n"]
        {
            assert!(head_of(prepared(headers), 5).is_err(), "{headers:?}");
        }
        for (authority, path) in [("", "/"), ("a b", "/"), ("s3.test", "no slash"), ("s3.test", "/\u{7}")] {
            let headers = format!("host:{authority}\n");
            let odd =
                Prepared { authority: authority.to_owned(), path_with_query: path.to_owned(), headers, ..prepared("") };
            assert!(head_of(odd, 0).is_err(), "{authority:?} {path:?}");
        }
    }

    #[test]
    fn host_and_content_length_are_those_of_the_request() {
        let of = |headers: &str| Prepared { headers: headers.to_owned(), ..prepared("") };
        for headers in [
            "content-length:5\n",
            "host:s3.test\ncontent-length:5\n",
            "host:s3.test:9000\nhost:s3.test:9000\ncontent-length:5\n",
            "host:s3.test:9000\n",
            "host:s3.test:9000\ncontent-length:6\n",
            "host:s3.test:9000\ncontent-length:5\ncontent-length:5\n",
            "host:s3.test:9000\ncontent-length:5 \r\n",
        ] {
            assert!(head_of(of(headers), 5).is_err(), "{headers:?}");
        }
        // A PUT without a body has a length all the same (RFC 9110, section 8.6).
        assert_eq!(head_of(of("host:s3.test:9000\n"), 0).unwrap().headers()[CONTENT_LENGTH], "0");
    }

    #[test]
    fn any_number_and_size_of_header_lines_is_survived() {
        let many: String = (0..40_000).map(|n| format!("x-amz-{n}:\n")).collect();
        let same = "x-amz-a:\n".repeat(MAX_FIELDS + 1);
        let tiny = "a:\n".repeat(9 << 20);
        let long = format!("x-amz-a:{}\n", "x".repeat(MAX_HEADER));
        for headers in [many, same, tiny, long] {
            assert!(head_of(prepared(&headers), 5).is_err(), "{}", &headers[..16]);
        }
        let most: String = (0..MAX_FIELDS - 2).map(|n| format!("x-amz-{n}:\n")).collect();
        assert_eq!(head_of(prepared(&most), 5).unwrap().headers().len(), MAX_FIELDS);
        let path = Prepared { path_with_query: format!("/{}", "x".repeat(MAX_PATH)), ..prepared("") };
        assert!(head_of(path, 5).is_err());
    }

    #[test]
    fn only_the_operations_method_goes_out_and_a_body_only_with_one_that_has_it() {
        for method in [Method::GET, Method::POST, Method::CONNECT, Method::TRACE, Method::OPTIONS] {
            assert!(head_of(Prepared { method, ..prepared("") }, 0).is_err());
        }
        let read = || Prepared {
            methods: &[Method::GET],
            method: Method::GET,
            headers: "host:s3.test:9000\nrange:bytes=0-1\n".to_owned(),
            ..prepared("")
        };
        assert!(!head_of(read(), 0).unwrap().headers().contains_key(CONTENT_LENGTH));
        assert!(head_of(read(), 1).is_err());
    }

    #[test]
    fn header_becomes_lines() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_bytes(b"\xff:").unwrap());
        assert_eq!(lines(&headers), "x-a:1\nx-a:\u{fffd}:\n");
    }
}
