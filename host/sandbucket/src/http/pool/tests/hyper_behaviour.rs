//! The behaviour of hyper that the pool, `tracked_buf` and `HttpError` rely on, tested without them.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::{OK, Out, empty, fed, full, http1, request};

type Driven<B> = Connection<TokioIo<DuplexStream>, B>;

/// Bytes in flight in each direction: a stream takes no more until its other end reads.
const CAPACITY: usize = 4 << 10;

async fn connect<B>() -> (SendRequest<B>, Driven<B>, DuplexStream)
where
    B: Body<Data: Send> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (client, server) = duplex(CAPACITY);
    let (sender, connection) = http1().handshake(TokioIo::new(client)).await.unwrap();
    (sender, connection, server)
}

/// Polls a future once, with a waker that does nothing.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn answered<B>(polled: Poll<Result<Response<Incoming>, TrySendError<B>>>) -> Response<Incoming> {
    match polled {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(error)) => panic!("{:?}", error.error()),
        Poll::Pending => panic!("no response"),
    }
}

/// What the server has received, without waiting for more.
async fn received(server: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = vec![0; CAPACITY];
    let length = match poll(pin!(server.read(&mut bytes))) {
        Poll::Ready(read) => read.unwrap(),
        Poll::Pending => 0,
    };
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn one_poll_of_the_connection_completes_the_response() {
    let (mut sender, mut connection, mut server) = connect::<Out>().await;
    let mut sending = pin!(sender.try_send_request(request(Method::GET, "/a", empty())));
    assert!(poll(sending.as_mut()).is_pending());
    assert!(poll(Pin::new(&mut connection)).is_pending());
    assert!(received(&mut server).await.starts_with(b"GET "));
    server.write_all(OK).await.unwrap();
    assert!(poll(sending.as_mut()).is_pending(), "nothing but the connection brings the response");
    assert!(poll(Pin::new(&mut connection)).is_pending());
    // A small body has arrived whole, and the connection takes the next request.
    let response = answered(poll(sending.as_mut()));
    assert!(sender.is_ready());
    let mut body = response.into_body();
    let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) else {
        panic!("no body");
    };
    assert_eq!(frame.into_data().unwrap(), "ok");
}

#[tokio::test]
async fn connection_closed_while_idle_returns_the_request_unsent() {
    for farewell in [&b""[..], b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"] {
        let (mut sender, mut connection, mut server) = connect::<Out>().await;
        {
            let mut sending = pin!(sender.try_send_request(request(Method::GET, "/a", empty())));
            assert!(poll(sending.as_mut()).is_pending() && poll(Pin::new(&mut connection)).is_pending());
            received(&mut server).await;
            server.write_all(OK).await.unwrap();
            assert!(poll(Pin::new(&mut connection)).is_pending());
            assert_eq!(answered(poll(sending)).status(), StatusCode::OK);
        }
        server.write_all(farewell).await.unwrap();
        server.shutdown().await.unwrap();
        // As long as nobody polls the connection, it looks alive.
        assert!(sender.is_ready());
        let mut sending = pin!(sender.try_send_request(request(Method::PUT, "/b", full("hello"))));
        assert!(poll(sending.as_mut()).is_pending());
        assert!(poll(Pin::new(&mut connection)).is_ready());
        drop(connection);
        let Poll::Ready(Err(mut error)) = poll(sending) else { panic!("it was sent") };
        let unsent = error.take_message().expect("the request");
        assert_eq!((unsent.method(), unsent.uri().path()), (&Method::PUT, "/b"));
        assert!(received(&mut server).await.is_empty());
    }
}

#[tokio::test]
async fn request_that_was_written_is_not_returned() {
    let (mut sender, mut connection, mut server) = connect::<Out>().await;
    let mut sending = pin!(sender.try_send_request(request(Method::GET, "/a", empty())));
    assert!(poll(sending.as_mut()).is_pending() && poll(Pin::new(&mut connection)).is_pending());
    assert!(received(&mut server).await.starts_with(b"GET "));
    drop(server);
    assert!(poll(Pin::new(&mut connection)).is_ready());
    let Poll::Ready(Err(mut error)) = poll(sending) else { panic!("no error") };
    assert!(error.take_message().is_none());
    assert!(error.error().is_incomplete_message(), "{:?}", error.error());
}

#[tokio::test]
async fn response_before_the_end_of_the_request_is_delivered() {
    let (mut sender, mut connection, mut server) = connect::<Out>().await;
    let (feed, body) = fed();
    {
        let mut sending = pin!(sender.try_send_request(request(Method::PUT, "/a", body)));
        feed.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
        assert!(poll(sending.as_mut()).is_pending() && poll(Pin::new(&mut connection)).is_pending());
        received(&mut server).await;
        server.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        assert!(poll(Pin::new(&mut connection)).is_pending());
        assert_eq!(answered(poll(sending)).status(), StatusCode::FORBIDDEN);
    }
    // The rest of the body can still go out, and until then no other request.
    assert!(!sender.is_ready());
    feed.send(Ok(Bytes::from_static(b"second"))).await.unwrap();
    drop(feed);
    assert!(poll(Pin::new(&mut connection)).is_pending());
    let rest = received(&mut server).await;
    assert!(rest.windows(6).any(|bytes| bytes == b"second"), "{:?}", String::from_utf8_lossy(&rest));
    assert!(sender.is_ready());
}

/// A body of one buffer that counts how much of it was taken.
struct Counted(Option<Counting>);

struct Counting(Bytes, Arc<AtomicUsize>);

impl Buf for Counting {
    fn remaining(&self) -> usize {
        self.0.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.0.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.1.fetch_add(count, SeqCst);
        self.0.advance(count);
    }
}

impl Body for Counted {
    type Data = Counting;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Counting>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|buffer| Ok(Frame::data(buffer))))
    }
}

#[tokio::test]
async fn body_advances_as_its_bytes_are_written() {
    let (mut sender, mut connection, mut server) = connect::<Counted>().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let length = 10 * CAPACITY;
    let body = Counted(Some(Counting(Bytes::from(vec![b'x'; length]), taken.clone())));
    let put = Request::put("/a").header("host", "store.test").header("content-length", length).body(body).unwrap();
    let mut sending = pin!(sender.try_send_request(put));
    assert!(poll(sending.as_mut()).is_pending());
    let mut received = Vec::new();
    while received.len() < length {
        assert!(poll(Pin::new(&mut connection)).is_pending());
        received.extend(super::hyper_behaviour::received(&mut server).await);
        let head = received.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
        assert_eq!(taken.load(SeqCst), received.len() - head);
    }
    assert!(poll(Pin::new(&mut connection)).is_pending());
    received.extend(super::hyper_behaviour::received(&mut server).await);
    assert_eq!(taken.load(SeqCst), length);
}
