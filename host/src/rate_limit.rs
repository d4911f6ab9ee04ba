//! A bound on how often something is logged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Messages that are logged at once, and how long it takes until there is another.
const BURST: u32 = 10;
const PERIOD: Duration = Duration::from_secs(10);

/// A token bucket for log messages of one store: [`BURST`] at once, then one each [`PERIOD`].
#[derive(Debug, Default)]
pub(crate) struct RateLimit(Mutex<Bucket>);

#[derive(Debug, Default)]
struct Bucket {
    used: u32,
    since: Option<Instant>,
    suppressed: u64,
}

impl RateLimit {
    /// How many messages were left out since the last one, if this one is to be logged.
    pub(crate) fn allow(&self) -> Option<u64> {
        self.allow_at(Instant::now())
    }

    fn allow_at(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *bucket.since.get_or_insert(now);
        let periods = now.saturating_duration_since(since).as_secs() / PERIOD.as_secs();
        if periods > 0 {
            bucket.used = bucket.used.saturating_sub(u32::try_from(periods).unwrap_or(u32::MAX));
            bucket.since = Some(now);
        }
        if bucket.used >= BURST {
            bucket.suppressed += 1;
            return None;
        }
        bucket.used += 1;
        Some(std::mem::take(&mut bucket.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_each_period() {
        let (limit, now) = (RateLimit::default(), Instant::now());
        assert!((0..BURST).all(|_| limit.allow_at(now) == Some(0)));
        assert!((0..5).all(|_| limit.allow_at(now).is_none()));
        assert_eq!(limit.allow_at(now + PERIOD), Some(5));
        assert_eq!(limit.allow_at(now + PERIOD), None);
        assert_eq!(limit.allow_at(now + 100 * PERIOD), Some(1));
    }
}
