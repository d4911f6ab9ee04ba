//! Bodies of requests and responses, and their timeouts: one that stalls ends in an error.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{coop, unconstrained};
use tokio::time::Instant;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::Progress;
use super::client::IncomingBody;
use super::connections::{Outbound, Progressing};
use super::request_rules::is_repeatable;
use super::timers::Timer;
use super::tracked_buf::TrackedBuf;
use super::trouble::{Trouble, Words};
use crate::limits::Limits;
use crate::types::body::{Cause, Chunks, Pieces};

/// Pieces below this, in bytes, are gathered, at the price of a copy: each that is kept as it is costs whoever keeps it the
/// whole buffer that it was read into, of 8 to 132 KiB.
const TINY: usize = 1 << 10;

/// About how much tiny pieces are gathered to, in bytes.
const GATHERED: usize = 16 << 10;

/// How much of a body takes one unit of tokio's cooperative budget, of which a task has 128 each time it is polled: it moves
/// 1 to 2 MiB, or 128 pieces, before others have their turn.
const BYTES_PER_UNIT: usize = 16 << 10;

/// How long to wait for the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Until there is a connection.
    pub(super) connect: NamedTimeout,
    /// From the request's end to the answer's beginning.
    pub(super) first_byte: NamedTimeout,
    /// Between two pieces of a body, in either direction.
    pub(super) between_bytes: NamedTimeout,
}

/// A timeout, and the limit of the host that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamedTimeout {
    pub(super) time: Duration,
    /// The limit of the host's that says so; none where the plugin asked for it.
    limit: Option<&'static str>,
}

impl Timeouts {
    pub(super) fn of(limits: &Limits) -> Timeouts {
        let ours = |time, name| NamedTimeout { time, limit: Some(name) };
        Timeouts {
            connect: ours(limits.connect_timeout, "connect-timeout"),
            first_byte: ours(limits.first_byte_timeout, "first-byte-timeout"),
            between_bytes: ours(limits.between_bytes_timeout, "between-bytes-timeout"),
        }
    }

    /// What the plugin asks for, if that is no more.
    pub(super) fn within(self, options: Option<RequestOptions>) -> Timeouts {
        let least = |ours: NamedTimeout, asked: Option<Duration>| match asked {
            Some(time) if time <= ours.time => NamedTimeout { time, limit: None },
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

impl fmt::Display for NamedTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.time)?;
        match self.limit {
            Some(limit) => {
                let set = crate::limits::named(limit);
                write!(f, ", which is all that {set} allows; `StoreOptions::timeout` allows one store more")
            }
            None => Ok(()),
        }
    }
}

/// The progress of a request. Times are in nanoseconds since it began.
pub(super) struct RequestProgress {
    began: Instant,
    /// When there was a connection; 0 until then.
    connected: AtomicU64,
    /// When something last went out.
    last: AtomicU64,
    /// When all of it had; 0 until then.
    sent: AtomicU64,
    /// When the connection was asked for: 0, or later where the first one failed.
    started: AtomicU64,
    /// The time in which the body was sent on connections that failed.
    sent_before: AtomicU64,
    /// Whether there is no body to send.
    empty: bool,
    /// The time that it may take in all, but for that in which its body is sent.
    left: Option<Duration>,
}

impl RequestProgress {
    /// A request begins, of whose body, if it is empty, nothing is to be sent.
    pub(super) fn new(empty: bool, left: Option<Duration>) -> Arc<RequestProgress> {
        let zero = || AtomicU64::new(0);
        Arc::new(RequestProgress {
            began: Instant::now(),
            connected: zero(),
            last: zero(),
            sent: AtomicU64::new(empty.into()),
            started: zero(),
            sent_before: zero(),
            empty,
            left,
        })
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64 | 1
    }

    /// A piece of the body went out, maybe the last.
    pub(super) fn moved(&self, all: bool) {
        let now = self.now();
        self.last.store(now, Relaxed);
        if all {
            self.sent.store(now, Relaxed);
        }
    }

    /// Whether all of the body went out.
    pub(super) fn is_sent(&self) -> bool {
        self.sent.load(Relaxed) > 0
    }

