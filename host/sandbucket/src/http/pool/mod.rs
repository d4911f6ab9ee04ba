//! The connection pool, HTTP/1.1 only.
//!
//! It spawns no task: a connection is driven by the task that waits for its response, first for the head and then for the body.
//! Nothing drives an idle connection: that the server closed it shows when it is next used, before anything is written to it.
//!
//! An idle connection may also be dead without a sign. A request that is safe to repeat ([`Outbound::repeated`]) and fails on one
//! before the first byte of a response is sent again on a new connection, once, if it fails soon: what takes long reached the
//! server. Whatever the request, the failure discards all idle connections to that authority, so that the next request takes a new
//! one.
//!
//! # Instead of hyper-util's legacy client
//!
//! That client spawns a task for each connection, so that each request and each piece of a body goes to another task and back. Driving
//! the connection in place saves 11,000 instructions per request, and 26 to 43 % of the CPU time of a GET of 4 MiB. It also bounds idle
//! connections over all clients of an engine, which hyper-util bounds per host and client.
//!
//! The pool relies on this behaviour of `hyper::client::conn::http1`, which `tests/hyper_behaviour.rs` tests without the pool:
//! - one poll of the connection writes the request, and one completes the response, whatever waker they have
//!   (`one_poll_of_the_connection_completes_the_response`; with the pool `task_is_woken_once_per_request`);
//! - hyper reads before it writes: a connection that was closed while idle returns the request unsent, and never one that was written
//!   (`connection_closed_while_idle_returns_the_request_unsent`, `request_that_was_written_is_not_returned`);
//! - a response that arrives before the end of the request is delivered, and the connection is not ready until the request ends
//!   (`response_before_the_end_of_the_request_is_delivered`).

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

/// Establishes connections.
pub(super) trait Connect: Send + Sync + 'static {
    type Stream: Read + Write + Unpin + Send + 'static;
    type Error;

    /// Connects to the URI's authority, by its scheme.
    fn connect(&self, to: Uri) -> impl Future<Output = Result<Self::Stream, Self::Error>> + Send;

    /// How requests go out over this connection if it leads to a proxy that forwards them. None, the default, if it leads to
    /// their target.
    fn forward(&self, _: &Self::Stream) -> Option<Forward> {
        None
    }
}

/// What a proxy needs in a request that it forwards, besides the whole URL.
pub(super) struct Forward {
    /// The value of `proxy-authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

/// A request's body.
pub(super) trait Outbound:
    Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Sized + Send + 'static
{
    /// A copy of the request, made before it is first sent. None if it is not safe to send it twice, or its body can be read
    /// only once.
    fn repeated(request: &Request<Self>) -> Option<Box<Request<Self>>>;
}

/// The extension of a request that takes a new connection.
#[derive(Clone, Copy)]
pub(super) struct NewConnection;

/// Receives the progress of a request.
pub(super) trait Progressing {
    /// A connection took the request.
    fn connected(&self);

    /// That connection failed, and another one is established for the same request.
    fn restarted(&self);
}

/// How soon a connection that is dead shows it, if at all: a reset takes a round trip. A request that fails later was being worked
/// on, such as a copy of a large object.
const STALE: Duration = Duration::from_secs(5);

/// A request that is dropped after this time without a byte of a response counts as sent on a dead connection. Timeouts are longer,
/// and most callers who drop a request do so sooner.
const SUSPECT: Duration = Duration::from_millis(250);

/// A connection that a request was sent on. If it is dropped, the request was dropped: at a timeout, or by the caller. If the connection
/// was idle before, it may be dead as well as slow, and so may the idle ones be: the next request takes none of them. One that served
/// another request a moment ago is alive, and stays: a tenant that drops requests must not cost busy ones their connections.
struct InUse<'a, C: Connect, B: Outbound> {
    connection: Option<BoxedConnection<C, B>>,
    idle: &'a IdlePool<C, B>,
}

impl<C: Connect, B: Outbound> Drop for InUse<'_, C, B> {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection
            && connection.reused
            && connection.since.elapsed() >= SUSPECT
        {
            let alive = Instant::now().checked_sub(SUSPECT).unwrap_or(connection.since);
            self.idle.discard(&connection.target, Some(alive));
        }
    }
}

