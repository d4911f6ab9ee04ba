//! Best-effort abort of abandoned multipart uploads.
//!
//! The background cleanup of a store is bounded in number and in time, whatever the service does: see [`Cleanup`]. The rest
//! is left to the service's lifecycle rule for incomplete uploads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::ops::builders::{inherited, without_customer_key};
use crate::ops::calls::Calls;
use crate::ops::options::{CallOptions, PageOptions};
use crate::support::deadline;
use crate::support::rate_limit::RateLimit;
use crate::types::multipart::Part;

/// Maximum number of aborts per upload: parts that were in flight can outlive the first one.
const ABORTS: usize = 3;

/// Concurrent cleanups of one store.
const MAX_CONCURRENT: usize = 4;

/// Queued cleanups of one store.
const MAX_QUEUED: usize = 256;

/// Deadline of a cleanup, counted from the abandonment of the upload; at most the time of a call (`call-time`).
const DEADLINE: Duration = Duration::from_secs(60);

/// Interval between warnings of a store with too many cleanups.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The limits of one store's cleanups.
pub(crate) struct Cleanup {
    /// Permits of queued and running cleanups.
    pending: Arc<Semaphore>,
    /// Permits of running cleanups. One of the store's concurrent calls is left to others.
    running: Semaphore,
    /// Rate of warnings about uploads that are left to the service.
    warnings: RateLimit,
}

impl Cleanup {
    /// For a store with this many concurrent calls.
    pub(crate) fn new(calls: usize) -> Cleanup {
        Cleanup {
            pending: Arc::new(Semaphore::new(MAX_CONCURRENT + MAX_QUEUED)),
            running: Semaphore::new(MAX_CONCURRENT.min(calls.saturating_sub(1)).max(1)),
            warnings: RateLimit::new(1, WARNING_INTERVAL),
        }
    }

    /// Counts an upload that is left to the service. Returns the number to report in a warning, if one is due.
    fn skip(&self) -> Option<u64> {
        self.warnings.allow().map(|suppressed| suppressed + 1)
    }
}

/// Whether an upload whose completion failed with `error` is certain not to be completed, so that it can be aborted.
/// Otherwise the service may have completed it, or may still be completing it: aborting it could destroy the blob. It is
/// left to the caller, who can complete or abort it once the outcome is known, or to a lifecycle rule of the bucket.
pub(crate) fn is_not_completed(error: &Error) -> bool {
    matches!(
        error,
        Error::PreconditionFailed(_)
            | Error::NotFound(_)
            | Error::NotModified(_)
            | Error::Conflict(_)
            | Error::AccessDenied(_)
            | Error::Throttled(_)
            | Error::InvalidSettings(_)
            | Error::InvalidArgument(_)
            | Error::TooLarge(_)
            | Error::Unsupported(_)
            | Error::Archived(_)
            | Error::Service(_)
            | Error::Busy { .. }
    )
}

/// Warns that an upload is not aborted, because it may be completed.
pub(crate) fn warn_of_unknown_outcome(calls: &Calls, key: &str, upload: &str) {
    if let Some(count) = calls.pool().cleanup().skip() {
        tracing::warn!(count, key, upload, "the outcome of a completion is unknown: its upload was not aborted");
    }
}

/// The background cleanups of all stores of an engine.
pub(crate) struct Cleanups(watch::Sender<usize>);

impl Default for Cleanups {
    fn default() -> Self {
        Cleanups(watch::Sender::new(0))
    }
}

impl Cleanups {
    /// Counts a cleanup until the guard is dropped.
    fn begin(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.0.clone())
    }

    /// Waits until no cleanup is left.
    pub(crate) async fn drain(&self) {
        // The sender outlives this.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        *self.0.borrow()
    }
}

/// Aborts a dropped upload in the background, as long as the runtime runs. Its requests in flight finish first. If the
/// store has too many cleanups, or this one takes too long, the upload is left to the service.
pub(crate) fn abort_in_background(
    calls: &Calls,
    key: &str,
    upload: String,
    call: &CallOptions,
    mut running: JoinSet<Result<Part>>,
) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        tracing::warn!(key, upload, "an upload was dropped outside the runtime: its parts stay");
        return;
    };
    let cleanup = calls.pool().cleanup();
    let Ok(pending) = cleanup.pending.clone().try_acquire_owned() else {
        if let Some(count) = cleanup.skip() {
            tracing::warn!(
                count,
                key,
                upload,
                "uploads are abandoned faster than they can be aborted: the parts of these stay, until a lifecycle rule of \
                 the bucket removes them"
            );
        }
        return;
    };
    let (calls, key, call) = (calls.clone(), key.to_owned(), call.clone());
    let counted = calls.pool().engine().cleanups().begin();
    runtime.spawn(async move {
        let time = DEADLINE.min(calls.limits().call_time);
        let aborted = deadline::timeout(time, async {
            running.shutdown().await;
            // The semaphore is never closed.
            let _running = calls.pool().cleanup().running.acquire().await;
            abort_best_effort(&calls, &key, &upload, &call).await;
        });
        if aborted.await.is_err()
            && let Some(count) = calls.pool().cleanup().skip()
        {
            tracing::warn!(count, key, upload, deadline = ?time, "abandoned uploads were not aborted in time: parts may stay");
        }
        drop((counted, pending));
    });
}

/// Counts a cleanup, also if its task ends early.
struct Counted(watch::Sender<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Aborts an upload, and checks that no part of it is left. Errors are logged, because the caller reports another one.
pub(crate) async fn abort_best_effort(calls: &Calls, key: &str, upload: &str, call: &CallOptions) {
    for attempt in 0..ABORTS {
        // The service may still accept an interrupted part.
        deadline::sleep(Duration::from_millis(100 * attempt as u64)).await;
        if let Err(error) = calls.abort_upload(key, upload, &without_customer_key(call)).await {
            if let Some(count) = calls.pool().cleanup().skip() {
                tracing::warn!(count, key, upload, %error, "an upload could not be aborted: its parts may stay");
            }
            return;
        }
        let options = PageOptions { page_size: Some(1), call: inherited(call), ..PageOptions::default() };
        match calls.list_parts(key, upload, &options).await {
            Ok(page) if !page.parts.is_empty() => {}
            _ => return,
        }
    }
    if let Some(count) = calls.pool().cleanup().skip() {
        tracing::warn!(count, key, upload, "parts of an aborted upload are still there");
    }
}

#[cfg(test)]
mod tests;
