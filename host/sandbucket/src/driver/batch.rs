//! Batches: concurrent calls of a store share one guest call.
//!
//! A guest call runs through a good deal of code, the plugin's and wasmtime's, which is not in the processor's first cache by the
//! time of the next request. Of several calls in a row all but the first find it there.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::http::Timer;
use crate::sandbox::MAX_BATCH;

/// A guest call that takes several inputs at once.
pub(crate) trait BatchCall {
    type Input: Send;
    type Output: Send;

    /// When to stop waiting for a batch that another task leads; none is never.
    fn deadline(&self) -> Option<(Timer, Instant)>;

    /// The error when it took longer.
    fn overdue(&self) -> Error;

    /// As many outputs as there are inputs, in the same order, which together take no more bytes than this. Calling it again does
    /// no harm.
    fn call(&self, inputs: &[Self::Input], bytes: usize) -> impl Future<Output = Result<Vec<Self::Output>>> + Send;
}

/// Inputs waiting to be batched.
pub(crate) struct Batcher<I, O> {
    waiting: Mutex<Vec<Arc<Slot<I, O>>>>,
}

impl<I, O> Default for Batcher<I, O> {
    fn default() -> Self {
        Batcher { waiting: Mutex::default() }
    }
}

/// One input, and the bytes that its output may take.
struct Slot<I, O> {
    state: Mutex<State<I, O>>,
    bytes: usize,
}

enum State<I, O> {
    Waiting(I),
    /// It is in a batch. The waker is that of the task that waits for the output.
    InFlight(Option<Waker>),
    Done(I, O),
    /// Its batch failed.
    Failed(I),
    Taken,
}

/// The inputs of one guest call.
struct InFlightBatch<I, O> {
    slots: Vec<Arc<Slot<I, O>>>,
    inputs: Vec<I>,
}

impl<I: Send, O: Send> Batcher<I, O> {
    /// Gives an input to a batch, or to a call of its own if `alone`. `bytes` bounds its output. The result has the input, the
    /// output, and whether a batch with it failed before.
    pub(crate) fn run<'a, C: BatchCall<Input = I, Output = O> + Send + Sync + 'a>(
        &'a self,
        input: I,
        bytes: usize,
        mut alone: bool,
        plugin: C,
    ) -> impl Future<Output = Result<(I, O, bool)>> + Send + 'a {
        // Not in the future, which has enough to keep.
        let slot = Arc::new(Slot { state: Mutex::new(State::Waiting(input)), bytes });
        async move {
            let mut failed = false;
            // A slot that is dropped before a leader takes it must not stay here.
            let mut queued = Queued { batcher: self, slot: &slot, is_queued: false };
            if !alone {
                self.waiting().push(slot.clone());
                queued.is_queued = true;
                let mut before = 0;
                // Others may get as far in this round of the scheduler: for as long as more and more do.
                while before < self.waiting().len() && slot.is_waiting() {
                    before = self.waiting().len();
                    tokio::task::yield_now().await;
                }
            }
            loop {
                // The first task polled becomes the leader and runs the batch.
                while slot.is_waiting() {
                    let batch = if alone { InFlightBatch::of([slot.clone()]) } else { self.next() };
                    // Behind a pointer: of many only one leads, and the others need no room for it.
                    let outputs = Box::pin(plugin.call(&batch.inputs, batch.bytes())).await;
                    match outputs {
                        Ok(outputs) if outputs.len() == batch.inputs.len() => batch.end(outputs),
                        Err(error) if batch.is_only(&slot) => return Err(error),
                        Ok(_) if batch.is_only(&slot) => return Err(miscounted()),
                        _ => drop(batch),
                    }
                }
                // The leader may be a future that nobody polls.
                let mut deadline = plugin.deadline();
                let done = poll_fn(|cx| match (slot.poll(cx), &mut deadline) {
                    (Poll::Ready(done), _) => Poll::Ready(Ok(done)),
                    (Poll::Pending, Some((timer, end))) => timer.poll(cx, *end).map(|()| Err(plugin.overdue())),
                    (Poll::Pending, None) => Poll::Pending,
                });
                if let Some((input, output)) = done.await? {
                    return Ok((input, output, failed));
                }
                // One of the batch may have failed it for the others: now each has a call of its own.
                (alone, failed) = (true, true);
            }
        }
    }

    /// The next few.
    fn next(&self) -> InFlightBatch<I, O> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(MAX_BATCH);
        // A slot whose operation was dropped has only this reference left.
        InFlightBatch::of(waiting.drain(..count).filter(|slot| Arc::strong_count(slot) > 1))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Slot<I, O>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot that is in the queue until a leader takes it.
struct Queued<'a, I, O> {
    batcher: &'a Batcher<I, O>,
    slot: &'a Arc<Slot<I, O>>,
    is_queued: bool,
}

impl<I, O> Drop for Queued<'_, I, O> {
    fn drop(&mut self) {
        if self.is_queued {
            let mut waiting = self.batcher.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.retain(|slot| !Arc::ptr_eq(slot, self.slot));
        }
    }
}

pub(crate) fn miscounted() -> Error {
    Error::plugin("it returned more or fewer results than there were operations")
}

impl<I, O> Slot<I, O> {
    fn state(&self) -> MutexGuard<'_, State<I, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_waiting(&self) -> bool {
        matches!(*self.state(), State::Waiting(_))
    }

    /// The input, for a batch.
    fn take(&self) -> Option<I> {
        let mut state = self.state();
        let before = std::mem::replace(&mut *state, State::InFlight(None));
        if let State::Waiting(input) = before {
            return Some(input);
        }
        *state = before;
        None
    }

    fn end(&self, state: State<I, O>) {
        let before = std::mem::replace(&mut *self.state(), state);
        if let State::InFlight(Some(waker)) = before {
            waker.wake();
        }
    }

    /// The output; none if the batch failed, and the input waits again.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<(I, O)>> {
        let mut state = self.state();
        let (next, polled) = match std::mem::replace(&mut *state, State::Taken) {
            State::Done(input, output) => (State::Taken, Poll::Ready(Some((input, output)))),
            State::Failed(input) => (State::Waiting(input), Poll::Ready(None)),
            _ => (State::InFlight(Some(cx.waker().clone())), Poll::Pending),
        };
        *state = next;
        polled
    }
}

impl<I, O> InFlightBatch<I, O> {
    /// The slots among these that wait.
    fn of(slots: impl IntoIterator<Item = Arc<Slot<I, O>>>) -> Self {
        let waiting = slots.into_iter().filter_map(|slot| slot.take().map(|input| (slot, input)));
        let (slots, inputs) = waiting.unzip();
        InFlightBatch { slots, inputs }
    }

    /// The bytes that the outputs may take together.
    fn bytes(&self) -> usize {
        self.slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.bytes))
    }

    /// Whether this is its only slot.
    fn is_only(&self, slot: &Arc<Slot<I, O>>) -> bool {
        matches!(&self.slots[..], [only] if Arc::ptr_eq(only, slot))
    }

    fn end(mut self, outputs: Vec<O>) {
        let inputs = std::mem::take(&mut self.inputs);
        for ((slot, input), output) in self.slots.drain(..).zip(inputs).zip(outputs) {
            slot.end(State::Done(input, output));
        }
    }
}

impl<I, O> Drop for InFlightBatch<I, O> {
    /// The batch failed, or its leader was dropped in the middle of it.
    fn drop(&mut self) {
        for (slot, input) in self.slots.drain(..).zip(std::mem::take(&mut self.inputs)) {
            slot.end(State::Failed(input));
        }
    }
}

#[cfg(test)]
mod tests;