    /// The time in which the body was sent.
    pub(super) fn sending(&self) -> Duration {
        let (connected, sent) = (self.connected.load(Relaxed), self.sent.load(Relaxed));
        let until = if sent > 0 { sent } else { self.last.load(Relaxed) };
        let now = if connected == 0 { 0 } else { until.saturating_sub(connected) };
        Duration::from_nanos(self.sent_before.load(Relaxed) + now)
    }

    /// When to give up if nothing moves until then, and why.
    fn end(&self, timeouts: &Timeouts) -> (Duration, StallPhase) {
        let time = |at: &AtomicU64| Duration::from_nanos(at.load(Relaxed));
        let (end, stall) = if self.connected.load(Relaxed) == 0 {
            let started = time(&self.started);
            let stall = if started.is_zero() { StallPhase::Connecting } else { StallPhase::Reconnecting };
            (started.saturating_add(timeouts.connect.time), stall)
        } else if !self.is_sent() {
            return (time(&self.last).saturating_add(timeouts.between_bytes.time), StallPhase::Sending);
        } else {
            (time(&self.last).saturating_add(timeouts.first_byte.time), StallPhase::Responding)
        };
        match self.left.map(|left| left.saturating_add(self.sending())) {
            Some(over) if over < end => (over, StallPhase::OutOfTime),
            _ => (end, stall),
        }
    }

    /// Returns when nothing has moved for too long.
    pub(super) async fn stalled(&self, timeouts: Timeouts, timer: &mut Timer) -> Trouble {
        poll_fn(|cx| {
            let (end, stall) = self.end(&timeouts);
            timer.poll(cx, self.began + end).map(|()| stall.trouble(&timeouts))
        })
        .await
    }
}

impl Progressing for RequestProgress {
    fn connected(&self) {
        let now = self.now();
        self.connected.store(now, Relaxed);
        self.last.store(now, Relaxed);
    }

    fn restarted(&self) {
        let sending = self.sending().as_nanos() as u64;
        self.sent_before.store(sending, Relaxed);
        self.started.store(self.now(), Relaxed);
        self.last.store(0, Relaxed);
        self.sent.store(self.empty.into(), Relaxed);
        self.connected.store(0, Relaxed);
    }
}

/// The phase in which a request stalled.
enum StallPhase {
    Connecting,
    /// After a connection on which the request may have been sent.
    Reconnecting,
    Sending,
    Responding,
    OutOfTime,
}

impl StallPhase {
    fn trouble(self, timeouts: &Timeouts) -> Trouble {
        let (error, words) = match self {
            StallPhase::Connecting => (Error::ConnectionTimeout, format!("no connection within {}", timeouts.connect)),
            StallPhase::Reconnecting => (
                Error::ConnectionTerminated,
                format!("the connection broke, and there was no other within {}", timeouts.connect),
            ),
            StallPhase::Sending => {
                let timeout = timeouts.between_bytes;
                (Error::ConnectionWriteTimeout, format!("none of the request's body was taken for {timeout}"))
            }
            StallPhase::Responding => {
                let timeout = timeouts.first_byte;
                (Error::HttpResponseTimeout, format!("the request was not answered within {timeout}"))
            }
            StallPhase::OutOfTime => {
                (Error::HttpResponseTimeout, "there was no time left to wait for the answer".to_owned())
            }
        };
        Trouble { error, words }
    }
}

/// Where a request's body comes from.
pub(crate) enum Source {
    /// Bytes that are here.
    Here(Chunks),
    /// A stream.
    Stream(Streamed),
    /// What a plugin writes.
    Plugin(WasiBody),
}

impl Source {
    /// A body of no bytes.
    pub(crate) fn empty() -> Source {
        Source::Here(Chunks::default())
    }

    /// How many bytes are left, where that is known here.
    pub(super) fn length(&self) -> u64 {
        match self {
            Source::Here(chunks) => chunks.length(),
            Source::Stream(stream) => stream.left,
            Source::Plugin(_) => 0,
        }
    }

