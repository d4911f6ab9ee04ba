//! Pauses of bodies, so that a tenant keeps to its bytes per second.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::admission::{Admission, Direction};

/// Bounds of the pieces that a body in memory is sent in, in bytes. By default they are a tenth of a second's worth.
const MIN_PIECE: u64 = 4 << 10;
const MAX_PIECE: u64 = 256 << 10;

/// The longest time without a poll during a pause: code that measures progress sees that it is no stall.
const STEP: Duration = Duration::from_secs(1);

/// Charges the bytes of one body to a tenant, and pauses it for as long as they are owed.
///
/// Bytes are charged as they come, before they are passed on. Bodies of one tenant thus queue up, and each pauses for its own bytes.
pub(crate) struct Pacer {
    admission: Arc<Admission>,
    direction: Direction,
    /// When the bytes charged last are paid.
    until: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pacer {
    /// The pacer of a response's body.
    pub(crate) fn read(admission: &Arc<Admission>) -> Box<Pacer> {
        Pacer::new(admission, Direction::Read)
    }

    /// The pacer of a request's body.
    pub(crate) fn written(admission: &Arc<Admission>) -> Box<Pacer> {
        Pacer::new(admission, Direction::Written)
    }

    fn new(admission: &Arc<Admission>, direction: Direction) -> Box<Pacer> {
        Box::new(Pacer { admission: admission.clone(), direction, until: None, sleep: None })
    }

    /// The size of the pieces to send, if there is a rate.
    pub(crate) fn piece(&self) -> Option<u64> {
        let rate = self.admission.rate(self.direction);
        (rate > 0).then(|| (rate / 10).clamp(MIN_PIECE, MAX_PIECE))
    }

    /// Charges bytes, for which [`poll`](Pacer::poll) then pauses.
    pub(crate) fn charge(&mut self, bytes: usize) {
        let debt = self.admission.charge_bytes(self.direction, bytes as u64);
        self.until = (!debt.is_zero()).then(|| Instant::now() + debt);
    }

    /// Charges bytes without a pause.
    pub(crate) fn charge_only(&self, bytes: usize) {
        self.admission.charge_bytes(self.direction, bytes as u64);
    }

    /// Ready when the bytes charged last are paid, or the tenant owes none any more because its budget changed. Until then, the task
    /// is polled at least every second.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(until) = self.until else { return Poll::Ready(()) };
            let now = Instant::now();
            if now >= until {
                (self.until, self.sleep) = (None, None);
                return Poll::Ready(());
            }
            let next = until.min(now + STEP);
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(next)));
            ready!(sleep.as_mut().poll(cx));
            let until = until.min(now + self.admission.byte_debt(self.direction));
            self.until = Some(until);
            sleep.as_mut().reset(until.min(now + STEP));
            ready!(sleep.as_mut().poll(cx));
        }
    }
}
