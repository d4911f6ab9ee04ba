//! Which error responses of S3 are retried, or explained by a wrong clock. The rest of the policy is the SDK's.

use sandbucket_plugin::contract::error::ServiceResponse;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::retry::{self, Decision};

/// Decides on an error response. `now` is the corrected clock in seconds since 1970; `signed` says whether the request was signed
/// and so contained the time.
pub fn decide(head: &Head, response: &ServiceResponse, now: u64, signed: bool) -> Decision {
    let code = response.code.as_deref();
    let clock = match code {
        Some("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture") => {
            head.date().filter(|date| *date != now)
        }
        // The response to a HEAD has no body and so no code.
        None => retry::skewed(head, now),
        Some(_) => None,
    };
    if let Some(date) = clock.filter(|_| signed) {
        return Decision::CorrectClock(date);
    }
    let throttled = head.status == 429
        || code.is_some_and(|code| {
            matches!(code, "SlowDown" | "SlowDownRead" | "SlowDownWrite" | "TooManyRequests" | "RequestLimitExceeded")
                || code.contains("Throttl")
        });
    let transient = matches!(
        code,
        Some("RequestTimeout" | "RequestTimeoutException" | "InternalError" | "IncompleteBody" | "ServiceUnavailable")
    );
    if throttled || matches!(code, Some("ConditionalRequestConflict" | "OperationAborted")) {
        retry::again(head, now, true)
    } else if transient {
        retry::again(head, now, false)
    } else {
        retry::by_status(head, now)
    }
}

#[cfg(test)]
mod tests;
