//! Timers that fire independently of what else their task does.
//!
//! tokio's timers are subject to its cooperative budget: in a task that has spent it, for example on a connection that
//! always has data, a [`Sleep`] stays pending without checking the clock. They also fire only after the runtime polls its
//! timer driver, every 61 polls of tasks. Timers of this module are polled outside the budget, and check the clock
//! themselves.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep};

/// A duration in nanoseconds. One beyond 584 years becomes the longest.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Polls per check of the clock: a task that waits for its wakers is polled far less often, and pays nothing.
const POLLS_PER_CHECK: u8 = 16;

/// Counts polls of a timer.
#[derive(Default)]
pub(crate) struct Polls(u8);

/// Polls a timer outside the cooperative budget. Every 16th poll compares its deadline with the clock.
pub(crate) fn poll_sleep(mut sleep: Pin<&mut Sleep>, polls: &mut Polls, cx: &mut Context<'_>) -> Poll<()> {
    if pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready() {
        return Poll::Ready(());
    }
    polls.0 = (polls.0 + 1) % POLLS_PER_CHECK;
    if polls.0 == 0 && Instant::now() >= sleep.deadline() { Poll::Ready(()) } else { Poll::Pending }
}

pin_project! {
    /// Waits until a time.
    pub(crate) struct Timer {
        #[pin]
        sleep: Sleep,
        polls: Polls,
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        poll_sleep(this.sleep, this.polls, cx)
    }
}

/// As [`tokio::time::sleep`], but fires in a task that has spent its cooperative budget.
pub(crate) fn sleep(duration: Duration) -> Timer {
    Timer { sleep: tokio::time::sleep(duration), polls: Polls::default() }
}

/// The time limit passed.
#[derive(Debug)]
pub(crate) struct Elapsed;

pin_project! {
    /// A future with a time limit.
    pub(crate) struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        timer: Timer,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        ready!(this.timer.poll(cx));
        Poll::Ready(Err(Elapsed))
    }
}

/// As [`tokio::time::timeout`], but fires in a task that has spent its cooperative budget.
pub(crate) fn timeout<F: Future>(limit: Duration, future: F) -> Timeout<F> {
    Timeout { future, timer: sleep(limit) }
}

/// As [`tokio::time::timeout_at`], but fires in a task that has spent its cooperative budget.
pub(crate) fn timeout_at<F: Future>(end: Instant, future: F) -> Timeout<F> {
    Timeout { future, timer: Timer { sleep: tokio::time::sleep_until(end), polls: Polls::default() } }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use tokio::task::coop::poll_proceed;

    use super::*;

    /// Longer than any of these takes, unless it hangs.
    const STUCK: Duration = Duration::from_secs(20);

    /// Spends the whole budget in each poll, and is woken at once, like a connection that always has data.
    fn spend_budget() -> impl Future<Output = ()> {
        let began = std::time::Instant::now();
        poll_fn(move |cx| {
            assert!(began.elapsed() < STUCK, "the timer beside it never fired");
            while let Poll::Ready(unit) = poll_proceed(cx) {
                unit.made_progress();
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn timeout_fires_when_its_future_spends_the_budget() {
        let limit = Duration::from_millis(20);
        assert!(timeout(limit, spend_budget()).await.is_err());
        assert!(timeout_at(Instant::now() + limit, spend_budget()).await.is_err());
    }

    #[tokio::test]
    async fn timers_fire_when_a_sibling_in_their_task_spends_the_budget() {
        let limit = Duration::from_millis(20);
        let mut busy = pin!(spend_budget());
        let mut timers = pin!(async {
            sleep(limit).await;
            assert!(timeout(limit, pending::<()>()).await.is_err());
        });
        poll_fn(|cx| {
            // The sibling is polled first, and leaves no budget.
            assert!(busy.as_mut().poll(cx).is_pending());
            timers.as_mut().poll(cx)
        })
        .await;
    }

    #[tokio::test]
    async fn timeout_returns_a_result_in_time() {
        assert_eq!(timeout(Duration::ZERO, async { 1 }).await.unwrap(), 1);
        assert_eq!(timeout(Duration::MAX, async { 2 }).await.unwrap(), 2);
    }

    /// Without a timer driver, only the clock can fire the deadline.
    #[test]
    fn deadline_is_compared_with_the_clock() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let mut timer = Box::pin(sleep(Duration::from_millis(20)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(timer.as_mut().poll(&mut cx).is_pending());
        std::thread::sleep(Duration::from_millis(30));
        assert!((0..POLLS_PER_CHECK).any(|_| timer.as_mut().poll(&mut cx).is_ready()));
    }
}
