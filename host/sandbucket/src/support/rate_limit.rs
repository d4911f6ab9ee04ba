//! A bound on how often something is logged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket for log messages of one store: some at once, then one each period.
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
    /// So many messages at once, one at least, and then one each period, of a second at least.
    pub(crate) fn new(burst: u32, period: Duration) -> RateLimit {
        RateLimit { burst, period, bucket: Mutex::default() }
    }

    /// How many messages were left out since the last one, if this one is to be logged.
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
