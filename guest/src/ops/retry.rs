//! Whether to try again, and when: decisions on plain data.

use std::time::Duration;

use crate::contract::error::ServiceResponse;
use crate::s3::response::{Head, decimal};
use crate::s3::time;

/// The longest first pause; it doubles with each further one.
pub const BASE_BACKOFF: Duration = Duration::from_millis(100);

/// The longest pause.
pub const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// Retries where the setting `max-retries` does not say: their pauses are 12.75 s together at least, and 25.5 s at most, so that
/// a service may be gone for 10 s.
pub const DEFAULT_RETRIES: u32 = 8;

/// How far apart the clocks must be for a refusal without words to be put down to it. S3 takes up to 15 minutes; some
/// services are stricter.
pub const MIN_SKEW: u64 = 240;

/// The furthest that our clock is moved for a service reached over https, in seconds: 7 days, which is also the longest that
/// a presigned URL is good for. A clock that is further off is broken, or the service's is.
pub const MAX_SKEW_HTTPS: u64 = 7 * 24 * 3600;

/// The same over plain http, where anybody on the way can write the `date` header and keep the requests that are signed for
/// the time it tells: 24 hours cover a clock that is set to another time zone (UTC-12 to UTC+14).
pub const MAX_SKEW_HTTP: u64 = 24 * 3600;

/// The longest wait that a service may ask for with `retry-after`. A call that is told to wait longer fails at once.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(900);

/// The furthest that our clock is moved, in seconds.
pub const fn max_skew(https: bool) -> u64 {
    if https { MAX_SKEW_HTTPS } else { MAX_SKEW_HTTP }
}

/// The seconds to add to a clock that shows `wall` so that it shows `date`, or how far apart the two are where that is more
/// than [`max_skew`] allows.
pub fn correction(date: u64, wall: u64, https: bool) -> Result<i64, u64> {
    let apart = date.abs_diff(wall);
    match i64::try_from(apart) {
        Ok(seconds) if apart <= max_skew(https) => Ok(if date < wall { -seconds } else { seconds }),
        _ => Err(apart),
    }
}

/// What to do after an answer that is not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it again, after the pause that [`pause`] gives, but no earlier than this.
    Retry {
        /// What `retry-after` said.
        after: Option<Duration>,
        /// Whether it is certain that this request took no effect.
        not_applied: bool,
    },
    /// Send it again at once, by the service's clock, which shows this second since 1970.
    CorrectClock(u64),
    /// It is final.
    Fail,
}

/// Decides on a refusal. `now` is our clock with what is known of its error already put right, in seconds since 1970;
/// `signed` says whether the request told the time at all.
pub fn decide(head: &Head, response: &ServiceResponse, now: u64, signed: bool) -> Decision {
    let code = response.code.as_deref();
    if signed
        && let Some(date) = head.date()
        && match code {
            Some("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture") => date != now,
            // A HEAD is refused without a body, and so without a code.
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

/// How long `retry-after` asks to wait: a number of seconds, or a date on the clock that shows `now`.
pub fn retry_after(text: &str, now: u64) -> Option<Duration> {
    let seconds = decimal(text).or_else(|| time::date(text).map(|at| at.saturating_sub(now)))?;
    Some(Duration::from_secs(seconds))
}

/// How long to pause before retry number `retry` (the first is 0): exponential backoff of which the upper half is jitter, so
/// that clients that failed together do not come back together, and yet the sum of a call's pauses has a lower bound. Never
/// less than what the service asked for.
pub fn backoff(retry: u32, after: Option<Duration>, rng: &mut Rng) -> Duration {
    let most = BASE_BACKOFF.saturating_mul(1u32.checked_shl(retry).unwrap_or(u32::MAX).max(1)).min(MAX_BACKOFF);
    let half = most / 2;
    let jitter = Duration::from_nanos(rng.below(half.as_nanos() as u64 + 1));
    match after {
        // Clients that got the same second are spread over the time after it.
        Some(after) => after.saturating_add(jitter.min(BASE_BACKOFF)),
        None => half + jitter,
    }
}

/// A small generator (splitmix64) for jitter only: nothing secret comes from it.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Starts from what differs between instances: their clocks.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is above 0, each about as likely.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests;
