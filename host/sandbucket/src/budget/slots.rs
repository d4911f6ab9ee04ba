//! A bounded number of permits, whose bound may change: first in, first out.
//!
//! `tokio::sync::Semaphore` cannot take back permits that are in use when its bound is lowered.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    max: usize,
    used: usize,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    next_ticket: u64,
}

/// One permit, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new(max: usize) -> Arc<Slots> {
        Arc::new(Slots { state: Mutex::new(State { max, used: 0, waiting: VecDeque::new(), next_ticket: 0 }) })
    }

    /// Changes the bound. Permits in use stay.
    pub(super) fn set_max(&self, max: usize) {
        let mut state = self.state();
        state.max = max;
        state.serve();
    }

    pub(super) fn used(&self) -> usize {
        self.state().used
    }

    /// A permit, if one is left and nobody waits.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.state();
        let is_free = state.used < state.max && state.waiting.is_empty();
        state.used += usize::from(is_free);
        drop(state);
        is_free.then(|| Slot { slots: self.clone() })
    }

    /// The number of permits that are left.
    pub(super) fn free(&self) -> usize {
        let state = self.state();
        state.max.saturating_sub(state.used)
    }

    /// The number of those that wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Waits for a permit, in the order of these calls.
    pub(super) fn acquire(self: &Arc<Self>) -> Acquire {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back((ticket, sender));
        state.serve();
        drop(state);
        Acquire { slots: self.clone(), ticket, receiver, is_over: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives permits to those that wait.
    fn serve(&mut self) {
        while self.used < self.max
            && let Some((_, sender)) = self.waiting.pop_front()
        {
            // One that was dropped has left the queue, or leaves its permit: see `Acquire::drop`.
            self.used += usize::from(sender.send(()).is_ok());
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        state.used = state.used.saturating_sub(1);
        state.serve();
    }
}

/// Waits for a permit. Dropping it gives up its place.
pub(super) struct Acquire {
    slots: Arc<Slots>,
    ticket: u64,
    receiver: oneshot::Receiver<()>,
    is_over: bool,
}

impl Future for Acquire {
    type Output = Slot;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Slot> {
        match Pin::new(&mut self.receiver).poll(cx) {
            Poll::Ready(Ok(())) => {
                self.is_over = true;
                Poll::Ready(Slot { slots: self.slots.clone() })
            }
            // A sender is dropped only with its place in the queue, which is given up by dropping this.
            _ => Poll::Pending,
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.slots.state();
        if let Ok(place) = state.waiting.binary_search_by_key(&self.ticket, |&(ticket, _)| ticket) {
            state.waiting.remove(place);
        } else if self.receiver.try_recv().is_ok() {
            // It was served, and does not take the permit.
            state.used = state.used.saturating_sub(1);
            state.serve();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn permits_are_given_in_order_and_released_by_dropping() {
        let slots = Slots::new(1);
        let held = slots.try_acquire().unwrap();
        assert!(slots.try_acquire().is_none());
        let (mut first, mut second, third) = (slots.acquire(), slots.acquire(), slots.acquire());
        assert!((&mut first).now_or_never().is_none());
        assert_eq!(slots.waiting(), 3);
        drop(slots.acquire());
        drop(third);
        assert_eq!(slots.waiting(), 2);
        drop(held);
        assert!((&mut second).now_or_never().is_none());
        // It was served, and is dropped without the permit: the next one gets it.
        drop(first);
        let held = second.now_or_never().unwrap();
        assert_eq!(slots.used(), 1);
        drop(held);
        assert_eq!(slots.used(), 0);
        drop(slots.acquire());
        assert_eq!(slots.used(), 0);
    }

    #[test]
    fn bound_changes_while_permits_are_in_use() {
        let slots = Slots::new(2);
        let (one, two) = (slots.try_acquire().unwrap(), slots.try_acquire().unwrap());
        slots.set_max(1);
        let mut waiting = slots.acquire();
        drop(one);
        assert!((&mut waiting).now_or_never().is_none());
        slots.set_max(2);
        let three = waiting.now_or_never().unwrap();
        assert_eq!(slots.used(), 2);
        drop((two, three));
        assert_eq!(slots.used(), 0);
    }
}
