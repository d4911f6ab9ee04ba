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

/// How many bytes may be read in one poll of a connection before it yields. hyper reads on within a poll for as long as it
/// finds no message in what comes, which a service can have go on for ever. Messages take one read a poll, of up to 132 KiB,
/// or two where the first is small.
pub(in crate::http) const READ_PER_POLL: usize = 128 << 10;

/// Where a connection leads to, and whose it is: the key of the idle ones.
#[derive(Clone)]
pub(super) struct Target {
    https: bool,
    authority: Authority,
    /// Connections of different clients never serve each other.
    client: ClientId,
}

impl PartialEq for Target {
    /// Letter by letter without regard to their case only if need be.
    fn eq(&self, other: &Target) -> bool {
        let (ours, theirs) = (&self.authority, &other.authority);
        self.https == other.https && self.client == other.client && (ours.as_str() == theirs.as_str() || ours == theirs)
    }
}

impl Eq for Target {}

impl Hash for Target {
    /// Without regard to case, as they are compared: the bit that tells capitals is set in all bytes. `Authority` hashes
    /// each byte by itself, which takes five times as long as these 14 ns.
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
    /// Leaves of the URI what goes over the wire.
    pub(super) fn take(uri: &mut Uri, client: ClientId) -> Option<Target> {
        let parts = mem::take(uri).into_parts();
        *uri = parts.path_and_query.unwrap_or(PathAndQuery::from_static("/")).into();
        Some(Target { https: parts.scheme == Some(Scheme::HTTPS), authority: parts.authority?, client })
    }

    pub(super) fn uri(&self) -> Option<Uri> {
        let scheme = if self.https { Scheme::HTTPS } else { Scheme::HTTP };
        Uri::builder().scheme(scheme).authority(self.authority.clone()).path_and_query("/").build().ok()
    }

    /// As the header has it: without a user, and without the port that goes without saying.
    fn host(&self) -> Option<HeaderValue> {
        let host = self.authority.host();
        match self.authority.port_u16() {
            Some(port) if port != if self.https { 443 } else { 80 } => format!("{host}:{port}").try_into().ok(),
            _ => host.try_into().ok(),
        }
    }
}

/// A connection in one's hands.
pub(super) type BoxedConnection<C, B> = Box<Connection<C, B>>;

/// A connection, idle or in use.
pub(super) struct Connection<C: Connect, B: Outbound> {
    sender: SendRequest<B>,
    /// None once it has come to its end.
    connection: Option<http1::Connection<TokioIo<WriteTracking<C::Stream>>, B>>,
    relay: Arc<WakerProxy>,
    /// Wakes by way of the relay.
    waker: Waker,
    pub(super) target: Target,
    host: HeaderValue,
    /// When it became idle, or was taken out of the idle ones.
    pub(super) since: Instant,
    /// Whether it is among the idle ones, or was.
    pub(super) reused: bool,
    /// How requests go out, if they go to a proxy that forwards them.
    pub(super) forward: Option<Forward>,
}

impl<C: Connect, B: Outbound> Connection<C, B> {
    /// Greets whoever is at the other end of the stream.
    ///
    /// No more than `excess` bytes may come without a response's head or a piece of its body among them.
    pub(super) async fn open(
        io: C::Stream,
        target: &Target,
        http1: &Builder,
        excess: usize,
    ) -> Option<hyper::Result<BoxedConnection<C, B>>> {
        let host = target.host()?;
        let relay = Arc::new(WakerProxy {
            unsent: AtomicBool::new(false),
            received: AtomicUsize::new(0),
            until: AtomicUsize::new(0),
            state: Mutex::new(State::Quiet),
        });
        let wire = WriteTracking { io: TokioIo::new(io), relay: relay.clone(), excess };
        Some(http1.handshake(TokioIo::new(wire)).await.map(|(sender, connection)| {
            let (target, waker) = (target.clone(), Waker::from(relay.clone()));
            let since = Instant::now();
            Box::new(Connection {
                sender,
                connection: Some(connection),
                relay,
                waker,
                target,
                host,
                since,
                reused: false,
                forward: None,
            })
        }))
    }

    /// Sends a request, and waits for the head of its answer.
    ///
    /// `on_connected` is called when the connection has taken the request: not when it hands it back, as it is closed.
    #[allow(clippy::result_large_err)]
    pub(super) async fn ask(
        &mut self,
        mut request: Box<Request<B>>,
        on_connected: impl Fn(),
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        self.progressed();
        self.address(&mut request);
        request.headers_mut().entry(HOST).or_insert_with(|| self.host.clone());
        // It is looked at without a waker, which tokio must not take as its cue to make it wait.
        let mut answered = pin!(unconstrained(self.sender.try_send_request(*request)));
        let mut on_connected = Some(on_connected);
        poll_fn(|cx| {
            let answer = self.drive(cx, |cx| answered.as_mut().poll(cx));
            // Handed back by a connection that is none any more.
            if !matches!(&answer, Poll::Ready(Err(error)) if error.message().is_some())
                && let Some(on_connected) = on_connected.take()
            {
                on_connected();
            }
            answer
        })
        .await
    }

