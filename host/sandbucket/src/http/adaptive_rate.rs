//! A store's request rate while the service throttles it: the adaptive retry mode of the AWS SDKs
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>).
//!
//! Nothing is limited until the first response 429 or 503. Then the rate falls to 0.7 of the measured one, and grows back by the cubic function of TCP CUBIC (RFC 9438): fast at first, slowly where it was throttled before, and fast beyond.
//! Requests above the rate wait.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Factor of the rate after a throttled request.
const BETA: f64 = 0.7;
/// How fast the rate grows, in requests a second, per cubed second.
const GROWTH: f64 = 0.4;
/// The lowest rate, in requests a second.
const MIN_RATE: f64 = 0.5;
/// Weight of the newest interval in the measured rate.
const SMOOTHING: f64 = 0.8;
/// Length of an interval in seconds.
const INTERVAL: f64 = 0.5;

/// The request rate of one store.
pub(crate) struct AdaptiveRate {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Requests a second that may be sent; none before the first throttled request.
    rate: Option<f64>,
    /// Requests that may be sent now. Below 0, so many are waiting.
    tokens: f64,
    /// When `tokens` were counted, in seconds.
    counted: f64,
    /// Requests a second that were sent.
    measured: f64,
    /// Requests in the current interval, and its beginning in seconds.
    sent: f64,
    interval: f64,
    /// The rate when the service last throttled, when that was, and how long it takes from there to that rate again.
    last_max: f64,
    last_throttled: f64,
    back_after: f64,
}

impl AdaptiveRate {
    pub(crate) fn new() -> AdaptiveRate {
        AdaptiveRate { began: Instant::now(), state: Mutex::default() }
    }

    /// Counts a request that is about to be sent, and returns its delay.
    pub(crate) fn delay(&self) -> Duration {
        let now = self.now();
        self.state().delay(now)
    }

    /// Adapts the rate to a response with this status.
    pub(crate) fn responded(&self, status: u16) {
        let now = self.now();
        self.state().responded(matches!(status, 429 | 503), now);
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic leaves the numbers valid.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn delay(&mut self, now: f64) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        self.refill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / rate) }
    }

    /// Adds the tokens of the time since, up to those of a second.
    fn refill(&mut self, now: f64) {
        if let Some(rate) = self.rate {
            self.tokens = (self.tokens + (now - self.counted).max(0.0) * rate).min(rate.max(1.0));
        }
        self.counted = now;
    }

    fn responded(&mut self, throttled: bool, now: f64) {
        self.measure(now);
        if throttled && self.rate.is_some() && now - self.last_throttled < INTERVAL {
            // The request was sent before the rate fell.
        } else if throttled {
            let rate = self.rate.map_or(self.measured, |rate| rate.min(self.measured)).max(MIN_RATE);
            self.last_max = rate;
            self.last_throttled = now;
            self.back_after = (rate * (1.0 - BETA) / GROWTH).cbrt();
            self.set_rate(rate * BETA, now);
        } else if self.rate.is_some() {
            let since = now - self.last_throttled - self.back_after;
            let rate = GROWTH * since.powi(3) + self.last_max;
            // Twice the measured rate limits nothing, and follows at once when more is sent.
            self.set_rate(rate.min(2.0 * self.measured.max(MIN_RATE)), now);
        }
    }

    fn set_rate(&mut self, rate: f64, now: f64) {
        self.refill(now);
        let rate = rate.max(MIN_RATE);
        self.tokens = self.tokens.min(rate.max(1.0));
        self.rate = Some(rate);
    }

    fn measure(&mut self, now: f64) {
        self.sent += 1.0;
        let passed = now - self.interval;
        if passed >= INTERVAL {
            self.measured = self.sent / passed * SMOOTHING + self.measured * (1.0 - SMOOTHING);
            (self.sent, self.interval) = (0.0, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends from `start` as fast as it may, but at most `offered` requests a second, to a service that takes `capacity` of them.
    /// How many were taken and how many throttled in each second.
    fn run(state: &mut State, start: f64, seconds: u32, offered: f64, capacity: f64) -> Vec<(u32, u32)> {
        let mut outcomes = vec![(0, 0); seconds as usize];
        let (mut now, mut window, mut in_window) = (start, start, 0.0);
        while now < start + f64::from(seconds) {
            now += 1.0 / offered + state.delay(now).as_secs_f64();
            if now - window >= 1.0 {
                (window, in_window) = (now, 0.0);
            }
            in_window += 1.0;
            let throttled = in_window > capacity;
            state.responded(throttled, now);
            if let Some(outcome) = outcomes.get_mut((now - start) as usize) {
                if throttled { outcome.1 += 1 } else { outcome.0 += 1 }
            }
        }
        outcomes
    }

    #[test]
    fn nothing_waits_before_the_service_throttles() {
        let mut state = State::default();
        for n in 0..10_000 {
            assert_eq!(state.delay(f64::from(n) / 1000.0), Duration::ZERO);
            state.responded(false, f64::from(n) / 1000.0);
        }
    }

    #[test]
    fn rate_settles_near_what_the_service_takes() {
        let mut state = State::default();
        let outcomes = run(&mut state, 0.0, 60, 1000.0, 100.0);
        let (taken, throttled) = outcomes[20..].iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert!(taken > 40 * 60, "{taken} taken, {throttled} throttled in 40 s");
        assert!(throttled < taken / 4, "{taken} taken, {throttled} throttled in 40 s");
        // Unlimited, nine of ten would be throttled. Once the service takes more, the rate grows again.
        let outcomes = run(&mut state, 60.0, 60, 1000.0, 1e9);
        assert!(outcomes[59].0 > 300, "{outcomes:?}");
    }

    #[test]
    fn rate_never_falls_to_nothing() {
        let mut state = State::default();
        for n in 0..10_000 {
            state.responded(true, f64::from(n) / 1000.0);
        }
        assert!(state.rate >= Some(MIN_RATE));
        assert!(state.delay(10.0) <= Duration::from_secs(4));
    }
}
