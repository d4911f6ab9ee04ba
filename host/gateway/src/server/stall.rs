//! A bound on the time in which a peer has to move some bytes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that have to move within the time. One byte per second is no progress.
const MIN_PROGRESS: usize = 1 << 10;

/// Watches a transfer that waits for its peer.
pub(super) struct Stall {
    limit: Duration,
    /// Runs since the transfer first waited after its last progress.
    timer: Option<Pin<Box<Sleep>>>,
    moved: usize,
}

impl Stall {
    pub(super) fn new(limit: Duration) -> Self {
        Stall { limit, timer: None, moved: 0 }
    }

    /// Notes bytes that moved.
    pub(super) fn progress(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= MIN_PROGRESS {
            self.reset();
        }
    }

    /// Ends the watch, as a transfer that does not wait for its peer does.
    pub(super) fn reset(&mut self) {
        (self.timer, self.moved) = (None, 0);
    }

    /// Called while the transfer waits: ready once it has waited for too long.
    pub(super) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        timer.as_mut().poll(cx)
    }
}
