//! Bounds on what one guest may hold and how long its calls may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bounds on one guest. Change the fields of the default.
///
/// # Memory
/// The host holds for a guest at most `outgoing_values` × (`unassigned_value` + `stream_buffer` + `part_size` ×
/// (`part_concurrency` + 1)), a page of 1,000 names for each listing, a chunk from the network for each incoming value, and one
/// `sync_value`: by default 160 MiB where all eight values are in use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BlobstoreLimits {
    /// Open handles of containers. Default: 64.
    pub containers: usize,
    /// Open listings. Default: 16.
    pub listings: usize,
    /// Open incoming values and their streams, each of which may keep a connection open. Default: 16.
    pub incoming_values: usize,
    /// Open outgoing values, and thus concurrent uploads. A guest that makes more traps, since the function has no error. Default: 8.
    pub outgoing_values: usize,
    /// Length in bytes of a value that `incoming-value-consume-sync` reads. Default: 16 MiB.
    pub sync_value: u64,
    /// Bytes that a guest may write to an outgoing value before it calls `write-data`. Default: 1 MiB.
    pub unassigned_value: usize,
    /// Bytes of an outgoing value that wait for its upload; then the guest's stream is not ready. Default: 256 KiB.
    pub stream_buffer: usize,
    /// Part size in bytes of uploads, at most [`Limits::max_put`](sandbucket::Limits::max_put). Default: 8 MiB.
    pub part_size: usize,
    /// Parts of an upload sent concurrently, at least 1. Default: 1.
    pub part_concurrency: usize,
    /// Length in bytes of an object that a guest writes. Beyond 5,000 parts, parts grow, and so does memory. Default: 39 GiB.
    pub object_size: u64,
    /// Names that `delete-objects` takes. Default: 10,000.
    pub names: usize,
    /// Time limit of a function of the interface, such as `clear` or `finish`. Default: 5 minutes.
    pub call_time: Duration,
    /// Time after which an upload is aborted if the guest writes nothing and does not finish it. Default: 5 minutes.
    pub idle_time: Duration,
}

impl Default for BlobstoreLimits {
    fn default() -> Self {
        BlobstoreLimits {
            containers: 64,
            listings: 16,
            incoming_values: 16,
            outgoing_values: 8,
            sync_value: 16 << 20,
            unassigned_value: 1 << 20,
            stream_buffer: 256 << 10,
            part_size: 8 << 20,
            part_concurrency: 1,
            object_size: 39 << 30,
            names: 10_000,
            call_time: Duration::from_secs(300),
            idle_time: Duration::from_secs(300),
        }
    }
}

/// A count of open resources.
#[derive(Clone)]
pub(crate) struct Quota {
    what: &'static str,
    limit: usize,
    open: Arc<AtomicUsize>,
}

/// The right to one open resource.
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Quota {
    pub(crate) fn new(what: &'static str, limit: usize) -> Self {
        Quota { what, limit, open: Arc::default() }
    }

    /// # Errors
    /// If all are in use.
    pub(crate) fn acquire(&self) -> Result<Permit, String> {
        let free = |open| (open < self.limit).then_some(open + 1);
        match self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, free) {
            Ok(_) => Ok(Permit(self.open.clone())),
            Err(_) => Err(format!("{} {} are open, which is the host's limit: drop some first", self.limit, self.what)),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_bounded_and_returned() {
        let quota = Quota::new("things", 2);
        let (first, second) = (quota.acquire().unwrap(), quota.acquire().unwrap());
        let error = quota.acquire().err().unwrap();
        assert_eq!(error, "2 things are open, which is the host's limit: drop some first");
        drop(first);
        let third = quota.acquire().unwrap();
        assert!(quota.acquire().is_err());
        drop((second, third));
        assert_eq!(quota.open.load(Ordering::Acquire), 0);
    }
}
