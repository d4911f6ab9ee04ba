//! Limits of the cleanup in the background, by store, and the number of cleanups of an engine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::rate_limit::RateLimit;

/// Cleanups of one store that make requests at the same time.
pub(crate) const MAX_CONCURRENT: usize = 4;

/// Cleanups of one store that wait until others are done.
pub(crate) const MAX_QUEUED: usize = 256;

/// Time between warnings of a store that has too much to clean up.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The bounds of one store's cleanups.
pub(crate) struct Cleanup {
    /// Those that are queued or make requests.
    pub(crate) pending: Arc<Semaphore>,
    /// Those that make requests. Of the store's calls at once, one is left to others.
    pub(crate) running: Semaphore,
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
    pub(crate) fn skip(&self) -> Option<u64> {
        self.warnings.allow().map(|suppressed| suppressed + 1)
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
    pub(crate) fn begin(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.0.clone())
    }

    /// Waits until there is none.
    pub(crate) async fn drain(&self) {
        // The sender outlives this.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }
}

/// A cleanup that is counted, also where its task ends early.
pub(crate) struct Counted(watch::Sender<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