    /// Whether nothing of it is left.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Source::Plugin(body) => body.is_end_stream(),
            _ => self.length() == 0,
        }
    }

    /// The same once more, before any of it is sent; none where it comes only once.
    fn repeated(&self) -> Option<Source> {
        match self {
            Source::Here(chunks) => Some(Source::Here(chunks.clone())),
            Source::Stream(_) | Source::Plugin(_) => self.is_over().then(Source::empty),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunks>, Cause>>> {
        match self {
            Source::Here(chunks) => {
                let all = mem::take(chunks);
                Poll::Ready((all.length() > 0).then(|| Ok(Frame::data(all))))
            }
            Source::Stream(stream) => stream.poll_piece(cx).map_ok(|piece| Frame::data(piece.into())),
            Source::Plugin(body) => {
                Pin::new(body).poll_frame(cx).map_ok(|frame| frame.map_data(Chunks::from)).map_err(Cause::from)
            }
        }
    }
}

/// A body that comes in pieces, of a length that is known before.
pub(crate) struct Streamed {
    pieces: Pieces,
    length: u64,
    left: u64,
    /// The last piece: it goes when it is known to be.
    last: Option<Bytes>,
    /// Why it broke off.
    fault: Fault,
}

/// Why a body broke off that was to be sent, where that is the caller's doing.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<BodyFault>>>);

/// What is wrong with a body that was to be sent.
pub(crate) enum BodyFault {
    /// It could not be read.
    Reading(Cause),
    /// It is not of the length that was announced: how it is instead.
    Length(String),
}

impl Fault {
    pub(crate) fn take(&self) -> Option<BodyFault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is(&self, fault: BodyFault) -> Cause {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        "the body broke off".into()
    }
}

impl Streamed {
    pub(crate) fn new(length: u64, pieces: Pieces, fault: Fault) -> Streamed {
        Streamed { pieces, length, left: length, last: None, fault }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cause>>> {
        loop {
            let piece = match ready!(self.pieces.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return Poll::Ready(Some(Err(self.fault.is(BodyFault::Reading(error))))),
                None => {
                    let last = self.last.take();
                    self.left -= last.as_ref().map_or(0, |last| last.len() as u64);
                    if self.left > 0 {
                        let words = format!("ended after {} of", self.length - self.left);
                        return Poll::Ready(Some(Err(self.fault.is(BodyFault::Length(words)))));
                    }
                    return Poll::Ready(last.map(Ok));
                }
            };
            let length = piece.len() as u64;
            if self.last.is_some() && length > 0 || length > self.left {
                return Poll::Ready(Some(Err(self.fault.is(BodyFault::Length("goes on after".to_owned())))));
            }
            if length == self.left {
                self.last = Some(piece);
                continue;
            }
            self.left -= length;
            return Poll::Ready(Some(Ok(piece)));
        }
    }
}

/// A request's body on its way.
pub(super) struct RequestBody {
    source: Source,
    watch: Arc<RequestProgress>,
    progress: Option<Progress>,
    /// How many of its bytes the connection was handed.
    handed: u64,
}

impl RequestBody {
    pub(super) fn new(source: Source, watch: Arc<RequestProgress>, progress: Option<Progress>) -> RequestBody {
        RequestBody { source, watch, progress, handed: 0 }
    }

    /// Bytes for the connection.
    fn departing(&mut self, chunks: Chunks) -> TrackedBuf {
        let (last, gone) = (self.source.is_over(), self.handed);
        self.handed += chunks.length();
        TrackedBuf::new(chunks, last, self.watch.clone(), self.progress.clone(), gone)
    }
}

impl Outbound for RequestBody {
    fn repeated(request: &Request<RequestBody>) -> Option<Box<Request<RequestBody>>> {
        if !is_repeatable(request.method(), request.headers()) {
            return None;
        }
        let RequestBody { source, watch, progress, .. } = request.body();
        let mut again = Request::new(RequestBody::new(source.repeated()?, watch.clone(), progress.clone()));
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        Some(Box::new(again))
    }
}

impl Body for RequestBody {
    type Data = TrackedBuf;
    type Error = Cause;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<TrackedBuf>, Cause>>> {
        let frame = ready!(self.source.poll_frame(cx));
        // Bytes tell by themselves when they have gone.
        if !matches!(&frame, Some(Ok(frame)) if frame.data_ref().is_some_and(|chunks| chunks.length() > 0)) {
            self.watch.moved(!matches!(frame, Some(Ok(_))) || self.source.is_over());
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|chunks| self.departing(chunks)))))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Plugin(body) => body.size_hint(),
            source => SizeHint::with_exact(source.length()),
        }
    }
}

