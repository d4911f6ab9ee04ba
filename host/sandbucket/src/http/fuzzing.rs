//! Entry points of [`crate::fuzzing`] into `http`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body::Body;
use http_body_util::Full;
use hyper::client::conn::http1::Builder;
use hyper::rt::{Read, ReadBufCursor, Write};

use super::Egress;
use super::ip_policy::Addresses;
use super::pool::{Connect, Connections, IdlePool, Outbound, Progressing, READ_PER_POLL};
use super::request::{Prepared, head_of, lines};
use super::request_rules::is_repeatable;

/// A request as a plugin prepared it.
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    pub method: Method,
    pub https: bool,
    pub authority: String,
    pub path_with_query: String,
    pub headers: String,
    pub timeout: Duration,
}

impl From<Prepared> for PreparedRequest {
    fn from(prepared: Prepared) -> Self {
        let Prepared { method, https, authority, path_with_query, headers, timeout, .. } = prepared;
        PreparedRequest { method, https, authority, path_with_query, headers, timeout }
    }
}

/// The head of the request that goes out for one that a plugin made, with a body of this length, of an operation that may use any
/// of the contract's methods.
pub fn request_head(request: PreparedRequest, length: u64) -> Result<Request<()>, String> {
    const METHODS: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
    let PreparedRequest { method, https, authority, path_with_query, headers, timeout } = request;
    let (methods, fresh_connection) = (METHODS, false);
    head_of(Prepared { methods, method, https, authority, path_with_query, headers, timeout, fresh_connection }, length)
}

/// A response's header fields as a plugin gets them.
pub fn header_lines(headers: &HeaderMap) -> String {
    lines(headers)
}

pub(crate) fn egress_allows(egress: &Egress, url: &Uri) -> Result<(), String> {
    egress.check(url).map(drop).map_err(|error| error.detail())
}

pub(crate) fn refuses_address(allow_private: bool, address: IpAddr) -> Option<&'static str> {
    let policy = if allow_private { Addresses::Private } else { Addresses::Public };
    policy.refuses(address, &[]).map(|refusal| refusal.kind())
}

/// What a server sends, connection by connection.
#[derive(Clone, Debug, Default)]
pub struct HttpScript {
    /// For each connection, in the order in which they are made: for each request that comes over it, the pieces of the
    /// response. An empty piece is a moment in which nothing comes. After the last piece of the last response the server closes
    /// the connection.
    pub connections: Vec<Vec<Vec<Vec<u8>>>>,
}

/// The outcome of a request.
#[derive(Debug)]
pub struct HttpOutcome {
    /// The connection that it ended on, counted from 0.
    pub connection: usize,
    pub result: Result<HttpResponse, String>,
}

/// A response, read to its end or until it broke off.
#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: HeaderMap,
    /// The pieces of its body, as they came.
    pub body: Vec<Bytes>,
    /// Why it is not whole.
    pub broke_off: Option<String>,
}

/// Sends these requests one after another, each with this body, through the pool of connections that the host uses, to a server
/// that sends what the script says.
///
/// # Panics
/// If a request neither ends nor waits for a server that is silent.
pub fn exchange_over_http(script: HttpScript, requests: &[(Method, Bytes)]) -> Vec<HttpOutcome> {
    let opened = Arc::new(Mutex::new(Opened { left: script.connections.into(), streams: Vec::new() }));
    let mut http1 = Builder::new();
    http1.max_buf_size(64 << 10).max_headers(256);
    let idle = Arc::new(IdlePool::new(4, 4, Duration::from_secs(60)));
    let connections = Connections::new(Scripted(opened.clone()), http1, (64 << 10) + READ_PER_POLL, idle);
    let mut outcomes = Vec::new();
    for (method, body) in requests {
        // What is still on its way of an earlier response has come by the time of the next request.
        for stream in &lock(&opened).streams {
            lock(stream).next_request();
        }
        let request = Request::builder().method(method.clone()).uri("http://store.test/k");
        let request = request.body(Full::new(body.clone())).expect("a request");
        let result = run(async {
            let response = connections.send(Box::new(request), &Unwatched).await;
            let response = response.map_err(|error| format!("{error:?}"))?;
            let (head, mut incoming) = response.into_parts();
            let (mut body, mut broke_off) = (Vec::new(), None);
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
                match frame.map(|frame| frame.into_data()) {
                    Ok(Ok(piece)) => body.push(piece),
                    Ok(Err(_trailers)) => {}
                    Err(error) => {
                        broke_off = Some(error.to_string());
                        break;
                    }
                }
            }
            Ok(HttpResponse { status: head.status.as_u16(), headers: head.headers, body, broke_off })
        });
        let is_silent = lock(&opened).streams.iter().any(|stream| !lock(stream).responses.is_empty());
        assert!(result.is_some() || is_silent, "nothing will wake this request");
        let result = result.unwrap_or_else(|| Err("the server is silent".to_owned()));
        outcomes.push(HttpOutcome { connection: lock(&opened).streams.len().saturating_sub(1), result });
    }
    outcomes
}

impl Outbound for Full<Bytes> {
    fn repeated(request: &Request<Self>) -> Option<Box<Request<Self>>> {
        is_repeatable(request.method(), request.headers()).then(|| Box::new(request.clone()))
    }
}

struct Unwatched;

impl Progressing for Unwatched {
    fn connected(&self) {}

    fn restarted(&self) {}
}

/// Polls a future to its end; none if it has none. No thread, timer or socket is involved, so that a future that is pending
/// without having been woken stays so.
fn run<T>(future: impl Future<Output = T>) -> Option<T> {
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    let mut future = pin!(future);
    for _ in 0..1_000_000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(done);
        }
        if !woken.0.swap(false, Relaxed) {
            return None;
        }
    }
    panic!("this request goes on without end");
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Opened {
    left: VecDeque<Vec<Vec<Vec<u8>>>>,
    streams: Vec<Arc<Mutex<Stream>>>,
}

struct Scripted(Arc<Mutex<Opened>>);

impl Connect for Scripted {
    type Stream = Connected;
    type Error = Infallible;

    async fn connect(&self, _: Uri) -> Result<Connected, Infallible> {
        let mut opened = lock(&self.0);
        let responses = opened.left.pop_front().unwrap_or_default().into();
        let stream = Stream { sent: VecDeque::new(), responses, has_request: false, reader: None };
        let stream = Arc::new(Mutex::new(stream));
        opened.streams.push(stream.clone());
        Ok(Connected(stream))
    }
}

/// The server's end of a connection.
struct Stream {
    /// The pieces that are on their way.
    sent: VecDeque<Vec<u8>>,
    responses: VecDeque<Vec<Vec<u8>>>,
    /// Whether something of the request at hand has come.
    has_request: bool,
    reader: Option<Waker>,
}

impl Stream {
    fn next_request(&mut self) {
        self.has_request = false;
        self.sent.retain(|piece| !piece.is_empty());
    }
}

struct Connected(Arc<Mutex<Stream>>);

impl Read for Connected {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut stream = lock(&self.0);
        let Some(piece) = stream.sent.front_mut() else {
            if stream.responses.is_empty() {
                return Poll::Ready(Ok(()));
            }
            stream.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        if piece.is_empty() {
            stream.sent.pop_front();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..length]);
        piece.drain(..length);
        if piece.is_empty() {
            stream.sent.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Connected {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut stream = lock(&self.0);
        if !stream.has_request && !bytes.is_empty() {
            stream.has_request = true;
            let response = stream.responses.pop_front().unwrap_or_default();
            stream.sent.extend(response);
            if let Some(reader) = stream.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
