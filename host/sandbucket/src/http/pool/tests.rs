//! The pool, over real sockets.

mod hyper_behaviour;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::{Connect, Connections, Excess, IdlePool, IncomingBody, Outbound, Progressing, READ_PER_POLL, SendError};

type Out = UnsyncBoxBody<Bytes, io::Error>;

/// Connects to one address, whatever the URI.
struct Tcp(SocketAddr, Arc<Mutex<Vec<Uri>>>);

impl Connect for Tcp {
    type Stream = TokioIo<TcpStream>;
    type Error = io::Error;

    async fn connect(&self, to: Uri) -> io::Result<TokioIo<TcpStream>> {
        self.1.lock().unwrap().push(to);
        let tcp = TcpStream::connect(self.0).await?;
        tcp.set_nodelay(true)?;
        Ok(TokioIo::new(tcp))
    }
}

/// What has no body can be sent again, if it is a GET.
impl Outbound for Out {
    fn repeated(request: &Request<Out>) -> Option<Box<Request<Out>>> {
        let is_repeatable = request.method() == Method::GET && request.body().is_end_stream();
        is_repeatable.then(|| {
            let mut again = Request::get(request.uri()).body(empty()).unwrap();
            *again.headers_mut() = request.headers().clone();
            Box::new(again)
        })
    }
}

struct OnConnected<F>(F);

impl<F: Fn()> Progressing for OnConnected<F> {
    fn connected(&self) {
        (self.0)();
    }

    fn restarted(&self) {}
}

async fn send<C: Connect>(
    client: &Connections<C, Out>,
    request: Request<Out>,
    on_connected: impl Fn(),
) -> Result<Response<IncomingBody<C, Out>>, SendError<C::Error>> {
    client.send(Box::new(request), &OnConnected(on_connected)).await
}

type Client = Connections<Tcp, Out>;
type Received = Response<IncomingBody<Tcp, Out>>;

const LONG: Duration = Duration::from_secs(60);

fn http1() -> Builder {
    let mut http1 = Builder::new();
    http1.max_buf_size(64 * 1024).max_headers(256);
    http1
}

/// Bytes that may arrive without a head or a piece of a body.
const EXCESS: usize = 192 << 10;

fn pool<C: Connect>(max_idle: usize, idle_timeout: Duration) -> Arc<IdlePool<C, Out>> {
    Arc::new(IdlePool::new(max_idle, usize::MAX, idle_timeout))
}

fn client_with(address: SocketAddr, max_idle: usize, idle_timeout: Duration) -> Client {
    Connections::new(Tcp(address, Arc::default()), http1(), EXCESS, pool(max_idle, idle_timeout))
}

fn client(address: SocketAddr) -> Client {
    client_with(address, 64, LONG)
}

impl Client {
    fn idle(&self) -> usize {
        self.0.idle.length()
    }
}

fn empty() -> Out {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn full(bytes: impl Into<Bytes>) -> Out {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body that is fed by the test, in chunks.
fn fed() -> (mpsc::Sender<io::Result<Bytes>>, Out) {
    let (feed, mut fed) = mpsc::channel::<io::Result<Bytes>>(1);
    let stream = futures_of(move |cx| fed.poll_recv(cx).map(|got| got.map(|bytes| bytes.map(Frame::data))));
    (feed, StreamBody::new(stream).boxed_unsync())
}

struct FromFn<F>(F);

/// A stream without the `futures` crate.
fn futures_of<T, F: FnMut(&mut Context<'_>) -> Poll<Option<T>> + Unpin>(next: F) -> FromFn<F> {
    FromFn(next)
}

impl<T, F: FnMut(&mut Context<'_>) -> Poll<Option<T>> + Unpin> futures::Stream for FromFn<F> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        (self.0)(cx)
    }
}

fn request(method: Method, path: &str, body: Out) -> Request<Out> {
    Request::builder().method(method).uri(format!("http://store.test:9000{path}")).body(body).unwrap()
}

fn get(path: &str) -> Request<Out> {
    request(Method::GET, path, empty())
}

/// Fails if the future is stuck.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("stuck")
}

async fn sent(client: &Client, request: Request<Out>) -> Received {
    soon(send(client, request, || ())).await.map_err(|error| format!("{error:?}")).unwrap()
}

async fn bytes(response: Received) -> Bytes {
    soon(response.into_body().collect()).await.unwrap().to_bytes()
}

async fn failed(client: &Client, request: Request<Out>) -> hyper::Error {
    match soon(send(client, request, || ())).await {
        Err(SendError::Http(error)) => error,
        Err(error) => panic!("{error:?}"),
        Ok(response) => panic!("response {}", response.status()),
    }
}

