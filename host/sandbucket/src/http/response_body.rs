//! Bodies of responses: one that stalls ends in an error.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{coop, unconstrained};
use tokio::time::Instant;

use super::client::IncomingBody;
use super::error::{HttpError, HttpErrorKind};
use super::timeouts::NamedTimeout;
use super::timers::Timer;

/// Pieces below this, in bytes, are gathered, at the price of a copy: each that is kept as it is costs whoever keeps it the
/// whole buffer that it was read into, of 8 to 132 KiB.
const TINY: usize = 1 << 10;

/// About how much tiny pieces are gathered to, in bytes.
const GATHERED: usize = 16 << 10;

/// How much of a body takes one unit of tokio's cooperative budget, of which a task has 128 each time it is polled: it moves
/// 1 to 2 MiB, or 128 pieces, before others have their turn.
const BYTES_PER_UNIT: usize = 16 << 10;

/// The body of a response.
pub(crate) struct ResponseBody {
    body: IncomingBody,
    timeout: NamedTimeout,
    /// Since when nothing has come, where it is waited for.
    since: Option<Instant>,
    timer: Timer,
    /// What came after the tiny pieces that were gathered last.
    next: Option<Option<Result<Bytes, HttpError>>>,
}

impl ResponseBody {
    pub(super) fn new(body: IncomingBody, timeout: NamedTimeout, timer: Timer) -> ResponseBody {
        ResponseBody { body, timeout, since: None, timer, next: None }
    }

    /// The next bytes, or why there are none; none at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, HttpError>>> {
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
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, HttpError>>> {
        loop {
            return match ready!(self.poll_any(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(bytes))),
                    // Trailers, which nobody asked for.
                    _ => continue,
                },
                Some(Err(error)) => Poll::Ready(Some(Err(error))),
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

    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        // Without a unit of the budget nothing is looked at but the clock.
        if let Poll::Ready(unit) = coop::poll_proceed(cx)
            && let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx)
        {
            unit.made_progress();
            if let Some(Ok(frame)) = &frame {
                spend(frame.data_ref().map_or(0, |bytes| bytes.len() / BYTES_PER_UNIT), cx);
            }
            self.since = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| HttpError::of_body(error))));
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
        if self.next.is_some() { SizeHint::default() } else { self.body.size_hint() }
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
