//! Bodies on their way, watched: one that stands still for too long ends in an error.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::Progress;
use super::trouble::{Trouble, Words, of_hyper};
use crate::limits::Limits;

/// How long to wait for the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Until there is a connection.
    pub(super) connect: Patience,
    /// From the request's end to the answer's beginning.
    pub(super) first_byte: Patience,
    /// Between two pieces of a body, in either direction.
    pub(super) between_bytes: Patience,
}

/// How long to wait, and whose word that is. It shows as both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) time: Duration,
    /// The limit of the host's that says so; none where the plugin asked for it.
    limit: Option<&'static str>,
}

impl Timeouts {
    pub(super) fn of(limits: &Limits) -> Timeouts {
        let ours = |time, name| Patience { time, limit: Some(name) };
        Timeouts {
            connect: ours(limits.connect_timeout, "connect-timeout"),
            first_byte: ours(limits.first_byte_timeout, "first-byte-timeout"),
            between_bytes: ours(limits.between_bytes_timeout, "between-bytes-timeout"),
        }
    }

    /// What the plugin asks for, if that is no more.
    pub(super) fn within(self, options: Option<RequestOptions>) -> Timeouts {
        let least = |ours: Patience, asked: Option<Duration>| match asked {
            Some(time) if time <= ours.time => Patience { time, limit: None },
            _ => ours,
        };
        let options = options.unwrap_or_default();
        Timeouts {
            connect: least(self.connect, options.connect_timeout),
            first_byte: least(self.first_byte, options.first_byte_timeout),
            between_bytes: least(self.between_bytes, options.between_bytes_timeout),
        }
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.time)?;
        match self.limit {
            Some(limit) => write!(f, ", which is all that `{limit}` in the section [sandbox] allows"),
            None => Ok(()),
        }
    }
}

/// How far a request has got.
pub(super) struct Watch {
    began: Instant,
    /// When something last went out, in nanoseconds since `began`.
    last: AtomicU64,
    /// Whether all of it has.
    sent: AtomicBool,
}

impl Watch {
    pub(super) fn new(sent: bool) -> Arc<Watch> {
        Arc::new(Watch { began: Instant::now(), last: AtomicU64::new(0), sent: AtomicBool::new(sent) })
    }

    /// Something has moved: the waiting begins anew.
    pub(super) fn moved(&self) {
        self.last.store(self.began.elapsed().as_nanos() as u64, Relaxed);
    }

    /// Returns when nothing has moved for too long.
    pub(super) async fn stalled(&self, timeouts: Timeouts) -> Trouble {
        loop {
            let sent = self.sent.load(Relaxed);
            let patience = if sent { timeouts.first_byte } else { timeouts.between_bytes };
            let end = self.began + Duration::from_nanos(self.last.load(Relaxed)).saturating_add(patience.time);
            if Instant::now() >= end {
                return if sent {
                    let words = format!("the request was not answered within {patience}");
                    Trouble { error: Error::HttpResponseTimeout, words }
                } else {
                    let words = format!("none of the request's body was taken for {patience}");
                    Trouble { error: Error::ConnectionWriteTimeout, words }
                };
            }
            sleep_until(end).await;
        }
    }
}

/// A request's body.
pub(super) struct Outgoing {
    body: WasiBody,
    watch: Arc<Watch>,
    progress: Option<Progress>,
    gone: u64,
}

impl Outgoing {
    pub(super) fn new(body: WasiBody, watch: Arc<Watch>, progress: Option<Progress>) -> Outgoing {
        Outgoing { body, watch, progress, gone: 0 }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.watch.moved();
        match &frame {
            Some(Ok(frame)) => {
                self.gone += frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(told) = &self.progress {
                    told(self.gone);
                }
                if self.body.is_end_stream() {
                    self.watch.sent.store(true, Relaxed);
                }
            }
            Some(Err(_)) | None => self.watch.sent.store(true, Relaxed),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body.
pub(super) struct Answer {
    open: Cut,
    patience: Patience,
    words: Words,
    /// Set while nothing comes.
    end: Option<Pin<Box<Sleep>>>,
}

/// What an answer's body comes from, until that is over: to be cut from outside, whoever holds the body.
#[derive(Clone)]
pub(crate) struct Cut {
    open: Arc<Mutex<Option<Open>>>,
    /// Why the body stopped coming, where the host ended it.
    words: Words,
}

/// A body that is not over, and its place among the instance's requests, while it is the instance's.
struct Open {
    body: Incoming,
    place: Option<OwnedSemaphorePermit>,
}

impl Cut {
    /// Ends the body: its connection is closed.
    pub(crate) fn cut(&self) {
        let open = self.lock().take();
        drop(open);
    }

    /// The body is taken out of the instance, which may make another request in its place.
    pub(crate) fn leave(&self) {
        if let Some(open) = &mut *self.lock() {
            open.place = None;
        }
    }

    /// Why the body stopped coming, in the host's words.
    pub(crate) fn take_words(&self) -> Option<String> {
        self.words.take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    pub(super) fn new(body: Incoming, patience: Patience, words: Words, place: OwnedSemaphorePermit) -> Answer {
        let open = Arc::new(Mutex::new(Some(Open { body, place: Some(place) })));
        let open = Cut { open, words: Words::default() };
        Answer { open, patience, words, end: None }
    }

    /// What cuts it.
    pub(super) fn cut(&self) -> Cut {
        self.open.clone()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let mut open = this.open.lock();
        let polled = match &mut *open {
            Some(open) => Pin::new(&mut open.body).poll_frame(cx),
            None => Poll::Ready(None),
        };
        if let Poll::Ready(frame) = polled {
            this.end = None;
            // The connection, if it is still one, is for others now.
            if !matches!(frame, Some(Ok(_))) {
                open.take();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| of_hyper(&error))));
        }
        drop(open);
        let end = this.end.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + this.patience.time)));
        ready!(end.as_mut().poll(cx));
        let words = format!("no more of the answer came for {}", this.patience);
        this.open.words.say(words.clone());
        this.words.say(words);
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.open.lock().as_ref().is_none_or(|open| open.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.open.lock().as_ref().map_or(SizeHint::with_exact(0), |open| open.body.size_hint())
    }
}
