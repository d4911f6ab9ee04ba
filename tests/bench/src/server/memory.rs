//! A server that looks like S3 to clients and costs almost nothing, so that the clients are measured.
//!
//! It verifies no signature and keeps no blob: it discards put bodies, and a key such as `get/1024/7` contains the length
//! of its blob. It generates the keys of lists.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::content::Content;
use super::listing::Pages;

const TAG: HeaderValue = HeaderValue::from_static("\"d41d8cd98f00b204e9800998ecf8427e\"");
const REQUEST_ID: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-amz-request-id"), HeaderValue::from_static("0000000000000001"));
const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// How long the server polls for more after a request, instead of sleeping. On loopback, waking it would be done by the
/// client and count as the client's CPU time.
const AWAKE: Duration = Duration::from_millis(5);

/// State shared by connections.
struct Shared {
    pages: Pages,
    /// Time of the last request.
    last_request: Cell<Instant>,
    /// Time until a response begins.
    latency: Option<Duration>,
}

/// Serves connections, over TLS if there is an acceptor, until the process ends.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, latency: Option<Duration>) -> Result<()> {
    let shared = Rc::new(Shared { pages: Pages::default(), last_request: Cell::new(Instant::now()), latency });
    if latency.is_none() {
        tokio::task::spawn_local(stay_awake(shared.clone()));
    }
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::task::spawn_local(async move {
            match tls {
                None => connection(stream, shared).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => connection(stream, shared).await,
                    Err(error) => eprintln!("the server: a TLS handshake failed: {error}"),
                },
            }
        });
    }
}

async fn stay_awake(shared: Rc<Shared>) {
    loop {
        if shared.last_request.get().elapsed() < AWAKE {
            // Other processes, such as a client with two threads, run first.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Rc<Shared>) {
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move {
            shared.last_request.set(Instant::now());
            if let Some(latency) = shared.latency.filter(|latency| !latency.is_zero()) {
                tokio::time::sleep(latency).await;
            }
            Ok::<_, Infallible>(respond(request, &shared.pages).await)
        }
    });
    // A client that disconnects is no error.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(request: Request<Incoming>, pages: &Pages) -> Response<Content> {
    let (head, mut body) = request.into_parts();
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return status(StatusCode::BAD_REQUEST);
        }
    }
    let path = head.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query = head.uri.query().unwrap_or_default();
    let mut response = match head.method {
        Method::PUT => written(),
        Method::GET if key.is_empty() => list(bucket, query, pages),
        Method::GET | Method::HEAD => read(key, &head.headers),
        Method::POST => upload(bucket, key, query),
        Method::DELETE => status(StatusCode::NO_CONTENT),
        _ => status(StatusCode::METHOD_NOT_ALLOWED),
    };
    let (name, value) = REQUEST_ID;
    response.headers_mut().insert(name, value);
    response
}

/// Discards a put body or a part.
fn written() -> Response<Content> {
    let mut response = status(StatusCode::OK);
    response.headers_mut().insert(ETAG, TAG);
    response
}

/// Canned bytes, as many as the key says. hyper sends only the head to HEAD.
fn read(key: &str, headers: &HeaderMap) -> Response<Content> {
    let size = key.strip_prefix("get/").and_then(|rest| rest.split('/').next()).and_then(|size| size.parse().ok());
    let Some(size) = size else { return missing() };
    let (code, range) = match headers.get(RANGE).map(|value| within(value, size)) {
        None => (StatusCode::OK, 0..size),
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(None) => return status(StatusCode::RANGE_NOT_SATISFIABLE),
    };
    let mut response = Response::new(Content::Canned { left: range.end - range.start });
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(ETAG, TAG);
    headers.insert(LAST_MODIFIED, HeaderValue::from_static("Fri, 02 Jan 2026 03:04:05 GMT"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if code == StatusCode::PARTIAL_CONTENT {
        let reported = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        if let Ok(reported) = HeaderValue::try_from(reported) {
            headers.insert(CONTENT_RANGE, reported);
        }
    }
    response
}

/// The range of a blob that a `Range` header requests: `bytes=1-5`, `bytes=1-` or `bytes=-5`.
fn within(value: &HeaderValue, size: u64) -> Option<std::ops::Range<u64>> {
    let (first, last) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first, last) {
        ("", last) => size.saturating_sub(last.parse().ok()?)..size,
        (first, "") => first.parse().ok()?..size,
        (first, last) => first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?.min(size),
    };
    (range.start < range.end).then_some(range)
}

fn list(bucket: &str, query: &str, pages: &Pages) -> Response<Content> {
    let (prefix, continuation) = (argument(query, "prefix"), argument(query, "continuation-token"));
    match pages.page(bucket, &prefix.unwrap_or_default(), continuation.as_deref()) {
        Some(page) => xml(page),
        None => missing(),
    }
}

/// Initiates or completes a multipart upload.
fn upload(bucket: &str, key: &str, query: &str) -> Response<Content> {
    const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
    let (name, rest) = if argument(query, "uploads").is_some() {
        ("InitiateMultipartUploadResult", "<UploadId>upload-1</UploadId>")
    } else if argument(query, "uploadId").is_some() {
        ("CompleteMultipartUploadResult", "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e-1&quot;</ETag>")
    } else {
        return status(StatusCode::BAD_REQUEST);
    };
    let reported = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name} xmlns=\"{NAMESPACE}\"><Bucket>{bucket}</Bucket>\
         <Key>{key}</Key>{rest}</{name}>"
    );
    xml(reported.into())
}

/// The decoded value of a query parameter.
fn argument(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| {
        let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
        (given == name).then_some(value)
    })?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

fn xml(body: Bytes) -> Response<Content> {
    let mut response = Response::new(Content::Own(body));
    response.headers_mut().insert(CONTENT_TYPE, XML);
    response
}

fn missing() -> Response<Content> {
    let words = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>This server knows keys \
                 such as get/1024/1, and prefixes such as list/1000/</Message></Error>";
    let mut response = xml(Bytes::from_static(words.as_bytes()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn status(code: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::empty());
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::{argument, within};

    #[test]
    fn ranges_are_parsed_as_http_ranges() {
        let of = |value: &'static str| within(&HeaderValue::from_static(value), 100);
        assert_eq!(of("bytes=0-9"), Some(0..10));
        assert_eq!(of("bytes=90-"), Some(90..100));
        assert_eq!(of("bytes=-10"), Some(90..100));
        assert_eq!(of("bytes=90-500"), Some(90..100));
        assert_eq!(of("bytes=100-"), None);
        assert_eq!(of("items=0-9"), None);
    }

    #[test]
    fn query_parameters_match_by_whole_names() {
        let query = "list-type=2&prefix=list%2F1000%2F&uploads";
        assert_eq!(argument(query, "prefix").as_deref(), Some("list/1000/"));
        assert_eq!(argument(query, "uploads").as_deref(), Some(""));
        assert_eq!(argument(query, "upload"), None);
    }
}
