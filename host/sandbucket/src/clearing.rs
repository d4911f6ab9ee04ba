//! Best-effort abort of abandoned multipart uploads at the service.
//!
//! What a store has to clean up in the background is bounded in number and in time, whatever the service does: see
//! [`Cleanup`]. The rest is left to the service's lifecycle rule for incomplete uploads.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::bindings::{multipart, wit};
use crate::calls::Calls;
use crate::deadline;
use crate::error::{Error, Result};
use crate::multipart::Part;
use crate::rate_limit::RateLimit;
use crate::requests::{keyless, shared};

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

/// How many uploads are being cleared away in the background, of all stores of this process.
static GIVEN_UP: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Waits until all uploads that were given up so far have been cleared away: those whose [`Upload`](crate::Upload), [`Writer`](crate::Writer) or
/// [`Copy`](crate::Copy) was dropped before it was done. For a program that is about to end its runtime.
pub async fn cleared_away() {
    // The sender is there for ever.
    let _ = GIVEN_UP.subscribe().wait_for(|count| *count == 0).await;
}

/// Clears an upload away in the background, as long as the runtime goes on: for what is dropped on the way. What is still
/// running for it ends first. Where the store has too many to clear away already, or it takes too long, it is left to the
/// service.
pub(crate) fn give_up(
    calls: &Calls,
    key: &str,
    upload: String,
    call: &wit::CallOptions,
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
    let counted = Counted::new();
    runtime.spawn(async move {
        let time = DEADLINE.min(calls.limits().call_time);
        let cleared = deadline::timeout(time, async {
            running.shutdown().await;
            // It is never closed.
            let _running = calls.pool().cleanup().running.acquire().await;
            clear_away(&calls, &key, &upload, &call).await;
        });
        if cleared.await.is_err()
            && let Some(count) = calls.pool().cleanup().skip()
        {
            tracing::warn!(count, key, upload, deadline = ?time, "abandoned uploads were not aborted in time: parts may stay");
        }
        drop((counted, pending));
    });
}

/// One of [`GIVEN_UP`], also where its task ends early.
struct Counted;

impl Counted {
    fn new() -> Counted {
        GIVEN_UP.send_modify(|count| *count += 1);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        GIVEN_UP.send_modify(|count| *count -= 1);
    }
}

/// Aborts an upload, and sees that no part of it is left. What it cannot do, it logs: the error that counts is another.
pub(crate) async fn clear_away(calls: &Calls, key: &str, upload: &str, call: &wit::CallOptions) {
    for attempt in 0..ABORTS {
        // A part that was cut off may still be taken.
        deadline::sleep(Duration::from_millis(100 * attempt as u64)).await;
        let mut options = multipart::UploadOptions { call: keyless(calls, call) };
        if let Err(error) = calls.abort_upload(key, upload, &mut options, None).await {
            if let Some(count) = calls.pool().cleanup().skip() {
                tracing::warn!(count, key, upload, %error, "an upload could not be aborted: its parts may stay");
            }
            return;
        }
        let call = shared(calls, call);
        let mut options = multipart::ListPartsOptions { continuation: None, page_size: Some(1), call };
        match calls.list_parts(key, upload, &mut options, None).await {
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
