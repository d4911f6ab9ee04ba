//! Best-effort abort of abandoned multipart uploads at the service.
//!
//! What a store has to clean up in the background is bounded in number and in time, whatever the service does: see
//! [`Cleanup`]. The rest is left to the service's lifecycle rule for incomplete uploads.

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

/// How often an upload is aborted before it is left to the service: parts that were on their way can outlive the first.
const ABORTS: usize = 3;

/// Cleanups of one store that make requests at the same time.
const MAX_CONCURRENT: usize = 4;

/// Cleanups of one store that wait until others are done.
const MAX_QUEUED: usize = 256;

/// How long a cleanup may take, from when the upload was abandoned; never longer than a call (`call-time`).
const DEADLINE: Duration = Duration::from_secs(60);

/// Time between warnings of a store that has too much to clean up.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The bounds of one store's cleanups.
pub(crate) struct Cleanup {
    /// Those that are queued or make requests.
    pending: Arc<Semaphore>,
    /// Those that make requests. Of the store's calls at once, one is left to others.
    running: Semaphore,
    /// For warnings of uploads that are left to the service.
    warnings: RateLimit,
}

impl Cleanup {
    /// For a store that may make so many calls at once.
    pub(crate) fn new(calls: usize) -> Cleanup {
        Cleanup {
            pending: Arc::new(Semaphore::new(MAX_CONCURRENT + MAX_QUEUED)),
            running: Semaphore::new(MAX_CONCURRENT.min(calls.saturating_sub(1)).max(1)),
            warnings: RateLimit::new(1, WARNING_INTERVAL),
        }
    }

    /// Counts an upload that is left to the service. How many to warn of now; none where a warning was given lately.
    fn skip(&self) -> Option<u64> {
        self.warnings.allow().map(|suppressed| suppressed + 1)
    }
}

/// Whether an upload whose completion failed this way is certain not to be completed, and so can be aborted. Else the service may
/// have completed it, or may still be at work on it: aborting it could destroy the blob. It is left to the caller, who can
/// complete or abort it once the outcome shows, or to a lifecycle rule of the bucket.
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

/// Warns that an upload was not aborted, as it may be completed.
pub(crate) fn warn_of_unknown_outcome(calls: &Calls, key: &str, upload: &str) {
    if let Some(count) = calls.pool().cleanup().skip() {
        tracing::warn!(count, key, upload, "the outcome of a completion is unknown: its upload was not aborted");
    }
}

/// The cleanups in the background of all stores of an engine.
pub(crate) struct Cleanups(watch::Sender<usize>);

impl Default for Cleanups {
    fn default() -> Self {
        Cleanups(watch::Sender::new(0))
    }
}

impl Cleanups {
    /// Counts one, until it is dropped.
    fn begin(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.0.clone())
    }

    /// Waits until there is none.
    pub(crate) async fn drain(&self) {
        // The sender outlives this.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        *self.0.borrow()
    }
}

/// Clears an upload away in the background, as long as the runtime goes on: for what is dropped on the way. What is still
/// running for it ends first. Where the store has too many to clear away already, or it takes too long, it is left to the
/// service.
pub(crate) fn abort_in_background(
    calls: &Calls,
    key: &str,
    upload: String,
    call: &CallOptions,
    mut running: JoinSet<Result<Part>>,
) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        tracing::warn!(key, upload, "an upload was given up outside the runtime: its parts stay");
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
        let cleared = deadline::timeout(time, async {
            running.shutdown().await;
            // It is never closed.
            let _running = calls.pool().cleanup().running.acquire().await;
            abort_best_effort(&calls, &key, &upload, &call).await;
        });
        if cleared.await.is_err()
            && let Some(count) = calls.pool().cleanup().skip()
        {
            tracing::warn!(count, key, upload, deadline = ?time, "abandoned uploads were not aborted in time: parts may stay");
        }
        drop((counted, pending));
    });
}

/// A cleanup that is counted, also where its task ends early.
struct Counted(watch::Sender<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Aborts an upload, and sees that no part of it is left. What it cannot do, it logs: the error that counts is another.
pub(crate) async fn abort_best_effort(calls: &Calls, key: &str, upload: &str, call: &CallOptions) {
    for attempt in 0..ABORTS {
        // A part that was cut off may still be taken.
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
