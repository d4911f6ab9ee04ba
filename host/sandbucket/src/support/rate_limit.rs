//! A rate limit for log messages.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket for the log messages of one store: a burst, then one per period.
#[derive(Debug)]
pub(crate) struct RateLimit {
    burst: u32,
    period: Duration,
    bucket: Mutex<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    used: u32,
    since: Option<Instant>,
    suppressed: u64,
}

impl RateLimit {
    /// A burst of at least 1, then one message per period of at least one second.
    pub(crate) fn new(burst: u32, period: Duration) -> RateLimit {
        RateLimit { burst, period, bucket: Mutex::default() }
    }

    /// If a message may be logged, returns how many were suppressed since the last one.
    pub(crate) fn allow(&self) -> Option<u64> {
        self.allow_at(Instant::now())
    }

    fn allow_at(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *bucket.since.get_or_insert(now);
        let periods = now.saturating_duration_since(since).as_secs() / self.period.as_secs().max(1);
        if periods > 0 {
            bucket.used = bucket.used.saturating_sub(u32::try_from(periods).unwrap_or(u32::MAX));
            bucket.since = Some(now);
        }
        if bucket.used >= self.burst.max(1) {
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
    fn burst_passes_and_then_one_per_period() {
        let period = Duration::from_secs(10);
        let (limit, now) = (RateLimit::new(3, period), Instant::now());
        assert!((0..3).all(|_| limit.allow_at(now) == Some(0)));
        assert!((0..5).all(|_| limit.allow_at(now).is_none()));
        assert_eq!(limit.allow_at(now + period), Some(5));
        assert_eq!(limit.allow_at(now + period), None);
        assert_eq!(limit.allow_at(now + 100 * period), Some(1));
    }
}
