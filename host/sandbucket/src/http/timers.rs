//! Timers for timeouts that are seldom reached.
//!
//! They replace a [`tokio::time::Sleep`] for each request. tokio makes a system call, a write to its wake-up descriptor, whenever a
//! timer is set that is due before all others; of requests that are sent together, each one's is. A timer of this cache stays set when
//! its request ends, and serves a later one: it compares its deadline only when it fires. That is 6 such writes in 14,000 requests
//! instead of one for each.
//!
//! It relies on [`Sleep::reset`] to take any time, before or after it fired (`timer_fires_in_time_whatever_its_earlier_deadlines`, `timers_of_another_runtime_are_not_reused_and_the_cache_is_bounded`).
//! hyper is not involved. Deadlines are polled outside tokio's cooperative budget: see [`deadline`](crate::support::deadline).

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::runtime::{self, Handle};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::support::deadline::{Polls, poll_sleep};

/// Number of cached timers. Until it fires or is reused, each holds the waker of its last task.
const MAX_CACHED: usize = 64;

/// Timers for reuse.
#[derive(Clone, Default)]
pub(super) struct TimerCache(Arc<Mutex<Vec<CachedTimer>>>);

struct CachedTimer {
    /// The runtime that fires it.
    runtime: runtime::Id,
    sleep: Pin<Box<Sleep>>,
    polls: Polls,
}

/// A timer that is set when it is first polled.
pub(crate) struct Timer {
    timer: Option<CachedTimer>,
    timers: TimerCache,
}

impl TimerCache {
    /// A timer that is not set yet.
    pub(super) fn timer(&self) -> Timer {
        Timer { timer: None, timers: self.clone() }
    }

    fn cached(&self, end: Instant) -> CachedTimer {
        let runtime = Handle::current().id();
        let cached = self.lock().pop().filter(|timer| timer.runtime == runtime);
        cached.unwrap_or_else(|| CachedTimer { runtime, sleep: Box::pin(sleep_until(end)), polls: Polls::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<CachedTimer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer {
    /// Ready at `end`, even in a task that has spent its cooperative budget. Each call may have another `end`.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, end: Instant) -> Poll<()> {
        let CachedTimer { sleep, polls, .. } = self.timer.get_or_insert_with(|| self.timers.cached(end));
        if sleep.deadline() > end {
            sleep.as_mut().reset(end);
        }
        loop {
            ready!(poll_sleep(sleep.as_mut(), polls, cx));
            if sleep.deadline() >= end {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(end);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            let mut cached = self.timers.lock();
            if cached.len() < MAX_CACHED {
                cached.push(timer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    fn runtime() -> runtime::Runtime {
        runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
    }

    /// Waits until it fires, not before its deadline.
    async fn fires(timer: &mut Timer, end: Instant) {
        poll_fn(|cx| timer.poll(cx, end)).await;
        assert!(Instant::now() >= end);
    }

    fn is_silent(timer: &mut Timer, end: Instant) -> bool {
        timer.poll(&mut Context::from_waker(Waker::noop()), end).is_pending()
    }

    #[test]
    fn timer_fires_in_time_whatever_its_earlier_deadlines() {
        runtime().block_on(async {
            let (timers, began, unit) = (TimerCache::default(), Instant::now(), Duration::from_millis(10));
            for (first, then) in [(5, 10), (100_000, 5), (5, 5)] {
                let mut timer = timers.timer();
                assert!(is_silent(&mut timer, Instant::now() + first * unit));
                // The next timer reuses this one.
                drop(timer);
                let mut timer = timers.timer();
                assert!(is_silent(&mut timer, Instant::now() + 2 * first * unit));
                fires(&mut timer, Instant::now() + then * unit).await;
                // It is reused after it fired, and fires at once for a deadline in the past.
                assert!(is_silent(&mut timer, Instant::now() + 100 * unit));
                fires(&mut timer, began).await;
            }
            assert_eq!(timers.lock().len(), 1);
        });
    }

    #[test]
    fn timers_of_another_runtime_are_not_reused_and_the_cache_is_bounded() {
        let (timers, end) = (TimerCache::default(), Instant::now() + Duration::from_secs(100));
        let first = runtime();
        first.block_on(async {
            let mut many: Vec<Timer> = (0..MAX_CACHED + 5).map(|_| timers.timer()).collect();
            assert!(many.iter_mut().all(|timer| is_silent(timer, end)));
        });
        assert_eq!(timers.lock().len(), MAX_CACHED);
        drop(first);
        runtime().block_on(async {
            fires(&mut timers.timer(), Instant::now() + Duration::from_millis(10)).await;
        });
        assert_eq!(timers.lock().len(), MAX_CACHED);
    }
}
