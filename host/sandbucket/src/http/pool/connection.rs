//! One connection, idle or in use, and where it leads to.

use std::future::poll_fn;
use std::hash::{Hash, Hasher};
use std::io::{self, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Builder, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{unconstrained, yield_now};

use super::{ClientId, Connect, Forward, Outbound};

/// Maximum number of bytes that one poll of a connection reads before it yields. hyper reads on within a poll until it finds a
/// message, which a service can prevent for ever. Messages take one read per poll, of up to 132 KiB, or two if the first is small.
pub(in crate::http) const READ_PER_POLL: usize = 128 << 10;

/// The destination of a connection and its client: the key of idle connections.
#[derive(Clone)]
pub(super) struct Target {
    https: bool,
    authority: Authority,
    /// Connections of different clients never serve each other.
    client: ClientId,
}

impl PartialEq for Target {
    /// The comparison that ignores case is the slow path.
    fn eq(&self, other: &Target) -> bool {
        let (ours, theirs) = (&self.authority, &other.authority);
        self.https == other.https && self.client == other.client && (ours.as_str() == theirs.as_str() || ours == theirs)
    }
}

impl Eq for Target {}

impl Hash for Target {
    /// Ignores case, as the comparison does: sets the bit that distinguishes capitals in all bytes. `Authority` hashes byte by byte,
    /// which takes five times as long as these 14 ns.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (words, rest) = self.authority.as_str().as_bytes().as_chunks();
        for word in words {
            state.write_u64(u64::from_ne_bytes(*word) | 0x2020_2020_2020_2020);
        }
        for byte in rest {
            state.write_u8(byte | 0x20);
        }
        state.write_u32(self.client << 1 | u32::from(self.https));
    }
}

impl Target {
    /// Takes the destination off a URI, which keeps path and query.
    pub(super) fn take(uri: &mut Uri, client: ClientId) -> Option<Target> {
        let parts = mem::take(uri).into_parts();
        *uri = parts.path_and_query.unwrap_or(PathAndQuery::from_static("/")).into();
        Some(Target { https: parts.scheme == Some(Scheme::HTTPS), authority: parts.authority?, client })
    }

    pub(super) fn uri(&self) -> Option<Uri> {
        let scheme = if self.https { Scheme::HTTPS } else { Scheme::HTTP };
        Uri::builder().scheme(scheme).authority(self.authority.clone()).path_and_query("/").build().ok()
    }

    /// The value of the `host` header: without a user, and without the default port.
    fn host(&self) -> Option<HeaderValue> {
        let host = self.authority.host();
        match self.authority.port_u16() {
            Some(port) if port != if self.https { 443 } else { 80 } => format!("{host}:{port}").try_into().ok(),
            _ => host.try_into().ok(),
        }
    }
}

/// A connection, boxed: it moves between queues and futures.
pub(super) type BoxedConnection<C, B> = Box<Connection<C, B>>;

/// A connection, idle or in use.
pub(super) struct Connection<C: Connect, B: Outbound> {
    sender: SendRequest<B>,
    /// None once it has ended.
    connection: Option<http1::Connection<TokioIo<WriteTracking<C::Stream>>, B>>,
    proxy: Arc<WakerProxy>,
    /// Wakes through `proxy`.
    waker: Waker,
    pub(super) target: Target,
    host: HeaderValue,
    /// When it became idle, or was last taken from the idle ones.
    pub(super) since: Instant,
    /// Whether it was idle before.
    pub(super) reused: bool,
    /// How requests go out, if they go to a proxy that forwards them.
    pub(super) forward: Option<Forward>,
}

impl<C: Connect, B: Outbound> Connection<C, B> {
    /// Makes an HTTP connection of a stream.
    ///
    /// No more than `excess` bytes may arrive without a response's head or a piece of its body among them.
    pub(super) async fn open(
        io: C::Stream,
        target: &Target,
        http1: &Builder,
        excess: usize,
    ) -> Option<hyper::Result<BoxedConnection<C, B>>> {
        let host = target.host()?;
        let proxy = Arc::new(WakerProxy {
            unsent: AtomicBool::new(false),
            received: AtomicUsize::new(0),
            until: AtomicUsize::new(0),
            state: Mutex::new(State::Quiet),
        });
        let wire = WriteTracking { io: TokioIo::new(io), proxy: proxy.clone(), excess };
        Some(http1.handshake(TokioIo::new(wire)).await.map(|(sender, connection)| {
            let (target, waker) = (target.clone(), Waker::from(proxy.clone()));
            let since = Instant::now();
            Box::new(Connection {
                sender,
                connection: Some(connection),
                proxy,
                waker,
                target,
                host,
                since,
                reused: false,
                forward: None,
            })
        }))
    }

    /// Sends a request, and waits for the head of its response.
    ///
    /// Calls `on_connected` once the connection has taken the request: not if it returns the request because it is closed.
    #[allow(clippy::result_large_err)]
    pub(super) async fn send(
        &mut self,
        mut request: Box<Request<B>>,
        on_connected: impl Fn(),
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        self.progressed();
        self.address(&mut request);
        request.headers_mut().entry(HOST).or_insert_with(|| self.host.clone());
        // It is polled with a waker that does nothing, so tokio must not delay it by its budget.
        let mut sending = pin!(unconstrained(self.sender.try_send_request(*request)));
        let mut on_connected = Some(on_connected);
        poll_fn(|cx| {
            let sent = self.drive(cx, |cx| sending.as_mut().poll(cx));
            // A closed connection returns the request.
            if !matches!(&sent, Poll::Ready(Err(error)) if error.message().is_some())
                && let Some(on_connected) = on_connected.take()
            {
                on_connected();
            }
            sent
        })
        .await
    }

