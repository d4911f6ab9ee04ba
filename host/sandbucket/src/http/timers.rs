//! Time limits that are seldom reached, and cost little until they are.
//!
//! tokio calls into the kernel whenever a timer is set that is due before all others, and of requests that go out
//! together each one's is. So timers stay set when what they were for is over, and serve what comes next: only when one
//! rings is it held against the time that it is for by then.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::runtime::{self, Handle};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::support::deadline::{Polls, poll_sleep};

/// How many are kept. Until it rings or is used again, each holds on to the task that it was for.
const KEPT: usize = 64;

/// The timers that are kept.
#[derive(Clone, Default)]
pub(super) struct TimerCache(Arc<Mutex<Vec<CachedTimer>>>);

struct CachedTimer {
    /// Where it rings, and only there.
    runtime: runtime::Id,
    sleep: Pin<Box<Sleep>>,
    polls: Polls,
}

/// Something with a time limit.
pub(crate) struct Timer {
    timer: Option<CachedTimer>,
    timers: TimerCache,
}

impl TimerCache {
    /// An timer that is not set yet.
    pub(super) fn timer(&self) -> Timer {
        Timer { timer: None, timers: self.clone() }
    }

    fn cached(&self, end: Instant) -> CachedTimer {
        let runtime = Handle::current().id();
        let kept = self.kept().pop().filter(|timer| timer.runtime == runtime);
        kept.unwrap_or_else(|| CachedTimer { runtime, sleep: Box::pin(sleep_until(end)), polls: Polls::default() })
    }

    fn kept(&self) -> MutexGuard<'_, Vec<CachedTimer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer {
    /// Ready when it is that late, even in a task that has spent its cooperative budget. It may be another time whenever
    /// this is called.
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
            let mut kept = self.timers.kept();
            if kept.len() < KEPT {
                kept.push(timer);
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

    /// It rings, and not before its time.
    async fn rings(timer: &mut Timer, end: Instant) {
        poll_fn(|cx| timer.poll(cx, end)).await;
        assert!(Instant::now() >= end);
    }

    fn is_silent(timer: &mut Timer, end: Instant) -> bool {
        timer.poll(&mut Context::from_waker(Waker::noop()), end).is_pending()
    }

    #[test]
    fn it_rings_in_time_whatever_it_was_set_to_before() {
        runtime().block_on(async {
            let (timers, began, unit) = (TimerCache::default(), Instant::now(), Duration::from_millis(10));
            for (first, then) in [(5, 10), (100_000, 5), (5, 5)] {
                let mut timer = timers.timer();
                assert!(is_silent(&mut timer, Instant::now() + first * unit));
                // Another has what is kept of this one.
                drop(timer);
                let mut timer = timers.timer();
                assert!(is_silent(&mut timer, Instant::now() + 2 * first * unit));
                rings(&mut timer, Instant::now() + then * unit).await;
                // That it rang is no matter for what comes after, and what is past rings at once.
                assert!(is_silent(&mut timer, Instant::now() + 100 * unit));
                rings(&mut timer, began).await;
            }
            assert_eq!(timers.kept().len(), 1);
        });
    }

    #[test]
    fn those_of_another_runtime_are_not_used_and_no_more_are_kept_than_may_be() {
        let (timers, end) = (TimerCache::default(), Instant::now() + Duration::from_secs(100));
        let first = runtime();
        first.block_on(async {
            let mut many: Vec<Timer> = (0..KEPT + 5).map(|_| timers.timer()).collect();
            assert!(many.iter_mut().all(|timer| is_silent(timer, end)));
        });
        assert_eq!(timers.kept().len(), KEPT);
        drop(first);
        runtime().block_on(async {
            rings(&mut timers.timer(), Instant::now() + Duration::from_millis(10)).await;
        });
        assert_eq!(timers.kept().len(), KEPT);
    }
}