/// A request without a response.
#[derive(Debug)]
pub(super) enum SendError<E> {
    /// The request's URI has no authority.
    MissingAuthority,
    /// No connection was established.
    Connect(E),
    /// The connection failed, or the response is not HTTP.
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
    /// `idle` may have connections of other clients, which are never shared. `http1` has the options of each connection, over which no
    /// more than `excess` bytes may arrive without a response's head or a piece of its body among them.
    pub(super) fn new(connect: C, http1: Builder, excess: usize, idle: Arc<IdlePool<C, B>>) -> Self {
        let id = idle.client();
        Connections(Arc::new(Shared { connect, http1, excess, id, idle }))
    }

    /// Sends a request and waits for the head of its response. Dropping the future closes the connection.
    ///
    /// The request's body may still be on its way when the response begins: it is sent on while the response's body is read.
    pub(super) async fn send(
        &self,
        mut request: Box<Request<B>>,
        progress: &impl Progressing,
    ) -> Result<Response<IncomingBody<C, B>>, SendError<C::Error>> {
        let target = Target::take(request.uri_mut(), self.0.id).ok_or(SendError::MissingAuthority)?;
        let (mut failed, fresh) = (None, request.extensions().get::<NewConnection>().is_some());
        loop {
            let idle = if failed.is_none() && !fresh { self.0.idle.take(&target) } else { None };
            let (connection, again) = match idle {
                Some(mut connection) => {
                    (connection.reused, connection.since) = (true, Instant::now());
                    (connection, B::repeated(&request))
                }
                None => match (self.open(&target).await, failed.take()) {
                    (Ok(connection), _) => (connection, None),
                    // The first error says more: that request may have been sent.
                    (Err(_), Some(failed)) => return Err(SendError::Http(failed)),
                    (Err(error), None) => return Err(error),
                },
            };
            let mut in_use = InUse { connection: Some(connection), idle: &self.0.idle };
            let Some(connection) = &mut in_use.connection else { return Err(SendError::MissingAuthority) };
            let sent = connection.send(request, || progress.connected()).await;
            let Some(connection) = in_use.connection.take() else { return Err(SendError::MissingAuthority) };
            let mut error = match sent {
                Ok(response) => return Ok(self.received(connection, response)),
                Err(error) => error,
            };
            // The server closed it while it was idle, and nothing of the request was sent.
            if connection.reused
                && let Some(unsent) = error.take_message()
            {
                request = Box::new(unsent);
                continue;
            }
            if connection.reused {
                self.0.idle.discard(&target, None);
            }
            match again {
                Some(again) if connection.is_silent() && connection.since.elapsed() < STALE => {
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
        let mut connection = opened.map_err(SendError::Http)?;
        connection.forward = forward;
        Ok(connection)
    }

    /// The response with its body, which drives the connection. A small one has arrived whole: its connection becomes idle at once.
    fn received(
        &self,
        connection: BoxedConnection<C, B>,
        response: Response<Incoming>,
    ) -> Response<IncomingBody<C, B>> {
        connection.progressed();
        response.map(|body| {
            if connection.is_free() || body.is_end_stream() {
                self.put(connection);
                return IncomingBody { body, connection: None };
            }
            IncomingBody { body, connection: Some((connection, self.clone())) }
        })
    }

    /// Returns a connection whose response is complete. If it cannot be used again, it is closed.
    fn put(&self, mut connection: BoxedConnection<C, B>) {
        if !connection.is_free() {
            // It may need one more step; otherwise the request is still being sent, or the server closes.
            connection.step();
        }
        if connection.is_free() {
            self.0.idle.put(connection);
        }
    }
}

/// The body of a response, which drives its connection. Dropped before its end, it closes that.
pub(super) struct IncomingBody<C: Connect, B: Outbound> {
    body: Incoming,
    /// None once all of the body has arrived.
    connection: Option<(BoxedConnection<C, B>, Connections<C, B>)>,
}

impl<C: Connect, B: Outbound> IncomingBody<C, B> {
    /// Closes the connection, which broke or stalled, and discards the idle ones to the same authority.
    pub(super) fn failed(&mut self) {
        if let Some((connection, pool)) = self.connection.take()
            && connection.reused
        {
            pool.0.idle.discard(&connection.target, None);
        }
    }
}

impl<C: Connect, B: Outbound> Body for IncomingBody<C, B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let IncomingBody { body, connection } = &mut *this;
        let Some((driven, _)) = connection else { return Pin::new(body).poll_frame(cx) };
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
            && let Some((connection, pool)) = connection.take()
        {
            pool.put(connection);
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
