//! Retry policy: which failed attempts are retried, after which backoff, and when the clock is corrected. Pure functions.
//!
//! The state machine applies it. A service decides on its own error codes in [`crate::Service::error_response`], and falls back to
//! [`by_status`]; [`again`] and [`skewed`] are the parts that its decisions are made of.

use std::time::Duration;

use fastrand::Rng;

use crate::http::response::{Head, decimal};
use crate::http::time;

/// Default maximum number of retries. The backoffs add up to 12.75 s to 25.5 s, longer than an outage of 10 s.
pub const DEFAULT_RETRIES: u32 = 8;

/// Maximum backoff before the first retry. It doubles with each further retry.
pub const BASE_BACKOFF: Duration = Duration::from_millis(100);

/// Maximum backoff.
pub const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// Minimum clock skew in seconds that explains an error response without a code. S3 and Azure accept up to 15 minutes;
/// some services are stricter.
pub const MIN_SKEW: u64 = 240;

/// Maximum clock correction over https in seconds: 7 days, the maximum validity of a presigned URL. A larger skew means that one of
/// the clocks is broken.
pub(crate) const MAX_SKEW_HTTPS: u64 = 7 * 24 * 3600;

/// Maximum clock correction over plain http in seconds. An attacker on the network can forge the header `date` and store requests
/// signed for that time; 24 hours cover a clock set to another time zone (UTC-12 to UTC+14).
pub(crate) const MAX_SKEW_HTTP: u64 = 24 * 3600;

/// Maximum `retry-after`. If a service asks for more, the call fails at once.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(900);

/// Maximum clock correction in seconds.
pub(crate) const fn max_skew(https: bool) -> u64 {
    if https { MAX_SKEW_HTTPS } else { MAX_SKEW_HTTP }
}

/// Returns the seconds to add to the clock `wall` to get `date`.
///
/// # Errors
/// The difference in seconds, if it is above [`max_skew`].
pub(crate) fn correction(date: u64, wall: u64, https: bool) -> Result<i64, u64> {
    let apart = date.abs_diff(wall);
    match i64::try_from(apart) {
        Ok(seconds) if apart <= max_skew(https) => Ok(if date < wall { -seconds } else { seconds }),
        _ => Err(apart),
    }
}

/// Decision after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Retry after [`backoff`].
    Retry {
        /// Value of `retry-after`.
        after: Option<Duration>,
        /// Whether the request certainly had no effect.
        not_applied: bool,
    },
    /// Retry at once, signed for the service's time in seconds since 1970.
    CorrectClock(u64),
    /// Do not retry.
    Fail,
}

/// Decides by the status alone: 408, 429 and 500 and above are retried, except 501 and 505, which stay. `now` is the service's time in
/// seconds since 1970.
pub fn by_status(head: &Head, now: u64) -> Decision {
    match head.status {
        429 => again(head, now, true),
        501 | 505 => Decision::Fail,
        408 | 500.. => again(head, now, false),
        _ => Decision::Fail,
    }
}

/// A retry after the response's `retry-after`.
pub fn again(head: &Head, now: u64, not_applied: bool) -> Decision {
    let date = head.date().unwrap_or(now);
    let after = head.get("retry-after").and_then(|text| retry_after(text, date));
    Decision::Retry { after, not_applied }
}

/// The service's time, if a wrong clock explains a response without an error code to a request that contains the time.
pub fn skewed(head: &Head, now: u64) -> Option<u64> {
    head.date().filter(|date| matches!(head.status, 400 | 403) && date.abs_diff(now) > MIN_SKEW)
}

/// Parses `retry-after`: a number of seconds, or a date relative to `now`.
pub fn retry_after(text: &str, now: u64) -> Option<Duration> {
    let seconds = decimal(text).or_else(|| time::date(text).map(|at| at.saturating_sub(now)))?;
    Some(Duration::from_secs(seconds))
}

/// The backoff before retry number `retry`, from 0: exponential, with the upper half as jitter. The jitter spreads clients that
/// failed together; the lower half guarantees a minimum for the sum of a call's backoffs. Never less than `retry-after`.
pub fn backoff(retry: u32, after: Option<Duration>, rng: &mut Rng) -> Duration {
    let most = BASE_BACKOFF.saturating_mul(1u32.checked_shl(retry).unwrap_or(u32::MAX).max(1)).min(MAX_BACKOFF);
    let half = most / 2;
    let jitter = Duration::from_nanos(rng.u64(..=half.as_nanos() as u64));
    match after {
        // Jitter spreads clients that received the same `retry-after`.
        Some(after) => after.saturating_add(jitter.min(BASE_BACKOFF)),
        None => half + jitter,
    }
}

#[cfg(test)]
mod tests;
