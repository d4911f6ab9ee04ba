//! Retry policy: which failed attempts are retried, after which backoff, and when the clock is corrected. Pure functions.

use std::time::Duration;

use fastrand::Rng;

use crate::contract::error::ServiceResponse;
use crate::s3::response::{Head, decimal};
use crate::s3::time;

/// Maximum backoff before the first retry. It doubles with each further retry.
pub const BASE_BACKOFF: Duration = Duration::from_millis(100);

/// Maximum backoff.
pub const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// Minimum clock skew in seconds that explains an error response without a code. S3 accepts up to 15 minutes; some services are
/// stricter.
pub const MIN_SKEW: u64 = 240;

/// Maximum clock correction over https in seconds: 7 days, the maximum validity of a presigned URL. A larger skew means that one of
/// the clocks is broken.
pub const MAX_SKEW_HTTPS: u64 = 7 * 24 * 3600;

/// Maximum clock correction over plain http in seconds. An attacker on the network can forge the header `date` and store requests
/// signed for that time; 24 hours cover a clock set to another time zone (UTC-12 to UTC+14).
pub const MAX_SKEW_HTTP: u64 = 24 * 3600;

/// Maximum `retry-after`. If a service asks for more, the call fails at once.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(900);

/// Maximum clock correction in seconds.
pub const fn max_skew(https: bool) -> u64 {
    if https { MAX_SKEW_HTTPS } else { MAX_SKEW_HTTP }
}

/// Returns the seconds to add to the clock `wall` to get `date`.
///
/// # Errors
/// The difference in seconds, if it is above [`max_skew`].
pub fn correction(date: u64, wall: u64, https: bool) -> Result<i64, u64> {
    let apart = date.abs_diff(wall);
    match i64::try_from(apart) {
        Ok(seconds) if apart <= max_skew(https) => Ok(if date < wall { -seconds } else { seconds }),
        _ => Err(apart),
    }
}

/// Decision after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Decides on an error response. `now` is the corrected clock in seconds since 1970; `signed` says whether the request was signed
/// and so contained the time.
pub fn decide(head: &Head, response: &ServiceResponse, now: u64, signed: bool) -> Decision {
    let code = response.code.as_deref();
    if signed
        && let Some(date) = head.date()
        && match code {
            Some("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture") => date != now,
            // The response to a HEAD has no body and so no code.
            None => matches!(response.status, 400 | 403) && date.abs_diff(now) > MIN_SKEW,
            Some(_) => false,
        }
    {
        return Decision::CorrectClock(date);
    }
    let throttled = response.status == 429
        || code.is_some_and(|code| {
            matches!(code, "SlowDown" | "SlowDownRead" | "SlowDownWrite" | "TooManyRequests" | "RequestLimitExceeded")
                || code.contains("Throttl")
        });
    let rejected = throttled || matches!(code, Some("ConditionalRequestConflict" | "OperationAborted"));
    let transient = matches!(
        code,
        Some("RequestTimeout" | "RequestTimeoutException" | "InternalError" | "IncompleteBody" | "ServiceUnavailable")
    );
    let status = response.status == 408 || (response.status >= 500 && !matches!(response.status, 501 | 505));
    if rejected || transient || status {
        let date = head.date().unwrap_or(now);
        let after = head.get("retry-after").and_then(|text| retry_after(text, date));
        return Decision::Retry { after, not_applied: rejected };
    }
    Decision::Fail
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
