//! Connections kept and used again, HTTP/1.1 only.
//!
//! No task is spawned: a connection is driven by whoever waits for its answer, first for the head and then for the body,
//! which saves each request the way to another task and back. One that is kept idle is driven by nobody: that the server
//! has closed it shows when it is next used, before anything is written to it.
//!
//! A connection that was idle may also be dead without a sign. A request that is safe to repeat ([`Outbound::repeated`]) and
//! fails on one before the first byte of a response is sent again on a new connection, once, if it fails soon: what takes long
//! reached the server. Whatever the request, the
//! failure discards all idle connections to that authority, so that the next request takes a new one.

mod connection;
mod idle;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper::rt::{Read, Write};

use connection::{BoxedConnection, Connection, Target};
use idle::ClientId;

pub(super) use connection::{Excess, READ_PER_POLL};
pub(super) use idle::IdlePool;

/// Makes connections.
pub(super) trait Connect: Send + Sync + 'static {
    type Stream: Read + Write + Unpin + Send + 'static;
    type Error;

    /// Connects to what the URI's scheme and authority say.
    fn connect(&self, to: Uri) -> impl Future<Output = Result<Self::Stream, Self::Error>> + Send;

    /// How requests go out over this connection if it leads to a proxy that forwards them. None, which is the default, where
    /// it leads to their target.
    fn forward(&self, _: &Self::Stream) -> Option<Forward> {
        None
    }
}

/// What a proxy wants of a request that it is to forward, besides its whole URL.
pub(super) struct Forward {
    /// The value of `proxy-authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

/// A request's body.
pub(super) trait Outbound:
    Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Sized + Send + 'static
{
    /// The same request once more, before it is first sent; none where it is not safe to send it twice, or its body comes
    /// only once.
    fn repeated(request: &Request<Self>) -> Option<Box<Request<Self>>>;
}

/// The extension of a request that is to go over a new connection.
#[derive(Clone, Copy)]
pub(super) struct NewConnection;

/// Follows a request on its way to a connection.
pub(super) trait Progressing {
    /// There is a connection that takes the request.
    fn connected(&self);

    /// That connection failed, and another is made for the same request.
    fn restarted(&self);
}

/// How soon a connection that is dead shows it, if at all: a reset takes a round trip. A request that fails later was being worked
/// on, such as a copy of a large object.
const STALE: Duration = Duration::from_secs(5);

/// From when on a request that is given up without a byte of a response is taken for one on a dead connection. Timeouts are
/// longer, and most callers who lose interest in what is on its way are quicker.
const SUSPECT: Duration = Duration::from_millis(250);

/// A connection that a request was sent on. Dropped, the request was given up: at a timeout of the host's or the plugin's, or by
/// the caller. If the connection was idle before, it may be dead as well as slow, and so may the idle ones be: the next request
/// takes none of them.
struct InUse<'a, C: Connect, B: Outbound> {
    line: Option<BoxedConnection<C, B>>,
    idle: &'a IdlePool<C, B>,
}

