//! Audit records: who did what, when, and how it ended.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics::Counter;
use tokio::sync::mpsc;

use super::names;

/// Receives a record of each call.
///
/// It is called once for each call, as the call ends, on the task of the call: at once after its output or error, or as its future is
/// dropped. It must return without blocking; what takes time (a file, a network) belongs to a task that receives the records from a
/// bounded queue, such as an [`AuditQueue`].
///
/// ```no_run
/// # fn example() -> sandbucket::Result<()> {
/// use sandbucket::telemetry::{AuditQueue, AuditRecord};
///
/// let (queue, mut records) = AuditQueue::new(10_000);
/// let engine = sandbucket::Engine::builder().audit(queue).build()?;
/// tokio::spawn(async move {
///     while let Some(AuditRecord { tenant, operation, key, outcome, .. }) = records.next().await {
///         println!("{tenant:?} {operation} {key:?} {outcome}");
///     }
/// });
/// # Ok(())
/// # }
/// ```
pub trait AuditSink: Send + Sync + 'static {
    /// Takes the record of a call that has ended.
    fn record(&self, record: AuditRecord);
}

impl<F: Fn(AuditRecord) + Send + Sync + 'static> AuditSink for F {
    fn record(&self, record: AuditRecord) {
        self(record);
    }
}

/// The record of one call: one operation of the contract. An upload in parts is several.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditRecord {
    /// When the call began.
    pub time: SystemTime,
    /// The tenant, unless the store was opened without one.
    pub tenant: Option<Arc<str>>,
    /// The operation: `get`, `put`, `delete_many` and so on, as in metrics.
    pub operation: &'static str,
    /// The store's bucket.
    pub bucket: Option<Arc<str>>,
    /// The blob's key as the caller gave it, without the store's `key-prefix`; of an operation on a bucket its name. Empty for lists and
    /// bulk deletes.
    pub key: String,
    /// The outcome: `ok`, `cancelled` if the call was dropped, or the kind of error, as in metrics.
    pub outcome: &'static str,
    /// The HTTP status of the last response, if there was one.
    pub status: Option<u16>,
    /// The service's id of the last request, if the response had one.
    pub request_id: Option<String>,
    /// Bytes of the body of a successful read or write. Of a read, what the service announced: the caller may read less.
    pub bytes: u64,
    /// Requests sent. 0 for calls that were refused before, and for plugins that send their requests themselves.
    pub requests: u32,
    /// Time from the beginning of the call to its end, waiting for the budget included.
    pub duration: Duration,
}

/// An [`AuditSink`] with a bounded queue. Cloning is cheap and returns the same queue.
///
/// Records are dropped while the queue is full, and counted in the metric
/// [`AUDIT_DROPPED`](super::AUDIT_DROPPED).
#[derive(Clone)]
pub struct AuditQueue {
    sender: mpsc::Sender<AuditRecord>,
    dropped: Counter,
}

impl AuditQueue {
    /// A queue of this many records, at least 1.
    pub fn new(capacity: usize) -> (AuditQueue, AuditRecords) {
        let (sender, receiver) = mpsc::channel(capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        let dropped = metrics::counter!(names::AUDIT_DROPPED);
        (AuditQueue { sender, dropped }, AuditRecords(receiver))
    }
}

impl AuditSink for AuditQueue {
    fn record(&self, record: AuditRecord) {
        if self.sender.try_send(record).is_err() {
            self.dropped.increment(1);
        }
    }
}

impl fmt::Debug for AuditQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditQueue").field("free", &self.sender.capacity()).finish()
    }
}

/// The records of an [`AuditQueue`].
#[derive(Debug)]
pub struct AuditRecords(mpsc::Receiver<AuditRecord>);

impl AuditRecords {
    /// The next record. `None` once all engines with the queue are gone.
    pub async fn next(&mut self) -> Option<AuditRecord> {
        self.0.recv().await
    }
}
