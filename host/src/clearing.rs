//! Uploads that come to nothing, cleared away at the service.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bindings::{multipart, wit};
use crate::calls::Calls;
use crate::deadline;
use crate::error::Result;
use crate::multipart::Part;
use crate::requests::{keyless, shared};

/// How often an upload is aborted before it is left to the service: parts that were on their way can outlive the first.
const ABORTS: usize = 3;

/// How many uploads are being cleared away in the background, of all stores of this process.
static GIVEN_UP: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Waits until all uploads that were given up so far have been cleared away: those whose [`Upload`](crate::Upload), [`Writer`](crate::Writer) or
/// [`Copy`](crate::Copy) was dropped before it was done. For a program that is about to end its runtime.
pub async fn cleared_away() {
    // The sender is there for ever.
    let _ = GIVEN_UP.subscribe().wait_for(|count| *count == 0).await;
}

/// Clears an upload away in the background, as long as the runtime goes on: for what is dropped on the way. What is still
/// running for it ends first.
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
    let (calls, key, call) = (calls.clone(), key.to_owned(), call.clone());
    let counted = Counted::new();
    runtime.spawn(async move {
        running.shutdown().await;
        clear_away(&calls, &key, &upload, &call).await;
        drop(counted);
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
            tracing::warn!(key, upload, %error, "an upload could not be aborted: its parts may stay");
            return;
        }
        let call = shared(calls, call);
        let mut options = multipart::ListPartsOptions { continuation: None, page_size: Some(1), call };
        match calls.list_parts(key, upload, &mut options, None).await {
            Ok(page) if !page.parts.is_empty() => {}
            _ => return,
        }
    }
    tracing::warn!(key, upload, "parts of an aborted upload are still there");
}
