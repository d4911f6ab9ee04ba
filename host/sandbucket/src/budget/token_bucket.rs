//! A token bucket that may be overdrawn.
//!
//! The crate `governor` decides before the fact whether so many cells conform, at a rate that is fixed. Bytes of a body and CPU time are
//! known only afterwards, and may be more than a burst: they are charged, and the next call waits until the debt is paid. Rates
//! also change with a tenant's budget.

use std::time::Duration;

const NANOS: i128 = 1_000_000_000;

/// The longest debt that one charge makes, in seconds of the rate: a single charge must not block a tenant for good.
const MAX_CHARGE: i128 = 60;

/// The longest debt of many charges, in seconds of the rate: bodies that are read side by side owe all that each has read. A lower
/// bound would let a tenant exceed its rate by using more connections.
const MAX_DEBT: i128 = 3600;

/// Tokens that come in at a rate, up to one second's worth. Times are in nanoseconds since any origin, and never go back.
#[derive(Debug)]
pub(super) struct TokenBucket {
    /// Tokens per second. 0 means unlimited.
    rate: u64,
    /// Tokens, in billionths. Below 0, they are owed.
    level: i128,
    /// When `level` was computed.
    at: u64,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(rate: u64, now: u64) -> TokenBucket {
        TokenBucket { rate, level: i128::from(rate) * NANOS, at: now }
    }

    /// Changes the rate. A debt stays, as time to wait, but no longer than that of one charge; a supply is cut to one second's worth.
    pub(super) fn set_rate(&mut self, rate: u64, now: u64) {
        if rate == self.rate {
            return;
        }
        self.refill(now);
        self.level = self.level.max(-i128::from(self.rate) * NANOS * MAX_CHARGE);
        if self.rate == 0 {
            self.level = i128::from(rate) * NANOS;
        } else if self.level < 0 {
            self.level = self.level * i128::from(rate) / i128::from(self.rate);
        }
        self.rate = rate;
        self.level = self.level.min(i128::from(rate) * NANOS);
    }

    /// Takes so many tokens, if they are there; else returns the time until they are.
    pub(super) fn take(&mut self, tokens: u64, now: u64) -> Result<(), Duration> {
        if self.rate == 0 {
            return Ok(());
        }
        self.refill(now);
        // More than a burst never come together: a full bucket is enough.
        let needed = i128::from(tokens.min(self.rate)) * NANOS;
        if self.level < needed {
            return Err(self.time_for(needed - self.level));
        }
        self.charge(tokens, now);
        Ok(())
    }

