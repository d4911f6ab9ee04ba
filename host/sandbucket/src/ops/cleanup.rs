//! Best-effort abort of abandoned multipart uploads.
//!
//! The background cleanup of a store is bounded in number and in time, whatever the service does: see [`Cleanup`]. The rest
//! is left to the service's lifecycle rule for incomplete uploads.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::ops::builders::{inherited, without_customer_key};
use crate::ops::calls::Calls;
use crate::ops::options::{CallOptions, PageOptions};
use crate::support::deadline;
use crate::types::multipart::Part;

/// Maximum number of aborts per upload: parts that were in flight can outlive the first one.
const ABORTS: usize = 3;

/// How long a cleanup may take, from when the upload was abandoned; never longer than a call (`call-time`).
const DEADLINE: Duration = Duration::from_secs(60);

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

/// Warns that an upload is not aborted, because it may be completed.
pub(crate) fn warn_of_unknown_outcome(calls: &Calls, key: &str, upload: &str) {
    if let Some(count) = calls.pool().cleanup().skip() {
        tracing::warn!(count, key, upload, "the outcome of a completion is unknown: its upload was not aborted");
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

/// Aborts an upload, and sees that no part of it is left. What it cannot do, it logs: the error that counts is another.
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
