//! Bodies of requests: where their bytes come from, and what connections read.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use super::Progress;
use super::pool::Outbound;
use super::request_rules::is_repeatable;
use super::timeouts::RequestProgress;
use super::tracked_buf::TrackedBuf;
use crate::budget::{Admission, Pacer};
use crate::types::body::{Cause, Chunks, Pieces};

/// The source of a request's body.
pub(crate) enum Source {
    /// Bytes in memory.
    Here(Chunks),
    /// A stream.
    Stream(Streamed),
    /// A body of unknown length, as a plugin writes it over wasi:http.
    Plugin(UnsyncBoxBody<Bytes, Cause>),
}

impl Source {
    /// A body of no bytes.
    pub(crate) fn empty() -> Source {
        Source::Here(Chunks::default())
    }

    /// Number of bytes left; 0 if it is unknown.
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

    /// A copy, made before any of it is sent. None if it can be read only once.
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
            Source::Plugin(body) => Pin::new(body).poll_frame(cx).map_ok(|frame| frame.map_data(Chunks::from)),
        }
    }
}

/// A stream of a known length.
pub(crate) struct Streamed {
    pieces: Pieces,
    length: u64,
    left: u64,
    /// The last piece, held back until the stream ends.
    last: Option<Bytes>,
    /// Set if it breaks off.
    fault: Fault,
}

/// The fault of a caller's body that broke off.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<BodyFault>>>);

/// A fault of a caller's body.
pub(crate) enum BodyFault {
    /// It could not be read.
    Reading(Cause),
    /// It does not have the announced length: the message says how it differs.
    Length(String),
}

impl Fault {
    pub(crate) fn take(&self) -> Option<BodyFault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, fault: BodyFault) -> Cause {
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
                Some(Err(error)) => return Poll::Ready(Some(Err(self.fault.set(BodyFault::Reading(error))))),
                None => {
                    let last = self.last.take();
                    self.left -= last.as_ref().map_or(0, |last| last.len() as u64);
                    if self.left > 0 {
                        let message = format!("ended after {} of", self.length - self.left);
                        return Poll::Ready(Some(Err(self.fault.set(BodyFault::Length(message)))));
                    }
                    return Poll::Ready(last.map(Ok));
                }
            };
            let length = piece.len() as u64;
            if self.last.is_some() && length > 0 || length > self.left {
                return Poll::Ready(Some(Err(self.fault.set(BodyFault::Length("goes on after".to_owned())))));
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

/// The body of a request, as hyper reads it.
pub(super) struct RequestBody {
    source: Source,
    watch: Arc<RequestProgress>,
    progress: Option<Progress>,
    /// Bytes handed to the connection.
    handed: u64,
    paced: Option<Box<Paced>>,
}

/// What the body of a tenant's request pauses for.
struct Paced {
    tenant: Arc<Admission>,
    pacer: Box<Pacer>,
    /// Bytes that are charged, and passed on when they are paid.
    held: Option<Frame<Chunks>>,
}

impl RequestBody {
    /// A body whose bytes are charged to the tenant, if there is one.
    pub(super) fn new(
        source: Source,
        watch: Arc<RequestProgress>,
        progress: Option<Progress>,
        tenant: Option<&Arc<Admission>>,
    ) -> RequestBody {
        let paced = |tenant: &Arc<Admission>| {
            Box::new(Paced { tenant: tenant.clone(), pacer: Pacer::written(tenant), held: None })
        };
        RequestBody { source, watch, progress, handed: 0, paced: tenant.map(paced) }
    }

    /// The next bytes, once they are paid.
    fn poll_paid(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunks>, Cause>>> {
        let Some(paced) = &mut self.paced else { return self.source.poll_frame(cx) };
        if paced.held.is_none() {
            let frame = match (&mut self.source, paced.pacer.piece()) {
                (Source::Here(chunks), Some(piece)) if chunks.length() > piece => {
                    Some(Ok(Frame::data(chunks.split_to(piece))))
                }
                (source, _) => ready!(source.poll_frame(cx)),
            };
            let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
            if let Some(bytes) = frame.data_ref() {
                paced.pacer.charge(bytes.remaining());
            }
            paced.held = Some(frame);
        }
        if paced.pacer.poll(cx).is_pending() {
            // A pause is no stall.
            self.watch.moved(false);
            return Poll::Pending;
        }
        Poll::Ready(paced.held.take().map(Ok))
    }

    /// Number of bytes that are charged and not passed on.
    fn held(&self) -> u64 {
        let held = self.paced.as_ref().and_then(|paced| paced.held.as_ref());
        held.and_then(Frame::data_ref).map_or(0, Chunks::length)
    }

    /// A buffer for the connection.
    fn tracked(&mut self, chunks: Chunks) -> TrackedBuf {
        let (last, sent) = (self.source.is_over(), self.handed);
        self.handed += chunks.length();
        TrackedBuf::new(chunks, last, self.watch.clone(), self.progress.clone(), sent)
    }
}

impl Outbound for RequestBody {
    fn repeated(request: &Request<RequestBody>) -> Option<Box<Request<RequestBody>>> {
        if !is_repeatable(request.method(), request.headers()) {
            return None;
        }
        let RequestBody { source, watch, progress, paced, .. } = request.body();
        let tenant = paced.as_ref().map(|paced| &paced.tenant);
        let mut again = Request::new(RequestBody::new(source.repeated()?, watch.clone(), progress.clone(), tenant));
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
        let frame = ready!(self.poll_paid(cx));
        // A `TrackedBuf` records itself when its bytes are sent.
        if !matches!(&frame, Some(Ok(frame)) if frame.data_ref().is_some_and(|chunks| chunks.length() > 0)) {
            self.watch.moved(!matches!(frame, Some(Ok(_))) || self.source.is_over());
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|chunks| self.tracked(chunks)))))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_over() && self.held() == 0
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Plugin(body) => body.size_hint(),
            source => SizeHint::with_exact(source.length() + self.held()),
        }
    }
}
