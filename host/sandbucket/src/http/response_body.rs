//! Bodies of responses: one that stalls ends in an error.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{coop, unconstrained};
use tokio::time::Instant;

use super::ConnectionPermit;
use super::client::IncomingBody;
use super::error::{HttpError, HttpErrorKind};
use super::timeouts::NamedTimeout;
use super::timers::Timer;
use crate::budget::{Admission, Pacer};

/// Pieces below this length in bytes are coalesced, which copies them: one that is kept as it is keeps the whole buffer that it was
/// read into, of 8 to 132 KiB.
const COALESCE_BELOW: usize = 1 << 10;

/// Length in bytes to which such pieces are coalesced.
const COALESCED: usize = 16 << 10;

/// Bytes of a body for one unit of tokio's cooperative budget, of which a task has 128 for each poll: it moves 1 to 2 MiB, or 128
/// pieces, before others are polled.
const BYTES_PER_UNIT: usize = 16 << 10;

/// The body of a response.
pub(crate) struct ResponseBody {
    body: IncomingBody,
    timeout: NamedTimeout,
    /// Since when a read has waited.
    since: Option<Instant>,
    timer: Timer,
    /// What arrived after the pieces that were coalesced last.
    next: Option<Option<Result<Bytes, HttpError>>>,
    charges: Option<Box<Charges>>,
}

/// What a body is charged to.
struct Charges {
    _connection: ConnectionPermit,
    pacer: Option<Box<Pacer>>,
    /// Whether to pass bytes on at once.
    unpaced: bool,
    /// Bytes that are charged, and passed on when they are paid.
    held: Option<Frame<Bytes>>,
}

impl ResponseBody {
    pub(super) fn new(body: IncomingBody, timeout: NamedTimeout, timer: Timer) -> ResponseBody {
        ResponseBody { body, timeout, since: None, timer, next: None, charges: None }
    }

    /// The same, holding a connection, and with its bytes charged to the tenant if there is one.
    pub(super) fn charged(self, tenant: Option<&Arc<Admission>>, connection: ConnectionPermit) -> ResponseBody {
        if connection.is_unlimited() && tenant.is_none() {
            return self;
        }
        let pacer = tenant.map(Pacer::read);
        let charges = Charges { _connection: connection, pacer, unpaced: false, held: None };
        ResponseBody { charges: Some(Box::new(charges)), ..self }
    }

    /// Has bytes charged without a pause.
    pub(crate) fn charge_only(&mut self) {
        if let Some(charges) = &mut self.charges {
            charges.unpaced = true;
        }
    }

    /// The next bytes, or the error; none at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, HttpError>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        match ready!(self.poll_data(cx)) {
            Some(Ok(tiny)) if tiny.len() < COALESCE_BELOW && !self.body.is_end_stream() => {
                Poll::Ready(Some(Ok(self.coalesce(&tiny, cx))))
            }
            piece => Poll::Ready(piece),
        }
    }

    /// Joins a tiny piece with those that are available after it.
    fn coalesce(&mut self, first: &[u8], cx: &mut Context<'_>) -> Bytes {
        let mut coalesced = first.to_vec();
        while coalesced.len() < COALESCED
            && let Poll::Ready(next) = self.poll_data(cx)
        {
            match next {
                Some(Ok(tiny)) if tiny.len() < COALESCE_BELOW => coalesced.extend_from_slice(&tiny),
                other => {
                    self.next = Some(other);
                    break;
                }
            }
        }
        coalesced.into()
    }

    /// The next piece as it arrived.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, HttpError>>> {
        loop {
            return match ready!(self.poll_any(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(bytes))),
                    // Trailers.
                    _ => continue,
                },
                Some(Err(error)) => Poll::Ready(Some(Err(error))),
                None => Poll::Ready(None),
            };
        }
    }

    /// Whether all of it was read.
    pub(crate) fn is_over(&self) -> bool {
        if self.held() > 0 {
            return false;
        }
        self.next.as_ref().map_or_else(|| self.body.is_end_stream(), |next| next.is_none())
    }

    /// Number of bytes to come, if it is known.
    pub(crate) fn length_hint(&self) -> Option<u64> {
        self.body.size_hint().exact().map(|left| left + self.held() as u64)
    }

    /// Number of bytes that are charged and not passed on.
    fn held(&self) -> usize {
        let held = self.charges.as_ref().and_then(|charges| charges.held.as_ref());
        held.and_then(Frame::data_ref).map_or(0, Bytes::len)
    }

    /// Whether unread bytes are available, even if this task has spent its budget.
    pub(crate) fn has_more(&mut self) -> bool {
        if let Some(next) = &self.next {
            return matches!(next, Some(Ok(_)));
        }
        if self.held() > 0 {
            return true;
        }
        self.charge_only();
        let mut context = Context::from_waker(Waker::noop());
        !self.body.is_end_stream()
            && matches!(
                pin!(unconstrained(poll_fn(|cx| self.poll_data(cx)))).poll(&mut context),
                Poll::Ready(Some(Ok(_)))
            )
    }

    /// The next frame, once its bytes are paid.
    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if self.charges.as_ref().is_none_or(|charges| charges.pacer.is_none()) {
            return self.poll_unpaid(cx);
        }
        if self.held() == 0 {
            let frame = match ready!(self.poll_unpaid(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            let Some(Charges { pacer: Some(pacer), unpaced, held, .. }) = self.charges.as_deref_mut() else {
                return Poll::Ready(Some(Ok(frame)));
            };
            match frame.data_ref().map_or(0, Bytes::len) {
                0 => return Poll::Ready(Some(Ok(frame))),
                bytes if *unpaced => {
                    pacer.charge_only(bytes);
                    return Poll::Ready(Some(Ok(frame)));
                }
                bytes => pacer.charge(bytes),
            }
            *held = Some(frame);
        }
        let Some(Charges { pacer: Some(pacer), held, .. }) = self.charges.as_deref_mut() else {
            return Poll::Ready(None);
        };
        ready!(pacer.poll(cx));
        Poll::Ready(held.take().map(Ok))
    }

    fn poll_unpaid(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        // Without a unit of the budget, only the timer is polled.
        if let Poll::Ready(unit) = coop::poll_proceed(cx)
            && let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx)
        {
            unit.made_progress();
            if let Some(Ok(frame)) = &frame {
                spend(frame.data_ref().map_or(0, |bytes| bytes.len() / BYTES_PER_UNIT), cx);
            }
            self.since = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(HttpError::of_body)));
        }
        let timeout = self.timeout;
        let end = *self.since.get_or_insert_with(Instant::now) + timeout.time;
        ready!(self.timer.poll(cx, end));
        self.body.failed();
        let message = format!("no more of the response came for {timeout}");
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::ConnectionReadTimeout, message))))
    }
}

/// The frames of the body as they arrive, trailers included.
impl Body for ResponseBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match self.next.take() {
            Some(next) => Poll::Ready(next.map(|piece| piece.map(Frame::data))),
            None => self.poll_any(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        if self.next.is_some() || self.held() > 0 { SizeHint::default() } else { self.body.size_hint() }
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
