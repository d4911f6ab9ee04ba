//! The retries that a store's calls may make together: a token bucket, as in the standard retry mode of the AWS SDKs
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>).
//!
//! Each retry takes tokens, and successes give them back. While a service is down for long, the bucket runs empty: calls then fail
//! with their first attempt, and a store sends no more requests than its callers make calls. Retries of a short outage are
//! covered, for as many calls as a store has at once.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::error::{Error, Result};
use crate::sandbox::bindings::wit;

/// Tokens that a retry takes, and twice as many after a timeout. A success that took retries gives back what the last one took.
const RETRY_COST: u32 = 5;
const TIMEOUT_COST: u32 = 10;

/// Tokens that a success with the first attempt gives back.
const SUCCESS_REFUND: u32 = 1;

/// The least capacity, which is that of the AWS SDKs.
const MIN_CAPACITY: u32 = 500;

/// Retries of each of a store's calls at once that the bucket has tokens for: as many as the setting `max-retries` allows by
/// default.
const RETRIES_PER_CALL: u32 = 8;

/// Where the bucket has tokens for as many retries, a call needs no bound of its own: no setting allows more.
const MAX_RETRIES: u32 = 100;

/// A store's retry tokens.
pub(crate) struct RetryQuota {
    capacity: u32,
    tokens: AtomicU32,
}

/// The tokens that a call has taken for its last retry.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken(u32);

impl RetryQuota {
    /// For a store that may make so many calls at once.
    pub(crate) fn new(calls: usize) -> RetryQuota {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let capacity = calls.saturating_mul(RETRIES_PER_CALL * RETRY_COST).max(MIN_CAPACITY);
        RetryQuota { capacity, tokens: AtomicU32::new(capacity) }
    }

    /// Takes the tokens for a retry after this error; none where there are too few.
    pub(crate) fn take(&self, error: &Error) -> Option<Taken> {
        let cost = if matches!(error, Error::Timeout(_)) { TIMEOUT_COST } else { RETRY_COST };
        let taken = self.tokens.try_update(Relaxed, Relaxed, |tokens| tokens.checked_sub(cost));
        taken.ok().map(|_| Taken(cost))
    }

    /// Gives back what a success does that took these tokens for its last retry.
    pub(crate) fn succeeded(&self, Taken(cost): Taken) {
        // Mostly it is full, and nothing is written to memory that processors share.
        if self.tokens.load(Relaxed) < self.capacity {
            let refund = cost.max(SUCCESS_REFUND);
            self.tokens.update(Relaxed, Relaxed, |tokens| tokens.saturating_add(refund).min(self.capacity));
        }
    }

    /// Bounds the retries of a call that the plugin makes by itself to those that the bucket has tokens for.
    pub(crate) fn bound(&self, call: &mut wit::CallOptions) {
        let retries = self.tokens.load(Relaxed) / RETRY_COST;
        if retries < MAX_RETRIES {
            call.max_retries = Some(call.max_retries.map_or(retries, |given| given.min(retries)));
        }
    }

    /// Takes or gives back the tokens for such a call. How many retries a success took is not known.
    pub(crate) fn settle<T>(&self, result: &Result<T>) {
        match result {
            Ok(_) => self.succeeded(Taken::default()),
            Err(error) => {
                let attempts = error.failure().map_or(0, |failure| failure.attempts);
                let cost = attempts.saturating_sub(1).saturating_mul(RETRY_COST);
                if cost > 0 {
                    self.tokens.update(Relaxed, Relaxed, |tokens| tokens.saturating_sub(cost));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    fn failed(attempts: u32) -> Error {
        let mut failure = Failure::ours("", String::new());
        failure.attempts = attempts;
        Error::Network(failure)
    }

    #[test]
    fn quota_covers_the_default_retries_of_all_calls_at_once_and_no_more() {
        let quota = RetryQuota::new(64);
        assert!((0..64 * 8).all(|_| quota.take(&failed(1)).is_some()));
        assert!(quota.take(&failed(1)).is_none());
        // Five successes pay for a retry; a success after retries for its last one.
        for _ in 0..4 {
            quota.succeeded(Taken::default());
            assert!(quota.take(&failed(1)).is_none());
        }
        quota.succeeded(Taken::default());
        let taken = quota.take(&failed(1)).unwrap();
        quota.succeeded(taken);
        assert!(quota.take(&failed(1)).is_some());
    }

    #[test]
    fn calls_of_the_plugin_itself_take_from_the_same_quota() {
        let quota = RetryQuota::new(1);
        let mut call = wit::CallOptions { time_limit: None, max_retries: Some(3), attributes: None };
        quota.bound(&mut call);
        assert_eq!(call.max_retries, Some(3));
        quota.settle::<()>(&Err(failed(99)));
        quota.bound(&mut call);
        assert_eq!(call.max_retries, Some(2));
        quota.settle::<()>(&Err(failed(u32::MAX)));
        call.max_retries = None;
        quota.bound(&mut call);
        assert_eq!(call.max_retries, Some(0));
        assert!(quota.take(&failed(1)).is_none());
        (0..1000).for_each(|_| quota.settle(&Ok(())));
        call.max_retries = None;
        quota.bound(&mut call);
        assert_eq!(call.max_retries, None);
    }
}
