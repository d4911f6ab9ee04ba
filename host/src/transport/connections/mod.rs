//! Connections kept and used again, HTTP/1.1 only.
//!
//! No task is spawned: a connection is driven by whoever waits for its answer, first for the head and then for the body,
//! which saves each request the way to another task and back. One that is kept idle is driven by nobody: that the server
//! has closed it shows when it is next used, before anything is written to it.

mod line;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper::rt::{Read, Write};

use line::{Held, Line, Target};

/// Makes connections.
pub(super) trait Connect: Send + Sync + 'static {
    type Stream: Read + Write + Unpin + Send + 'static;
    type Error;

    /// Connects to what the URI's scheme and authority say.
    fn connect(&self, to: Uri) -> impl Future<Output = Result<Self::Stream, Self::Error>> + Send;
}

/// A request's body.
pub(super) trait Outbound:
    Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static
{
}

impl<B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static> Outbound for B {}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum SendError<E> {
    /// The request's URI has no authority.
    Nowhere,
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
    max_idle: usize,
    idle_timeout: Duration,
    kept: Mutex<Kept<C, B>>,
}

/// The idle connections.
struct Kept<C: Connect, B: Outbound> {
    places: Vec<Place<C, B>>,
    /// None is over before this; without it there are none.
    first: Option<Instant>,
}

/// The idle connections to one authority, the one used last at the back.
struct Place<C: Connect, B: Outbound> {
    target: Target,
    idle: VecDeque<Held<C, B>>,
}

impl<C: Connect, B: Outbound> Clone for Connections<C, B> {
    fn clone(&self) -> Self {
        Connections(self.0.clone())
    }
}

impl<C: Connect, B: Outbound> Connections<C, B> {
    /// Keeps up to `max_idle` idle connections to each authority, for `idle_timeout` at most. What `http1` says holds
    /// for each.
    pub(super) fn new(connect: C, http1: Builder, max_idle: usize, idle_timeout: Duration) -> Self {
        // Added to any time, this makes one.
        let idle_timeout = idle_timeout.min(Duration::from_secs(u32::MAX.into()));
        let kept = Mutex::new(Kept { places: Vec::new(), first: None });
        Connections(Arc::new(Shared { connect, http1, max_idle, idle_timeout, kept }))
    }

    /// Sends a request and waits for the head of its answer; dropping the future closes the connection in use.
    ///
    /// `on_connected` is called once there is a connection that takes the request. The request may well have a body that
    /// is still being sent when the answer begins: that goes on while the answer's body is read.
    pub(super) async fn send(
        &self,
        mut request: Box<Request<B>>,
        on_connected: impl FnOnce(),
    ) -> Result<Response<Arriving<C, B>>, SendError<C::Error>> {
        let target = Target::take(request.uri_mut()).ok_or(SendError::Nowhere)?;
        let mut on_connected = Some(on_connected);
        loop {
            let (mut line, kept) = match self.take(&target) {
                Some(line) => (line, true),
                None => (self.open(&target).await?, false),
            };
            match line.ask(request, &mut on_connected).await {
                Ok(response) => return Ok(self.arriving(line, response)),
                // The server has closed it while it was idle, and nothing of the request has gone out.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if kept => request = Box::new(unsent),
                    _ => return Err(SendError::Http(error.into_error())),
                },
            }
        }
    }

    /// Closes what has been idle for too long. That also happens whenever a connection is taken or put back, so this is
    /// for when nothing happens.
    pub(super) fn sweep(&self) {
        let over = self.kept().expire(Instant::now());
        drop(over);
    }

    async fn open(&self, target: &Target) -> Result<Held<C, B>, SendError<C::Error>> {
        let uri = target.uri().ok_or(SendError::Nowhere)?;
        let io = self.0.connect.connect(uri).await.map_err(SendError::Connect)?;
        let opened = Line::open(io, target, &self.0.http1).await.ok_or(SendError::Nowhere)?;
        opened.map_err(SendError::Http)
    }

    /// Puts together an answer. What is small has come whole with its head: the connection is others' already.
    fn arriving(&self, line: Held<C, B>, response: Response<Incoming>) -> Response<Arriving<C, B>> {
        response.map(|body| {
            if line.is_free() || body.is_end_stream() {
                self.put(line);
                return Arriving { body, line: None };
            }
            Arriving { body, line: Some((line, self.clone())) }
        })
    }

    /// The idle connection used last: it is the least likely to be closed.
    fn take(&self, target: &Target) -> Option<Held<C, B>> {
        let now = Instant::now();
        let mut kept = self.kept();
        let over = kept.expire(now);
        let line = kept.place(target).and_then(|place| place.idle.pop_back());
        drop(kept);
        drop(over);
        line
    }

    /// Takes back a connection whose answer is over. If it can not be used again, it is closed.
    fn put(&self, mut line: Held<C, B>) {
        if !line.is_free() {
            // It may be short of one step only; otherwise the request is still being sent, or the server closes.
            line.step();
        }
        if !line.is_free() || self.0.max_idle == 0 {
            return;
        }
        let now = Instant::now();
        line.until = now + self.0.idle_timeout;
        let mut kept = self.kept();
        let mut over = kept.expire(now);
        kept.first.get_or_insert(line.until);
        match kept.place(&line.target) {
            Some(place) => {
                if place.idle.len() >= self.0.max_idle {
                    over.extend(place.idle.pop_front());
                }
                place.idle.push_back(line);
            }
            None => kept.places.push(Place { target: line.target.clone(), idle: VecDeque::from([line]) }),
        }
        drop(kept);
        drop(over);
    }

    fn kept(&self) -> MutexGuard<'_, Kept<C, B>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Connect, B: Outbound> Kept<C, B> {
    /// There are but a few: looking at each costs less than a hash would.
    fn place(&mut self, target: &Target) -> Option<&mut Place<C, B>> {
        self.places.iter_mut().find(|place| place.target == *target)
    }

    /// Takes out what has been idle for too long, for the caller to drop when the lock is gone.
    fn expire(&mut self, now: Instant) -> Vec<Held<C, B>> {
        let mut over = Vec::new();
        if self.first.is_some_and(|first| first < now) {
            for place in &mut self.places {
                while let Some(line) = place.idle.pop_front_if(|line| line.until < now) {
                    over.push(line);
                }
            }
            self.places.retain(|place| !place.idle.is_empty());
            self.first = self.places.iter().filter_map(|place| place.idle.front()).map(|line| line.until).min();
        }
        over
    }
}

/// An answer's body, which drives the connection that it comes over. Dropped before its end, it closes that.
pub(super) struct Arriving<C: Connect, B: Outbound> {
    body: Incoming,
    /// None when all has come that will.
    line: Option<(Held<C, B>, Connections<C, B>)>,
}

impl<C: Connect, B: Outbound> Body for Arriving<C, B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Arriving { body, line } = self.get_mut();
        let Some((driven, _)) = line else { return Pin::new(body).poll_frame(cx) };
        let mut frame = Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop()));
        if frame.is_pending() {
            frame = driven.drive(cx, |cx| Pin::new(&mut *body).poll_frame(cx));
        }
        if let Poll::Ready(got) = &frame
            && (driven.is_free() || body.is_end_stream() || !matches!(got, Some(Ok(_))))
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