/// Waits until the other side has caused a condition.
async fn until(is: impl Fn() -> bool) {
    soon(async {
        while !is() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// A server of hyper's; counts the connections made to it.
async fn server<F, R>(response: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Out>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            counted.fetch_add(1, SeqCst);
            let response = response.clone();
            let service = service_fn(move |request| {
                let response = response(request);
                async { Ok::<_, Infallible>(response.await) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
        }
    });
    (address, count)
}

/// Responds with the body of the request.
async fn echo(request: Request<Incoming>) -> Response<Out> {
    Response::new(request.into_body().map_err(io::Error::other).boxed_unsync())
}

/// A server that calls `serve` with each connection and its number.
async fn raw<F, R>(serve: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(usize, TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let nth = counted.fetch_add(1, SeqCst);
            tokio::spawn(serve(nth, tcp));
        }
    });
    (address, count)
}

/// A request without a body, or only the head of one; empty if there is none.
async fn head(tcp: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match tcp.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(read).unwrap()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn thousand_requests_reuse_one_connection() {
    let (address, count) = server(echo).await;
    let client = client(address);
    for number in 0..1000 {
        let body = format!("{number}, and {}", "x".repeat(number));
        assert_eq!(bytes(sent(&client, request(Method::PUT, "/a", full(body.clone()))).await).await, body);
    }
    assert_eq!(bytes(sent(&client, get("/a")).await).await, "");
    assert_eq!((count.load(SeqCst), client.idle()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_get_their_own_responses() {
    let (address, count) = server(echo).await;
    let client = client(address);
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    let body = format!("{task} {number} {}", "y".repeat(task * number * 7));
                    let response = sent(&client, request(Method::PUT, "/a", full(body.clone()))).await;
                    assert_eq!(bytes(response).await, body);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(count.load(SeqCst) <= 64, "{count:?}");
    assert!(client.idle() <= count.load(SeqCst));
    assert!(client.idle() > 0);
}

#[tokio::test]
async fn stale_pooled_connection_is_replaced() {
    // Each connection responses once, says nothing of closing, and closes.
    let (address, count) = raw(|_, mut tcp| async move {
        assert!(head(&mut tcp).await.starts_with("PUT "));
        let mut body = [0; 5];
        tcp.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"hello");
        tcp.write_all(OK).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    })
    .await;
    let uris = Arc::<Mutex<Vec<Uri>>>::default();
    let client: Client = Connections::new(Tcp(address, uris.clone()), http1(), EXCESS, pool(4, LONG));
    for round in 1..=5 {
        // That of the round before counts for nothing.
        let connected = AtomicUsize::new(0);
        let put = request(Method::PUT, "/a", full("hello"));
        let response =
            soon(send(&client, put, || connected.store(uris.lock().unwrap().len(), SeqCst))).await.ok().unwrap();
        assert_eq!(bytes(response).await, "ok");
        assert_eq!((count.load(SeqCst), connected.load(SeqCst), client.idle()), (round, round, 1));
        sleep(Duration::from_millis(40)).await;
    }
}

#[tokio::test]
async fn every_stale_connection_is_tried_before_a_new_one() {
    let (close, closing) = tokio::sync::watch::channel(false);
    let (address, count) = raw(move |nth, mut tcp| {
        let mut closing = closing.clone();
        async move {
            while !head(&mut tcp).await.is_empty() {
                tcp.write_all(OK).await.unwrap();
                if nth < 8 {
                    closing.wait_for(|closing| *closing).await.unwrap();
                    // What some servers say before they close an idle connection is no response to what comes then.
                    if nth % 2 == 0 {
                        tcp.write_all(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    }
                    return;
                }
            }
        }
    })
    .await;
    let client = client(address);
    let responses: Vec<_> = (0..8).map(|_| send(&client, get("/a"), || ())).collect();
    for response in join(responses).await {
        assert_eq!(bytes(response.ok().unwrap()).await, "ok");
    }
    assert_eq!((count.load(SeqCst), client.idle()), (8, 8));
    close.send(true).unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(bytes(sent(&client, get("/a")).await).await, "ok");
    assert_eq!((count.load(SeqCst), client.idle()), (9, 1));
}

/// All at once, in this one task.
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    soon(std::future::poll_fn(|cx| {
        let mut is_over = true;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => is_over = false,
                }
            }
        }
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }))
    .await;
    futures.into_iter().map(|(_, output)| output.unwrap()).collect()
}

#[tokio::test]
async fn connection_close_is_not_pooled() {
    let (address, count) = server(async |request| {
        let mut response = echo(request).await;
        response.headers_mut().insert("connection", "close".parse().unwrap());
        response
    })
    .await;
    let client = client(address);
    for round in 1..=10 {
        assert_eq!(bytes(sent(&client, request(Method::PUT, "/a", full("hello"))).await).await, "hello");
        assert_eq!((count.load(SeqCst), client.idle()), (round, 0));
    }
    // And so if it is the request that says so, whatever the server makes of it.
    let (address, _) = raw(async |_, mut tcp| {
        head(&mut tcp).await;
        tcp.write_all(OK).await.unwrap();
        let _ = tcp.read_u8().await;
    })
    .await;
    let client = self::client(address);
    let mut last = get("/a");
    last.headers_mut().insert("connection", "close".parse().unwrap());
    assert_eq!(bytes(sent(&client, last).await).await, "ok");
    assert_eq!(client.idle(), 0);
}

#[tokio::test]
async fn response_before_the_end_of_the_request_closes_the_connection() {
    let (closed, mut closings) = mpsc::unbounded_channel();
    let (address, count) = raw(move |nth, mut tcp| {
        let closed = closed.clone();
        async move {
            head(&mut tcp).await;
            tcp.write_all(if nth % 2 == 0 { OK } else { b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n" })
                .await
                .unwrap();
            if nth < 2 {
                let mut rest = Vec::new();
                let _ = tcp.read_to_end(&mut rest).await;
                closed.send(rest.len()).unwrap();
            } else {
                sleep(LONG).await;
            }
        }
    })
    .await;
    let client = client(address);
    let large = Bytes::from(vec![b'x'; 16 << 20]);
    let response = sent(&client, request(Method::PUT, "/a", full(large.clone()))).await;
    assert_eq!(bytes(response).await, "ok");
    // It is closed, and with it the request.
    assert!(soon(closings.recv()).await.unwrap() < large.len());
    // And so where the response has no body.
    let response = sent(&client, request(Method::PUT, "/a", full(large))).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(soon(closings.recv()).await.is_some());
    assert_eq!(bytes(sent(&client, get("/a")).await).await, "ok");
    assert_eq!(count.load(SeqCst), 3);
}

#[tokio::test]
async fn request_and_response_bodies_are_streamed_concurrently() {
    let (address, count) = server(echo).await;
    let client = client(address);
    let (feed, body) = fed();
    let response = sent(&client, request(Method::POST, "/a", body)).await;
    let mut body = response.into_body();
    for number in 0..100 {
        // The server has nothing to say until it has this.
        let piece = Bytes::from(format!("piece {number}"));
        feed.send(Ok(piece.clone())).await.unwrap();
        assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    assert_eq!(client.idle(), 0);
    drop(feed);
    assert!(soon(body.frame()).await.is_none());
    assert_eq!((count.load(SeqCst), client.idle()), (1, 1));
    assert_eq!(bytes(sent(&client, request(Method::PUT, "/a", full("hello"))).await).await, "hello");
    assert_eq!(count.load(SeqCst), 1);
}

#[tokio::test]
async fn request_body_is_sent_while_the_response_is_awaited() {
    let (address, _) = server(async |request| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(body))
    })
    .await;
    let client = client(address);
    let (feed, body) = fed();
    let feeding = tokio::spawn(async move {
        for _ in 0..50 {
            sleep(Duration::from_millis(1)).await;
            feed.send(Ok(Bytes::from(vec![b'p'; 10_000]))).await.unwrap();
        }
    });
    assert_eq!(bytes(sent(&client, request(Method::POST, "/a", body)).await).await.len(), 500_000);
    feeding.await.unwrap();
    assert_eq!(client.idle(), 1);
}

#[tokio::test]
async fn body_dropped_before_its_end_closes_its_connection() {
    let (address, count) = server(async |_| Response::new(full(vec![b'x'; 16 << 20]))).await;
    let client = client(address);
    let mut response = sent(&client, get("/a")).await.into_body();
    assert!(!soon(response.frame()).await.unwrap().unwrap().into_data().unwrap().is_empty());
    drop(response);
    assert_eq!(client.idle(), 0);
    assert_eq!(bytes(sent(&client, get("/a")).await).await.len(), 16 << 20);
    assert_eq!((count.load(SeqCst), client.idle()), (2, 1));
    // Not read at all, it is the same.
    drop(sent(&client, get("/a")).await);
    assert_eq!((count.load(SeqCst), client.idle()), (2, 0));
}

#[tokio::test]
async fn connection_of_a_small_response_is_idle_at_once() {
    let (address, count) = server(async |_| Response::new(full("small"))).await;
    let client = client(address);
    let responses = [sent(&client, get("/a")).await, sent(&client, get("/a")).await, sent(&client, get("/a")).await];
    assert_eq!((count.load(SeqCst), client.idle()), (1, 1));
    for response in responses {
        assert_eq!(response.body().size_hint().exact(), Some(5));
        assert_eq!(bytes(response).await, "small");
    }
    assert_eq!((count.load(SeqCst), client.idle()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_sent_and_received() {
    let (address, count) = server(echo).await;
    let client = client(address);
    let large: Bytes = (0..16 << 20).map(|at: u32| (at % 251) as u8).collect::<Vec<_>>().into();
    for _ in 0..3 {
        let response = sent(&client, request(Method::PUT, "/a", full(large.clone()))).await;
        assert!(bytes(response).await == large);
    }
    assert_eq!((count.load(SeqCst), client.idle()), (1, 1));
}

#[tokio::test]
async fn chunked_responses_are_read_and_their_connections_reused() {
    let (address, count) = raw(async |_, mut tcp| {
        while !head(&mut tcp).await.is_empty() {
            tcp.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            for _ in 0..20 {
                // Torn apart wherever.
                tcp.write_all(b"5\r\nhe").await.unwrap();
                sleep(Duration::from_millis(1)).await;
                tcp.write_all(b"llo\r\n").await.unwrap();
            }
            sleep(Duration::from_millis(5)).await;
            tcp.write_all(b"0\r\n").await.unwrap();
            sleep(Duration::from_millis(5)).await;
            tcp.write_all(b"etag: x\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let client = client(address);
    for _ in 0..3 {
        let response = sent(&client, get("/a")).await;
        let read = soon(response.into_body().collect()).await.unwrap();
        assert_eq!(read.trailers().unwrap()["etag"], "x");
        assert_eq!(read.to_bytes(), "hello".repeat(20));
        assert_eq!((count.load(SeqCst), client.idle()), (1, 1));
    }
}

#[tokio::test]
async fn connections_of_responses_without_a_body_are_idle_at_once() {
    let (address, count) = raw(async |_, mut tcp| {
        loop {
            let head = head(&mut tcp).await;
            let response: &[u8] = match head.split(' ').nth(1) {
                Some("/head") => b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
                Some("/304") => b"HTTP/1.1 304 Not Modified\r\netag: x\r\ncontent-length: 1000\r\n\r\n",
                Some("/204") => b"HTTP/1.1 204 No Content\r\n\r\n",
                Some("/0") => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                Some("/100") => {
                    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
                }
                Some(other) => panic!("{other}"),
                None => return,
            };
            tcp.write_all(response).await.unwrap();
        }
    })
    .await;
    let client = client(address);
    for (method, path) in [
        (Method::HEAD, "/head"),
        (Method::GET, "/304"),
        (Method::GET, "/204"),
        (Method::DELETE, "/204"),
        (Method::GET, "/0"),
        (Method::PUT, "/0"),
        (Method::GET, "/100"),
    ] {
        let response = sent(&client, request(method, path, empty())).await;
        assert!(response.body().is_end_stream(), "{path}");
        assert_eq!((count.load(SeqCst), client.idle()), (1, 1), "{path}");
        assert_eq!(bytes(response).await, "");
    }
}

#[tokio::test]
async fn truncated_response_is_an_error() {
    let (address, count) = raw(async |nth, mut tcp| {
        head(&mut tcp).await;
        let half: &[u8] = match nth {
            0 => b"",
            1 => b"HTTP/1.1 200 OK\r\ncontent-le",
            2 => b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
            _ => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        };
        tcp.write_all(half).await.unwrap();
    })
    .await;
    let client = client(address);
    assert!(failed(&client, get("/a")).await.is_incomplete_message());
    assert!(failed(&client, get("/a")).await.is_incomplete_message());
    for _ in 0..2 {
        let mut body = sent(&client, get("/a")).await.into_body();
        assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "hello");
        let error = soon(body.frame()).await.unwrap().unwrap_err();
        assert!(format!("{error:?}").contains("UnexpectedEof") || error.is_incomplete_message(), "{error:?}");
        assert!(soon(body.frame()).await.is_none());
    }
    assert_eq!((count.load(SeqCst), client.idle()), (4, 0));
}

#[tokio::test]
async fn malformed_response_is_an_error() {
    let (address, _) = raw(async |nth, mut tcp| {
        head(&mut tcp).await;
        let garbage = match nth {
            0 => b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
            _ => format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(300_000)).into_bytes(),
        };
        let _ = tcp.write_all(&garbage).await;
        sleep(LONG).await;
    })
    .await;
    let client = client(address);
    assert!(failed(&client, get("/a")).await.is_parse());
    assert!(failed(&client, get("/a")).await.is_parse_too_large());
    assert_eq!(client.idle(), 0);
}

#[tokio::test]
async fn excess_bytes_after_a_response_close_its_connection() {
    let (address, count) = raw(async |_, mut tcp| {
        head(&mut tcp).await;
        tcp.write_all(&[OK, OK].concat()).await.unwrap();
        sleep(LONG).await;
    })
    .await;
    let client = client(address);
    for round in 1..=3 {
        assert_eq!(bytes(sent(&client, get("/a")).await).await, "ok");
        assert_eq!((count.load(SeqCst), client.idle()), (round, 0));
    }
}

#[tokio::test]
async fn idle_connections_are_bounded_in_number_and_time() {
    let open = Arc::new(AtomicUsize::new(0));
    let opened = open.clone();
    let (address, count) = raw(move |_, mut tcp| {
        let open = opened.clone();
        async move {
            open.fetch_add(1, SeqCst);
            while !head(&mut tcp).await.is_empty() {
                sleep(Duration::from_millis(20)).await;
                tcp.write_all(OK).await.unwrap();
            }
            open.fetch_sub(1, SeqCst);
        }
    })
    .await;
    let client = client_with(address, 3, Duration::from_millis(300));
    let burst = async |of: usize| {
        for response in join((0..of).map(|_| send(&client, get("/a"), || ())).collect()).await {
            assert_eq!(bytes(response.ok().unwrap()).await, "ok");
        }
    };
    burst(10).await;
    assert_eq!((count.load(SeqCst), client.idle()), (10, 3));
    until(|| open.load(SeqCst) == 3).await;
    client.0.idle.sweep();
    assert_eq!(client.idle(), 3);
    // The one used last is used again, and the others grow old.
    for _ in 0..8 {
        burst(1).await;
        sleep(Duration::from_millis(40)).await;
    }
    assert_eq!((count.load(SeqCst), client.idle()), (10, 1));
    until(|| open.load(SeqCst) == 1).await;
    sleep(Duration::from_millis(350)).await;
    assert_eq!(client.idle(), 1);
    client.0.idle.sweep();
    assert_eq!(client.idle(), 0);
    until(|| open.load(SeqCst) == 0).await;
    burst(2).await;
    assert_eq!((count.load(SeqCst), client.idle()), (12, 2));
    // One to elsewhere closes them, too.
    sleep(Duration::from_millis(350)).await;
    let elsewhere = Request::get("http://elsewhere.test/").body(empty()).unwrap();
    assert_eq!(bytes(sent(&client, elsewhere).await).await, "ok");
    assert_eq!((count.load(SeqCst), client.idle()), (13, 1));

    let none = client_with(address, 0, LONG);
    assert_eq!(bytes(sent(&none, get("/a")).await).await, "ok");
    assert_eq!(none.idle(), 0);
    let endless = client_with(address, 1, Duration::MAX);
    assert_eq!(bytes(sent(&endless, get("/a")).await).await, "ok");
    endless.0.idle.sweep();
    assert_eq!(endless.idle(), 1);
}

#[tokio::test]
async fn clients_share_a_bound_on_idle_connections_and_no_connection() {
    let (address, count) = server(echo).await;
    let shared = Arc::new(IdlePool::new(2, 3, LONG));
    let [one, other]: [Client; 2] =
        [(); 2].map(|()| Connections::new(Tcp(address, Arc::default()), http1(), EXCESS, shared.clone()));
    // Whether a connection was there already.
    let kept = async |client: &Client, authority: &str| {
        let before = count.load(SeqCst);
        let request = Request::get(format!("http://{authority}/")).body(empty()).unwrap();
        bytes(sent(client, request).await).await;
        count.load(SeqCst) == before
    };
    for (client, authority) in [(&one, "a.test"), (&other, "a.test"), (&one, "b.test")] {
        assert!(!kept(client, authority).await, "{authority}");
    }
    assert!(kept(&one, "A.Test").await, "host names have no case");
    assert_eq!(shared.length(), 3);
    // The oldest goes by now, whosever it is.
    assert!(!kept(&one, "c.test").await);
    assert_eq!(shared.length(), 3);
    assert!(kept(&one, "b.test").await && kept(&one, "a.test").await);
    assert!(!kept(&other, "a.test").await);
    // That made room by c.test's.
    assert!(kept(&other, "a.test").await && kept(&one, "a.test").await && kept(&one, "b.test").await);
    assert!(!kept(&one, "c.test").await);
    assert_eq!(shared.length(), 3);

    let nothing = Arc::new(IdlePool::new(2, 0, LONG));
    let client: Client = Connections::new(Tcp(address, Arc::default()), http1(), EXCESS, nothing.clone());
    assert!(!kept(&client, "a.test").await && !kept(&client, "a.test").await);
    assert_eq!(nothing.length(), 0);
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Whether an error is that too much came of no use.
fn is_excess(error: &hyper::Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Excess>())
}

#[tokio::test]
async fn informational_responses_are_skipped_up_to_the_bound() {
    let (address, count) = raw(async |nth, mut tcp| {
        let informational = CONTINUE.repeat(if nth == 0 { 100_000 } else { 1 << 20 } / CONTINUE.len());
        while !head(&mut tcp).await.is_empty() {
            if tcp.write_all(&[&informational, OK].concat()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let client = client(address);
    for _ in 0..5 {
        // What came for one request does not count for the next.
        assert_eq!(bytes(sent(&client, get("/a")).await).await, "ok");
    }
    assert_eq!((count.load(SeqCst), client.idle()), (1, 1));
    // Its own connection is the second.
    let error = failed(&client_with(address, 1, LONG), get("/a")).await;
    assert!(is_excess(&error), "{error:?}");
}

#[tokio::test]
async fn framing_of_a_body_is_read_up_to_the_bound() {
    let (address, _) = raw(async |_, mut tcp| {
        head(&mut tcp).await;
        let begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5";
        tcp.write_all(begun).await.unwrap();
        while tcp.write_all(&[b' '; 4096]).await.is_ok() {}
    })
    .await;
    let mut body = sent(&client(address), get("/a")).await.into_body();
    assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "hello");
    let error = soon(body.frame()).await.unwrap().unwrap_err();
    assert!(is_excess(&error), "{error:?}");
    assert!(soon(body.frame()).await.is_none());
}

/// Once written to, always has informational responses to read, up to a bound that no single poll may come near; counts
/// their bytes.
struct Endless(Arc<AtomicUsize>, bool);

const FAR: usize = 64 * READ_PER_POLL;

impl Read for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.1 {
            // Woken by the write.
            return Poll::Pending;
        }
        let count = buffer.remaining() / CONTINUE.len() * CONTINUE.len();
        if self.0.fetch_add(count, SeqCst) > FAR {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        buffer.put_slice(&CONTINUE.repeat(count / CONTINUE.len()));
        Poll::Ready(Ok(()))
    }
}

impl Write for Endless {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.1 = true;
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Connect for Endless {
    type Stream = Endless;
    type Error = io::Error;

    async fn connect(&self, _: Uri) -> io::Result<Endless> {
        Ok(Endless(self.0.clone(), false))
    }
}

#[tokio::test]
async fn poll_reads_a_bounded_part_of_an_endless_stream_and_is_woken_again() {
    let read = Arc::new(AtomicUsize::new(0));
    let client: Connections<Endless, Out> =
        Connections::new(Endless(read.clone(), false), http1(), usize::MAX, pool(1, LONG));
    let mut asked = pin!(send(&client, get("/a"), || ()));
    let mut before = 0;
    // Each time it is polled it was woken: it ends only when there is no more to read.
    let response = soon(poll_fn(|cx| {
        let polled = asked.as_mut().poll(cx);
        let now = read.load(SeqCst);
        assert!(now - before <= 2 * READ_PER_POLL, "{} bytes in one poll", now - before);
        before = now;
        polled
    }))
    .await;
    assert!(response.is_err() && read.load(SeqCst) > FAR);
}

#[tokio::test]
async fn each_authority_has_its_own_connections() {
    let (address, count) = server(async |request| {
        let host = request.headers()["host"].to_str().unwrap();
        Response::new(full(format!("{} {} {host}", request.method(), request.uri())))
    })
    .await;
    let uris = Arc::default();
    let client: Client = Connections::new(Tcp(address, Arc::clone(&uris)), http1(), EXCESS, pool(4, LONG));
    let ask = async |method: &str, uri: &str, host: Option<&str>| {
        let mut request = Request::builder().method(method).uri(uri).body(empty()).unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        String::from_utf8(bytes(sent(&client, request).await).await.to_vec()).unwrap()
    };
    assert_eq!(ask("GET", "http://a.test", None).await, "GET / a.test");
    assert_eq!(ask("GET", "http://A.test/b/c?d=e%20f", None).await, "GET /b/c?d=e%20f a.test");
    assert_eq!(count.load(SeqCst), 1);
    assert_eq!(ask("GET", "http://a.test:80/", None).await, "GET / a.test");
    assert_eq!(ask("GET", "https://a.test:80/", None).await, "GET / a.test:80");
    assert_eq!(ask("GET", "https://a.test:443/", None).await, "GET / a.test");
    assert_eq!(ask("GET", "http://user@b.test:81?q", None).await, "GET /?q b.test:81");
    assert_eq!(ask("GET", "http://[::1]:81/x", Some("other.test")).await, "GET /x other.test");
    assert_eq!(ask("GET", "http://[::1]:81/x", None).await, "GET /x [::1]:81");
    assert_eq!(count.load(SeqCst), 6);
    let uris: Vec<_> = uris.lock().unwrap().iter().map(|uri: &Uri| uri.to_string()).collect();
    assert_eq!(uris[0], "http://a.test/");
    assert_eq!(uris[2..4], ["https://a.test:80/", "https://a.test:443/"]);
    assert_eq!(uris[5], "http://[::1]:81/");
}

#[tokio::test]
async fn failure_to_connect_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(listener.local_addr().unwrap());
    drop(listener);
    let connected = AtomicBool::new(false);
    let response = soon(send(&client, get("/a"), || connected.store(true, SeqCst))).await;
    assert!(matches!(response, Err(SendError::Connect(error)) if error.kind() == io::ErrorKind::ConnectionRefused));
    assert!(!connected.load(SeqCst));
    let nowhere = Request::get("/a").body(empty()).unwrap();
    assert!(matches!(soon(send(&client, nowhere, || ())).await, Err(SendError::MissingAuthority)));
}

#[tokio::test]
async fn request_whose_body_fails_is_an_error() {
    let (address, count) = server(echo).await;
    let client = client(address);
    assert_eq!(bytes(sent(&client, get("/a")).await).await, "");
    let (feed, body) = fed();
    feed.send(Err(io::Error::other("no more"))).await.unwrap();
    let error = failed(&client, request(Method::PUT, "/a", body)).await;
    assert!(error.is_user(), "{error:?}");
    assert_eq!((count.load(SeqCst), client.idle()), (1, 0));
    assert_eq!(bytes(sent(&client, get("/a")).await).await, "");
}

#[tokio::test]
async fn dropped_request_closes_its_connection() {
    let (closed, closing) = oneshot::channel();
    let closed = Mutex::new(Some(closed));
    let (address, _) = raw(move |_, mut tcp| {
        let closed = closed.lock().unwrap().take().unwrap();
        async move {
            head(&mut tcp).await;
            closed.send(tcp.read_u8().await.is_err()).unwrap();
        }
    })
    .await;
    let client = client(address);
    let connected = AtomicBool::new(false);
    let given_up = timeout(Duration::from_millis(50), send(&client, get("/a"), || connected.store(true, SeqCst))).await;
    assert!(given_up.is_err() && connected.load(SeqCst));
    assert!(soon(closing).await.unwrap());
    assert_eq!(client.idle(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_moves_between_tasks() {
    let (address, count) = raw(async |_, mut tcp| {
        while !head(&mut tcp).await.is_empty() {
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await.unwrap();
            for _ in 0..20 {
                sleep(Duration::from_millis(2)).await;
                tcp.write_all(b"hello").await.unwrap();
            }
        }
    })
    .await;
    let client = client(address);
    let mut body = sent(&client, get("/a")).await.into_body();
    let mut read = 0;
    while !body.is_end_stream() {
        // Waited for here for a moment, then by another task.
        let mut first = timeout(Duration::from_micros(500), body.frame()).await.ok();
        if first.is_none() {
            let (frame, rest) = tokio::spawn(async move { (soon(body.frame()).await, body) }).await.unwrap();
            (first, body) = (Some(frame), rest);
        }
        read += first.unwrap().unwrap().unwrap().into_data().unwrap().len();
    }
    assert_eq!((read, count.load(SeqCst), client.idle()), (100, 1, 1));
}

/// Counts how often it is polled.
struct Counted<F>(F, Arc<AtomicUsize>);

impl<F: Future + Unpin> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, SeqCst);
        Pin::new(&mut self.0).poll(cx)
    }
}

#[tokio::test]
async fn task_is_woken_once_per_request() {
    let (address, _) = raw(async |_, mut tcp| {
        while !head(&mut tcp).await.is_empty() {
            sleep(Duration::from_millis(2)).await;
            tcp.write_all(OK).await.unwrap();
        }
    })
    .await;
    let client = client(address);
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Counted(
        Box::pin(async {
            for _ in 0..100 {
                assert_eq!(
                    send(&client, get("/a"), || ()).await.ok().unwrap().collect().await.unwrap().to_bytes(),
                    "ok"
                );
            }
        }),
        polls.clone(),
    );
    soon(counted).await;
    // One for each, and one or two for the beginning.
    assert!((100..=103).contains(&polls.load(SeqCst)), "{polls:?}");
}

#[tokio::test]
async fn idle_connection_holds_no_task() {
    struct Flag;
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {}
    }
    let (address, _) = server(echo).await;
    let client = client(address);
    let flag = Arc::new(Flag);
    let waker = Waker::from(flag.clone());
    {
        let mut response = pin!(async { bytes(sent(&client, request(Method::PUT, "/a", full("hello"))).await).await });
        soon(async {
            while response.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
    drop(waker);
    assert_eq!((client.idle(), Arc::strong_count(&flag)), (1, 1));
}

/// Takes all that is written, and passes it on as a TLS stream would.
struct Hoard {
    io: TokioIo<TcpStream>,
    hoard: Vec<u8>,
}

impl Read for Hoard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Hoard {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.hoard.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Hoard { io, hoard } = &mut *self;
        while !hoard.is_empty() {
            match Pin::new(&mut *io).poll_write(cx, hoard) {
                Poll::Ready(Ok(wrote)) => drop(hoard.drain(..wrote)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

struct Hoarding(Tcp);

impl Connect for Hoarding {
    type Stream = Hoard;
    type Error = io::Error;

    async fn connect(&self, to: Uri) -> io::Result<Hoard> {
        Ok(Hoard { io: self.0.connect(to).await?, hoard: Vec::new() })
    }
}

#[tokio::test]
async fn bytes_not_flushed_are_not_sent() {
    let (address, count) = raw(async |_, mut tcp| {
        head(&mut tcp).await;
        tcp.write_all(OK).await.unwrap();
        sleep(LONG).await;
    })
    .await;
    let client: Connections<Hoarding, Out> =
        Connections::new(Hoarding(Tcp(address, Arc::default())), http1(), EXCESS, pool(4, LONG));
    for round in 1..=3 {
        // hyper has got rid of it all, and would take the next request.
        let put = request(Method::PUT, "/a", full(vec![b'x'; 32 << 20]));
        let response = soon(send(&client, put, || ())).await.ok().unwrap();
        assert_eq!(soon(response.collect()).await.unwrap().to_bytes(), "ok");
        let idle = client.0.idle.length();
        assert_eq!((count.load(SeqCst), idle), (round, 0));
    }
}

#[tokio::test]
async fn futures_are_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let client = client(SocketAddr::from(([127, 0, 0, 1], 1)));
    drop(is_send(send(&client, get("/a"), || ())));
    is_send::<Option<IncomingBody<Tcp, Out>>>(None);
    is_send::<Option<Pin<Box<dyn Body<Data = Bytes, Error = hyper::Error> + Send>>>>(None);
}

/// Two connections that respond to their first request, and do this with the second of each; and how many requests there were.
async fn two_stale<R>(
    second: impl Fn(TcpStream) -> R + Clone + Send + 'static,
) -> (Client, Arc<AtomicUsize>, Arc<AtomicUsize>)
where
    R: Future<Output = ()> + Send + 'static,
{
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let (address, count) = raw(move |nth, mut tcp| {
        let (second, counted) = (second.clone(), counted.clone());
        async move {
            while head(&mut tcp).await.starts_with("GET ") {
                counted.fetch_add(1, SeqCst);
                if nth >= 2 {
                    tcp.write_all(OK).await.unwrap();
                    continue;
                }
                tcp.write_all(OK).await.unwrap();
                if !head(&mut tcp).await.is_empty() {
                    counted.fetch_add(1, SeqCst);
                    second(tcp).await;
                }
                return;
            }
        }
    })
    .await;
    let client = client(address);
    for response in join((0..2).map(|_| send(&client, get("/a"), || ())).collect()).await {
        assert_eq!(bytes(response.ok().unwrap()).await, "ok");
    }
    assert_eq!((count.load(SeqCst), client.idle()), (2, 2));
    requests.store(0, SeqCst);
    (client, count, requests)
}

#[tokio::test]
async fn request_that_fails_on_a_reused_connection_is_repeated_on_a_new_one_and_idle_ones_are_discarded() {
    let (client, count, requests) = two_stale(async |tcp| tcp.set_zero_linger().unwrap()).await;
    assert_eq!(bytes(sent(&client, get("/a")).await).await, "ok");
    assert_eq!((count.load(SeqCst), requests.load(SeqCst), client.idle()), (3, 2, 1));
}

#[tokio::test]
async fn request_that_cannot_be_repeated_fails_once_and_the_next_takes_a_new_connection() {
    let (client, count, _) = two_stale(async |tcp| tcp.set_zero_linger().unwrap()).await;
    failed(&client, request(Method::PUT, "/a", full("hello"))).await;
    assert_eq!((count.load(SeqCst), client.idle()), (2, 0));
    assert_eq!(bytes(sent(&client, get("/a")).await).await, "ok");
    assert_eq!(count.load(SeqCst), 3);
}

#[tokio::test]
async fn request_is_not_repeated_once_a_byte_of_a_response_has_come() {
    let (client, count, requests) = two_stale(async |mut tcp| {
        tcp.write_all(b"HTTP/1.1 2").await.unwrap();
        sleep(Duration::from_millis(50)).await;
    })
    .await;
    failed(&client, get("/a")).await;
    assert_eq!((count.load(SeqCst), requests.load(SeqCst), client.idle()), (2, 1, 0));
}

#[tokio::test]
async fn request_that_fails_on_a_new_connection_is_not_repeated() {
    let (address, count) = raw(async |_, mut tcp| {
        head(&mut tcp).await;
    })
    .await;
    failed(&client(address), get("/a")).await;
    assert_eq!(count.load(SeqCst), 1);
}

#[tokio::test]
async fn request_dropped_without_a_response_discards_idle_connections_unless_dropped_at_once() {
    for (given_up, left) in [(Duration::from_millis(400), 0), (Duration::from_millis(20), 1)] {
        let (client, ..) = two_stale(async |mut tcp| drop(tcp.read_u8().await)).await;
        assert!(timeout(given_up, send(&client, get("/a"), || ())).await.is_err());
        assert_eq!(client.idle(), left, "{given_up:?}");
    }
}

#[tokio::test]
async fn dropped_request_leaves_connections_open_that_served_others_just_now() {
    let (address, _) = raw(async |_, mut tcp| {
        loop {
            match head(&mut tcp).await {
                end if end.is_empty() => return,
                hanging if hanging.starts_with("GET /hang ") => sleep(LONG).await,
                _ => tcp.write_all(OK).await.unwrap(),
            }
        }
    })
    .await;
    let client = client(address);
    for response in join((0..3).map(|_| send(&client, get("/a"), || ())).collect()).await {
        assert_eq!(bytes(response.ok().unwrap()).await, "ok");
    }
    assert_eq!(client.idle(), 3);
    let dropped = timeout(Duration::from_millis(400), send(&client, get("/hang"), || ()));
    let others = async {
        sleep(Duration::from_millis(20)).await;
        loop {
            assert_eq!(bytes(sent(&client, get("/a")).await).await, "ok");
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        dropped = dropped => assert!(dropped.is_err()),
        () = others => {}
    }
    // The third has been idle all the time.
    assert_eq!(client.idle(), 1);
}