    /// Gives a request the form that the server takes (RFC 9112, section 3.2): the whole URL for a proxy that forwards it, else path and
    /// query. A connection of the other kind may have returned it.
    fn address(&self, request: &mut Request<B>) {
        if let Some(Forward { authorization }) = &self.forward {
            let mut parts = mem::take(request.uri_mut()).into_parts();
            parts.scheme = Some(if self.target.https { Scheme::HTTPS } else { Scheme::HTTP });
            parts.authority = Some(self.target.authority.clone());
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
            if let Some(authorization) = authorization {
                request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
            }
        } else if request.uri().authority().is_some() {
            let parts = mem::take(request.uri_mut()).into_parts();
            *request.uri_mut() = parts.path_and_query.unwrap_or(PathAndQuery::from_static("/")).into();
            request.headers_mut().remove(PROXY_AUTHORIZATION);
        }
    }

    /// Drives the connection, and polls for what it is to bring. Nothing else can bring it, so `poll` gets a waker that does nothing:
    /// with the task's, each step would wake the task once more for nothing.
    pub(super) fn drive<T>(&mut self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.proxy.quiet();
        self.step();
        let polled = poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_pending() && self.proxy.has_woken(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        polled
    }

    /// Whether no byte has arrived since a request was sent.
    pub(super) fn is_silent(&self) -> bool {
        self.proxy.received.load(Relaxed) == 0
    }

    /// Starts to count received bytes anew: a head or a piece of a body has arrived, or a request begins.
    pub(super) fn progressed(&self) {
        self.proxy.received.store(0, Relaxed);
    }

    /// Drives the connection as far as it goes, or until it has read [`READ_PER_POLL`].
    pub(super) fn step(&mut self) {
        self.proxy.until.store(self.proxy.received.load(Relaxed) + READ_PER_POLL, Relaxed);
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(&mut Context::from_waker(&self.waker)).is_ready()
        {
            // hyper passes the reason to the response or its body. Dropping the connection returns a request that has not begun.
            self.connection = None;
        }
    }

    /// Whether it can take another request: request and response are complete, and neither side closes it.
    pub(super) fn is_free(&self) -> bool {
        self.sender.is_ready() && self.connection.is_some() && !self.proxy.unsent.load(Relaxed)
    }
}

/// The waker of a connection. It stays the same whichever task waits for the connection, and while that is idle it holds no task.
pub(super) struct WakerProxy {
    /// Whether bytes are left to be written that the other side does not take.
    unsent: AtomicBool,
    /// Bytes received since the last head or piece of a body. Only the task that has the connection changes this and `until`.
    received: AtomicUsize,
    /// Value of `received` at which this poll yields.
    until: AtomicUsize,
    state: Mutex<State>,
}

enum State {
    Quiet,
    Woken,
    Waiting(Waker),
}

impl WakerProxy {
    /// Forgets earlier wake-ups.
    fn quiet(&self) {
        self.change(State::Quiet);
    }

    /// Whether it was woken already; otherwise wakes this task later.
    fn has_woken(&self, task: &Waker) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Quiet) {
            *state = State::Waiting(task.clone());
        }
        matches!(*state, State::Woken)
    }

    /// Returns the state before, so that no waker is woken or dropped under the lock.
    fn change(&self, to: State) -> State {
        mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), to)
    }
}

impl Wake for WakerProxy {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let State::Waiting(task) = self.change(State::Woken) {
            task.wake();
        }
    }
}

/// Too many bytes arrived before a response, or between two pieces of its body.
#[derive(Debug)]
pub(in crate::http) struct Excess {
    /// Maximum, in bytes.
    pub(in crate::http) limit: usize,
}

impl std::fmt::Display for Excess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {} bytes came without a response's head or body in them", self.limit)
    }
}

impl std::error::Error for Excess {}

/// A stream that bounds what is read, and records whether it takes what is written: hyper calls a connection ready whose response is
/// complete while the request is not written to its end (`bytes_not_flushed_are_not_sent`).
///
/// It bounds bytes instead of informational responses: that covers all that can arrive without end, and hyper's `on_informational`
/// costs each request allocations.
pub(super) struct WriteTracking<S> {
    io: TokioIo<S>,
    proxy: Arc<WakerProxy>,
    excess: usize,
}

impl<S> WriteTracking<S> {
    /// hyper writes until everything is written or this is pending, and then flushes.
    fn written<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.proxy.unsent.store(written.is_pending(), Relaxed);
        written
    }
}

impl<S: Read + Unpin> AsyncRead for WriteTracking<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let received = self.proxy.received.load(Relaxed);
        if received >= self.proxy.until.load(Relaxed) {
            // Wakes the task after the runtime has polled others, its sockets and its timers.
            let _ = pin!(yield_now()).poll(cx);
            return Poll::Pending;
        }
        if received >= self.excess {
            return Poll::Ready(Err(io::Error::other(Excess { limit: self.excess })));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.proxy.received.store(received + (buffer.filled().len() - before), Relaxed);
        read
    }
}

impl<S: Write + Unpin> AsyncWrite for WriteTracking<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.written(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.written(written)
    }
}