/// The body of a response.
pub(crate) struct ResponseBody {
    body: IncomingBody,
    timeout: NamedTimeout,
    /// Since when nothing has come, where it is waited for.
    since: Option<Instant>,
    timer: Timer,
    /// What came after the tiny pieces that were gathered last.
    next: Option<Option<Result<Bytes, Trouble>>>,
}

impl ResponseBody {
    pub(super) fn new(body: IncomingBody, timeout: NamedTimeout, timer: Timer) -> ResponseBody {
        ResponseBody { body, timeout, since: None, timer, next: None }
    }

    /// The next bytes, or why there are none; none at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Trouble>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        match ready!(self.poll_data(cx)) {
            Some(Ok(tiny)) if tiny.len() < TINY && !self.body.is_end_stream() => {
                Poll::Ready(Some(Ok(self.gather(&tiny, cx))))
            }
            piece => Poll::Ready(piece),
        }
    }

    /// Puts a tiny piece together with those that are at hand after it.
    fn gather(&mut self, first: &[u8], cx: &mut Context<'_>) -> Bytes {
        let mut gathered = first.to_vec();
        while gathered.len() < GATHERED
            && let Poll::Ready(next) = self.poll_data(cx)
        {
            match next {
                Some(Ok(tiny)) if tiny.len() < TINY => gathered.extend_from_slice(&tiny),
                other => {
                    self.next = Some(other);
                    break;
                }
            }
        }
        gathered.into()
    }

    /// The next piece as it came.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Trouble>>> {
        loop {
            return match ready!(self.poll_any(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(bytes))),
                    // Trailers, which nobody asked for.
                    _ => continue,
                },
                Some(Err(trouble)) => Poll::Ready(Some(Err(trouble))),
                None => Poll::Ready(None),
            };
        }
    }

    /// Whether all of it was read.
    pub(crate) fn is_over(&self) -> bool {
        self.next.as_ref().map_or_else(|| self.body.is_end_stream(), |next| next.is_none())
    }

    /// How many bytes are to come, where that is known.
    pub(crate) fn length_hint(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Whether there are bytes at hand that were not read, even if this task has spent its budget.
    pub(crate) fn has_more(&mut self) -> bool {
        if let Some(next) = &self.next {
            return matches!(next, Some(Ok(_)));
        }
        let mut nobody = Context::from_waker(Waker::noop());
        !self.body.is_end_stream()
            && matches!(
                pin!(unconstrained(poll_fn(|cx| self.poll_data(cx)))).poll(&mut nobody),
                Poll::Ready(Some(Ok(_)))
            )
    }

    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        // Without a unit of the budget nothing is looked at but the clock.
        if let Poll::Ready(unit) = coop::poll_proceed(cx)
            && let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx)
        {
            unit.made_progress();
            if let Some(Ok(frame)) = &frame {
                spend(frame.data_ref().map_or(0, |bytes| bytes.len() / BYTES_PER_UNIT), cx);
            }
            self.since = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| Trouble::of_body(&error))));
        }
        let timeout = self.timeout;
        let end = *self.since.get_or_insert_with(Instant::now) + timeout.time;
        ready!(self.timer.poll(cx, end));
        self.body.failed();
        let words = format!("no more of the answer came for {timeout}");
        Poll::Ready(Some(Err(Trouble { error: Error::ConnectionReadTimeout, words })))
    }
}

/// Spends so many units of the task's cooperative budget, or what is left of it.
fn spend(units: usize, cx: &mut Context<'_>) {
    for _ in 0..units {
        // Asking with none left would have the task woken.
        if coop::has_budget_remaining()
            && let Poll::Ready(unit) = coop::poll_proceed(cx)
        {
            unit.made_progress();
        }
    }
}

/// The body of a response as a plugin reads it over wasi:http.
pub(super) struct WasiResponseBody {
    answer: ResponseBody,
    /// What the host has to say of it.
    words: Words,
    /// Its place among the instance's requests, until it is over.
    place: Option<OwnedSemaphorePermit>,
}

impl WasiResponseBody {
    pub(super) fn new(answer: ResponseBody, words: Words, place: OwnedSemaphorePermit) -> WasiResponseBody {
        WasiResponseBody { answer, words, place: Some(place) }
    }
}

impl Body for WasiResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.answer.poll_any(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.place = None;
        }
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|trouble| {
                self.words.say(trouble.words);
                trouble.error
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.answer.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.body.size_hint()
    }
}