    /// The time until so many tokens, which may be more than a burst, have come in.
    pub(super) fn time_until(&mut self, tokens: u64, now: u64) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        self.refill(now);
        let missing = i128::from(tokens) * NANOS - self.level;
        if missing <= 0 { Duration::ZERO } else { self.time_for(missing) }
    }

    /// Takes so many tokens, owed if they are not there. Returns the time until the debt is paid.
    pub(super) fn charge(&mut self, tokens: u64, now: u64) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        self.refill(now);
        let second = i128::from(self.rate) * NANOS;
        let least = (self.level.min(0) - second * MAX_CHARGE).max(-second * MAX_DEBT);
        self.level = (self.level - i128::from(tokens) * NANOS).max(least);
        self.debt(now)
    }

    /// The time until nothing is owed.
    pub(super) fn debt(&mut self, now: u64) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        self.refill(now);
        if self.level >= 0 { Duration::ZERO } else { self.time_for(-self.level) }
    }

    /// The time in which so many billionths of a token come in, rounded up.
    fn time_for(&self, needed: i128) -> Duration {
        let nanos = (needed + i128::from(self.rate) - 1) / i128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn refill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let full = i128::from(self.rate) * NANOS;
        self.level = (self.level + i128::from(self.rate) * i128::from(elapsed)).min(full);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn burst_is_one_second_and_refills_at_the_rate() {
        let mut bucket = TokenBucket::new(10, 0);
        for _ in 0..10 {
            bucket.take(1, 0).unwrap();
        }
        assert_eq!(bucket.take(1, 0), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(1, SECOND / 20), Err(Duration::from_millis(50)));
        bucket.take(1, SECOND / 10).unwrap();
        // An hour later there is no more than a burst.
        assert_eq!(bucket.take(10, 3600 * SECOND), Ok(()));
        assert_eq!(bucket.take(2, 3600 * SECOND), Err(Duration::from_millis(200)));
        // More than a burst needs a full bucket, and is owed.
        assert_eq!(bucket.take(25, 3601 * SECOND), Ok(()));
        assert_eq!(bucket.debt(3601 * SECOND), Duration::from_millis(1500));
    }

    #[test]
    fn debt_is_paid_at_the_rate_and_bounded() {
        let mut bucket = TokenBucket::new(1000, 0);
        assert_eq!(bucket.charge(1000, 0), Duration::ZERO);
        assert_eq!(bucket.charge(500, 0), Duration::from_millis(500));
        assert_eq!(bucket.debt(SECOND / 4), Duration::from_millis(250));
        assert_eq!(bucket.take(1, SECOND / 2), Err(Duration::from_millis(1)));
        assert_eq!(bucket.charge(u64::MAX, SECOND), Duration::from_secs(60));
        // Time that goes back changes nothing.
        assert_eq!(bucket.debt(0), Duration::from_secs(60));
    }

    #[test]
    fn debts_of_many_charges_add_up_until_the_rate_changes() {
        let mut bucket = TokenBucket::new(1000, 0);
        // A hundred bodies side by side, each of which reads half a minute's worth at once.
        (0..100).for_each(|_| _ = bucket.charge(30_000, 0));
        assert_eq!(bucket.debt(0), Duration::from_secs(2999));
        bucket.set_rate(1000, 0);
        assert_eq!(bucket.debt(0), Duration::from_secs(2999));
        (0..100).for_each(|_| _ = bucket.charge(u64::MAX, 0));
        assert_eq!(bucket.debt(0), Duration::from_secs(3600));
        bucket.set_rate(2000, 0);
        assert_eq!(bucket.debt(0), Duration::from_secs(60));
    }

    #[test]
    fn rate_changes_at_run_time() {
        let mut bucket = TokenBucket::new(0, 0);
        assert_eq!((bucket.take(u64::MAX, 0), bucket.charge(u64::MAX, 0)), (Ok(()), Duration::ZERO));
        bucket.set_rate(100, SECOND);
        assert_eq!((bucket.take(100, SECOND), bucket.take(1, SECOND)), (Ok(()), Err(Duration::from_millis(10))));
        bucket.charge(100, SECOND);
        bucket.set_rate(200, SECOND);
        assert_eq!(bucket.debt(SECOND), Duration::from_secs(1));
        bucket.set_rate(0, SECOND);
        assert_eq!(bucket.take(1_000_000, SECOND), Ok(()));
        bucket.set_rate(1, 2 * SECOND);
        assert_eq!((bucket.take(1, 2 * SECOND), bucket.debt(2 * SECOND)), (Ok(()), Duration::ZERO));
    }

    proptest! {
        /// Whatever is asked for when: no more than the rate plus one burst is given, waiting for the time returned suffices, and
        /// one nanosecond less does not.
        #[test]
        fn rate_is_kept_and_the_time_returned_is_exact(
            rate in 1..2_000_000_000u64,
            steps in prop::collection::vec((0..3_000_000_000u64, 1..4_000_000_000u64), 1..60),
        ) {
            let (mut bucket, mut now, mut given) = (TokenBucket::new(rate, 0), 0u64, 0u128);
            for (pause, tokens) in steps {
                now += pause;
                let tokens = tokens.min(rate);
                if let Err(wait) = bucket.take(tokens, now) {
                    let wait = u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(wait > 0);
                    prop_assert!(bucket.take(tokens, now + wait - 1).is_err());
                    now += wait;
                    prop_assert_eq!(bucket.take(tokens, now), Ok(()));
                }
                given += u128::from(tokens);
                let most = u128::from(rate) * (u128::from(now) + u128::from(SECOND)) / u128::from(SECOND);
                prop_assert!(given <= most, "{} given, {} allowed", given, most);
            }
        }

        /// Charges of any size: after the time returned, nothing is owed.
        #[test]
        fn debt_is_over_when_it_says(rate in 1..2_000_000_000u64, charges in prop::collection::vec(0..u64::MAX / 4, 1..20)) {
            let (mut bucket, mut now) = (TokenBucket::new(rate, 0), 0u64);
            for tokens in charges {
                let debt = bucket.charge(tokens, now);
                prop_assert!(debt <= Duration::from_secs(60));
                now += u64::try_from(debt.as_nanos()).unwrap();
                prop_assert_eq!(bucket.debt(now), Duration::ZERO);
            }
        }
    }
}