    /// Gives a request the form that the other end takes (RFC 9112, section 3.2): with the whole URL for a proxy that forwards
    /// it, else with path and query. It may have been handed back by a connection of the other kind.
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

    /// Drives the connection, and looks whether that has brought what is waited for. Nothing else can bring it, so that
    /// it is looked at without a waker: with one, each step would have this task woken once more for nothing.
    pub(super) fn drive<T>(&mut self, cx: &mut Context<'_>, look: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.relay.quiet();
        self.step();
        let found = look(&mut Context::from_waker(Waker::noop()));
        if found.is_pending() && self.relay.has_woken(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        found
    }

    /// Whether nothing at all has come since a request was sent.
    pub(super) fn is_silent(&self) -> bool {
        self.relay.received.load(Relaxed) == 0
    }

    /// A message's head or a piece of its body has come, or is awaited from here on.
    pub(super) fn progressed(&self) {
        self.relay.received.store(0, Relaxed);
    }

    /// Takes the connection as far as it goes, or until it has read [`READ_PER_POLL`].
    pub(super) fn step(&mut self) {
        self.relay.until.store(self.relay.received.load(Relaxed) + READ_PER_POLL, Relaxed);
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(&mut Context::from_waker(&self.waker)).is_ready()
        {
            // Why it ended, whoever waits for it is told by hyper; a request that has not begun comes back by this.
            self.connection = None;
        }
    }

    /// Whether it can take another request: answer and request are over, and neither side wants it closed.
    pub(super) fn is_free(&self) -> bool {
        self.sender.is_ready() && self.connection.is_some() && !self.relay.unsent.load(Relaxed)
    }
}

/// What a connection wakes. It stays the same for as long as there is the connection, whichever task waits for it, and
/// an idle one holds on to no task.
pub(super) struct WakerProxy {
    /// Whether something is left to be written that the other side does not take.
    unsent: AtomicBool,
    /// How many bytes came since the last of them that were of use. Only whoever has the connection changes this and the
    /// next.
    received: AtomicUsize,
    /// How many they may be before this poll yields.
    until: AtomicUsize,
    state: Mutex<State>,
}

enum State {
    Quiet,
    Woken,
    Waiting(Waker),
}

impl WakerProxy {
    /// From here on, what wakes counts.
    fn quiet(&self) {
        self.change(State::Quiet);
    }

    /// Whether something has woken it already; otherwise the task is woken when something does.
    fn has_woken(&self, task: &Waker) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Quiet) {
            *state = State::Waiting(task.clone());
        }
        matches!(*state, State::Woken)
    }

    /// What it was goes to the caller, so that no waker is woken or dropped under the lock.
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

/// More came than may come before a response, or between two pieces of its body.
#[derive(Debug)]
pub(in crate::http) struct Excess {
    /// How much may, in bytes.
    pub(in crate::http) limit: usize,
}

impl std::fmt::Display for Excess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {} bytes came without a response's head or body in them", self.limit)
    }
}

impl std::error::Error for Excess {}

/// A stream that bounds what is read, and tells whether it takes what is written: hyper would call a connection ready whose
/// request is answered and yet not sent to its end.
///
/// Bytes are bounded, and not the informational responses counted: it covers all that can come without end, and hyper's
/// `on_informational` costs each request allocations.
pub(super) struct WriteTracking<S> {
    io: TokioIo<S>,
    relay: Arc<WakerProxy>,
    excess: usize,
}

impl<S> WriteTracking<S> {
    /// hyper writes until all is written or this is pending, and flushes then.
    fn wrote<T>(&self, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.relay.unsent.store(wrote.is_pending(), Relaxed);
        wrote
    }
}

impl<S: Read + Unpin> AsyncRead for WriteTracking<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let received = self.relay.received.load(Relaxed);
        if received >= self.relay.until.load(Relaxed) {
            // Not woken at once, but when the runtime has looked after others and after its sockets and timers.
            let _ = pin!(yield_now()).poll(cx);
            return Poll::Pending;
        }
        if received >= self.excess {
            return Poll::Ready(Err(io::Error::other(Excess { limit: self.excess })));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.relay.received.store(received + (buffer.filled().len() - before), Relaxed);
        read
    }
}

impl<S: Write + Unpin> AsyncWrite for WriteTracking<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.wrote(flushed)
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
        let wrote = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.wrote(wrote)
    }
}
