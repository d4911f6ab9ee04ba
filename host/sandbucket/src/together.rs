//! What several operations ask of the plugin at the same time, asked in one call.
//!
//! A call into the plugin goes through a good deal of code, the plugin's and wasmtime's, which is not in the processor's
//! first cache by the time that the next request comes. Of several calls in a row all but the first find it there.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::transport::Alarm;

/// How many ask in one call at most: what they say is in the plugin's memory together.
pub(crate) const MAX_BATCH: usize = 32;

/// Something that can be asked for several at once.
pub(crate) trait Together {
    type Question: Send;
    type Answer: Send;

    /// When to stop waiting for a batch that another leads; none is never.
    fn deadline(&self) -> Option<(Alarm, Instant)>;

    /// The error where it took longer.
    fn overdue(&self) -> Error;

    /// As many answers as there are questions, in the same order. Asking again does no harm.
    fn ask(&self, questions: &[Self::Question]) -> impl Future<Output = Result<Vec<Self::Answer>>> + Send;
}

/// Those who want to ask.
pub(crate) struct Round<Q, A> {
    waiting: Mutex<Vec<Arc<Seat<Q, A>>>>,
}

impl<Q, A> Default for Round<Q, A> {
    fn default() -> Self {
        Round { waiting: Mutex::default() }
    }
}

/// One who asks.
struct Seat<Q, A>(Mutex<State<Q, A>>);

enum State<Q, A> {
    Waiting(Q),
    /// Somebody asks for this one, too, which is to be told when that has come to something.
    Asked(Option<Waker>),
    Answered(Q, A),
    /// Nothing came of it.
    Back(Q),
    Done,
}

/// Those who ask now, in one call.
struct Asking<Q, A> {
    seats: Vec<Arc<Seat<Q, A>>>,
    questions: Vec<Q>,
}

impl<Q: Send, A: Send> Round<Q, A> {
    /// Asks: together with those who get as far while more and more do, or alone where nobody else can.
    /// Gives the question back with the answer, and whether a batch with it failed before.
    pub(crate) fn ask<'a, P: Together<Question = Q, Answer = A> + Send + Sync + 'a>(
        &'a self,
        question: Q,
        mut alone: bool,
        plugin: P,
    ) -> impl Future<Output = Result<(Q, A, bool)>> + Send + 'a {
        // Not in the future, which has enough to keep.
        let seat = Arc::new(Seat(Mutex::new(State::Waiting(question))));
        async move {
            let mut failed = false;
            // One that is given up before a leader takes it must not stay here.
            let mut queued = Queued { round: self, seat: &seat, is_queued: false };
            if !alone {
                self.waiting().push(seat.clone());
                queued.is_queued = true;
                let mut before = 0;
                // Others may be as far in a moment: for as long as more and more are.
                while before < self.waiting().len() && seat.is_waiting() {
                    before = self.waiting().len();
                    tokio::task::yield_now().await;
                }
            }
            loop {
                // Whoever goes on first asks for all.
                while seat.is_waiting() {
                    let asking = if alone { Asking::of([seat.clone()]) } else { self.next() };
                    // Behind a pointer: of many only one asks, and the others need no room for it.
                    let answers = Box::pin(plugin.ask(&asking.questions)).await;
                    match answers {
                        Ok(answers) if answers.len() == asking.questions.len() => asking.end(answers),
                        Err(error) if asking.is_for(&seat) => return Err(error),
                        Ok(_) if asking.is_for(&seat) => return Err(miscounted()),
                        _ => drop(asking),
                    }
                }
                // The leader may be in the hands of somebody who does not drive it.
                let mut deadline = plugin.deadline();
                let answered = poll_fn(|cx| match (seat.poll(cx), &mut deadline) {
                    (Poll::Ready(answered), _) => Poll::Ready(Ok(answered)),
                    (Poll::Pending, Some((alarm, end))) => alarm.poll(cx, *end).map(|()| Err(plugin.overdue())),
                    (Poll::Pending, None) => Poll::Pending,
                });
                if let Some((question, answer)) = answered.await? {
                    return Ok((question, answer, failed));
                }
                // One of them may have spoilt it for the others: now each asks alone.
                (alone, failed) = (true, true);
            }
        }
    }

    /// The next few.
    fn next(&self) -> Asking<Q, A> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(MAX_BATCH);
        // Whose operation was given up has only this seat left.
        Asking::of(waiting.drain(..count).filter(|seat| Arc::strong_count(seat) > 1))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Seat<Q, A>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is in the queue until a leader takes it.
struct Queued<'a, Q, A> {
    round: &'a Round<Q, A>,
    seat: &'a Arc<Seat<Q, A>>,
    is_queued: bool,
}

impl<Q, A> Drop for Queued<'_, Q, A> {
    fn drop(&mut self) {
        if self.is_queued {
            let mut waiting = self.round.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.retain(|seat| !Arc::ptr_eq(seat, self.seat));
        }
    }
}

pub(crate) fn miscounted() -> Error {
    Error::plugin("the plugin gave more or fewer answers than it was asked for")
}

impl<Q, A> Seat<Q, A> {
    fn state(&self) -> MutexGuard<'_, State<Q, A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_waiting(&self) -> bool {
        matches!(*self.state(), State::Waiting(_))
    }

    /// The question, to be asked.
    fn take(&self) -> Option<Q> {
        let mut state = self.state();
        let before = std::mem::replace(&mut *state, State::Asked(None));
        if let State::Waiting(question) = before {
            return Some(question);
        }
        *state = before;
        None
    }

    fn end(&self, state: State<Q, A>) {
        let before = std::mem::replace(&mut *self.state(), state);
        if let State::Asked(Some(waker)) = before {
            waker.wake();
        }
    }

    /// The answer; none where nothing came of it, and the question waits again.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<(Q, A)>> {
        let mut state = self.state();
        let (next, polled) = match std::mem::replace(&mut *state, State::Done) {
            State::Answered(question, answer) => (State::Done, Poll::Ready(Some((question, answer)))),
            State::Back(question) => (State::Waiting(question), Poll::Ready(None)),
            _ => (State::Asked(Some(cx.waker().clone())), Poll::Pending),
        };
        *state = next;
        polled
    }
}

impl<Q, A> Asking<Q, A> {
    /// Those of these who wait.
    fn of(those: impl IntoIterator<Item = Arc<Seat<Q, A>>>) -> Self {
        let waiting = those.into_iter().filter_map(|seat| seat.take().map(|question| (seat, question)));
        let (seats, questions) = waiting.unzip();
        Asking { seats, questions }
    }

    /// Whether it is for this one and no other.
    fn is_for(&self, seat: &Arc<Seat<Q, A>>) -> bool {
        matches!(&self.seats[..], [only] if Arc::ptr_eq(only, seat))
    }

    fn end(mut self, answers: Vec<A>) {
        let questions = std::mem::take(&mut self.questions);
        for ((seat, question), answer) in self.seats.drain(..).zip(questions).zip(answers) {
            seat.end(State::Answered(question, answer));
        }
    }
}

impl<Q, A> Drop for Asking<Q, A> {
    /// Nothing came of it: whoever asked was given up in the middle of it, maybe.
    fn drop(&mut self) {
        for (seat, question) in self.seats.drain(..).zip(std::mem::take(&mut self.questions)) {
            seat.end(State::Back(question));
        }
    }
}

#[cfg(test)]
mod tests;