impl<C: Connect, B: Outbound> Drop for InUse<'_, C, B> {
    fn drop(&mut self) {
        if let Some(line) = &self.line
            && line.reused
            && line.since.elapsed() >= SUSPECT
        {
            self.idle.discard(&line.target);
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum SendError<E> {
    /// The request's URI has no authority.
    MissingAuthority,
    /// No connection came about.
    Connect(E),
    /// The connection failed, or what came over it is no answer.
    Http(hyper::Error),
}

/// Connections to any number of authorities. Cloning it is cheap.
pub(super) struct Connections<C: Connect, B: Outbound>(Arc<Shared<C, B>>);

struct Shared<C: Connect, B: Outbound> {
    connect: C,
    http1: Builder,
    excess: usize,
    id: ClientId,
    idle: Arc<IdlePool<C, B>>,
}

impl<C: Connect, B: Outbound> Clone for Connections<C, B> {
    fn clone(&self) -> Self {
        Connections(self.0.clone())
    }
}

impl<C: Connect, B: Outbound> Connections<C, B> {
    /// Keeps idle connections in a pool that may be others' too, but shares none with them. What `http1` says holds for
    /// each, and no more than `excess` bytes may come over one without a response's head or a piece of its body among
    /// them.
    pub(super) fn new(connect: C, http1: Builder, excess: usize, idle: Arc<IdlePool<C, B>>) -> Self {
        let id = idle.client();
        Connections(Arc::new(Shared { connect, http1, excess, id, idle }))
    }

    /// Sends a request and waits for the head of its answer; dropping the future closes the connection in use.
    ///
    /// The request may well have a body that is still being sent when the answer begins: that goes on while the answer's
    /// body is read.
    pub(super) async fn send(
        &self,
        mut request: Box<Request<B>>,
        progress: &impl Progressing,
    ) -> Result<Response<IncomingBody<C, B>>, SendError<C::Error>> {
        let target = Target::take(request.uri_mut(), self.0.id).ok_or(SendError::MissingAuthority)?;
        let (mut failed, fresh) = (None, request.extensions().get::<NewConnection>().is_some());
        loop {
            let idle = if failed.is_none() && !fresh { self.0.idle.take(&target) } else { None };
            let (line, again) = match idle {
                Some(mut line) => {
                    (line.reused, line.since) = (true, Instant::now());
                    (line, B::repeated(&request))
                }
                None => match (self.open(&target).await, failed.take()) {
                    (Ok(line), _) => (line, None),
                    // It stays with the first failure, of a request that may have been sent.
                    (Err(_), Some(failed)) => return Err(SendError::Http(failed)),
                    (Err(error), None) => return Err(error),
                },
            };
            let mut in_use = InUse { line: Some(line), idle: &self.0.idle };
            let Some(line) = &mut in_use.line else { return Err(SendError::MissingAuthority) };
            let answered = line.ask(request, || progress.connected()).await;
            let Some(line) = in_use.line.take() else { return Err(SendError::MissingAuthority) };
            let mut error = match answered {
                Ok(response) => return Ok(self.arriving(line, response)),
                Err(error) => error,
            };
            // The server has closed it while it was idle, and nothing of the request has gone out.
            if line.reused
                && let Some(unsent) = error.take_message()
            {
                request = Box::new(unsent);
                continue;
            }
            if line.reused {
                self.0.idle.discard(&target);
            }
            match again {
                Some(again) if line.is_silent() && line.since.elapsed() < STALE => {
                    tracing::debug!(error = %error.error(), "an idle connection was dead; repeating the request");
                    progress.restarted();
                    request = again;
                    failed = Some(error.into_error());
                }
                _ => return Err(SendError::Http(error.into_error())),
            }
        }
    }

    async fn open(&self, target: &Target) -> Result<BoxedConnection<C, B>, SendError<C::Error>> {
        let uri = target.uri().ok_or(SendError::MissingAuthority)?;
        let io = self.0.connect.connect(uri).await.map_err(SendError::Connect)?;
        let forward = self.0.connect.forward(&io);
        let opened =
            Connection::open(io, target, &self.0.http1, self.0.excess).await.ok_or(SendError::MissingAuthority)?;
        let mut line = opened.map_err(SendError::Http)?;
        line.forward = forward;
        Ok(line)
    }

    /// Puts together an answer. What is small has come whole with its head: the connection is others' already.
    fn arriving(&self, line: BoxedConnection<C, B>, response: Response<Incoming>) -> Response<IncomingBody<C, B>> {
        line.progressed();
        response.map(|body| {
            if line.is_free() || body.is_end_stream() {
                self.put(line);
                return IncomingBody { body, line: None };
            }
            IncomingBody { body, line: Some((line, self.clone())) }
        })
    }

    /// Takes back a connection whose answer is over. If it can not be used again, it is closed.
    fn put(&self, mut line: BoxedConnection<C, B>) {
        if !line.is_free() {
            // It may be short of one step only; otherwise the request is still being sent, or the server closes.
            line.step();
        }
        if line.is_free() {
            self.0.idle.put(line);
        }
    }
}

/// An answer's body, which drives the connection that it comes over. Dropped before its end, it closes that.
pub(super) struct IncomingBody<C: Connect, B: Outbound> {
    body: Incoming,
    /// None when all has come that will.
    line: Option<(BoxedConnection<C, B>, Connections<C, B>)>,
}

impl<C: Connect, B: Outbound> IncomingBody<C, B> {
    /// Closes the connection, which broke off or stands still, and discards the idle ones with it.
    pub(super) fn failed(&mut self) {
        if let Some((line, connections)) = self.line.take()
            && line.reused
        {
            connections.0.idle.discard(&line.target);
        }
    }
}

impl<C: Connect, B: Outbound> Body for IncomingBody<C, B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let IncomingBody { body, line } = &mut *this;
        let Some((driven, _)) = line else { return Pin::new(body).poll_frame(cx) };
        let mut frame = Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop()));
        if frame.is_pending() {
            frame = driven.drive(cx, |cx| Pin::new(&mut *body).poll_frame(cx));
        }
        if frame.is_ready() {
            driven.progressed();
        }
        if let Poll::Ready(Some(Err(_))) = &frame {
            this.failed();
            return frame;
        }
        if let Poll::Ready(got) = &frame
            && (driven.is_free() || body.is_end_stream() || got.is_none())
            && let Some((line, connections)) = line.take()
        {
            connections.put(line);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
