//! Values that guests write: a buffer that an upload empties.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sandbucket::Writer;
use tokio::sync::Notify;
use tokio::time::timeout;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use crate::containers::{Place, on};
use crate::limits::{BlobstoreLimits, Permit};
use crate::names::shown;

/// Bytes that a guest may write at once.
const MAX_WRITE: usize = 64 << 10;

/// The resource `outgoing-value`. Dropped before it is finished, it aborts its upload.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OutgoingValue {
    pipe: Arc<Pipe>,
    has_stream: bool,
    upload: Option<Upload>,
    _permit: Permit,
}

/// An upload that runs.
struct Upload {
    subject: String,
    task: AbortOnDropJoinHandle<Result<(), String>>,
}

/// The bytes between a guest and the upload.
struct Pipe {
    state: Mutex<State>,
    /// Notified when the guest may write more.
    writable: Notify,
    /// Notified when the upload has something to do.
    readable: Notify,
    unassigned: usize,
    window: usize,
    object_size: u64,
}

#[derive(Default)]
struct State {
    buffer: BytesMut,
    /// Bytes written in all.
    written: u64,
    /// Whether an upload empties the buffer.
    assigned: bool,
    finished: bool,
    failed: Option<String>,
}

impl OutgoingValue {
    pub(crate) fn new(limits: &BlobstoreLimits, permit: Permit) -> Self {
        let pipe = Pipe {
            state: Mutex::default(),
            writable: Notify::new(),
            readable: Notify::new(),
            unassigned: limits.unassigned_value,
            window: limits.stream_buffer.max(1),
            object_size: limits.object_size,
        };
        OutgoingValue { pipe: Arc::new(pipe), has_stream: false, upload: None, _permit: permit }
    }

    /// The stream, once.
    pub(crate) fn stream(&mut self) -> Option<ValueWriter> {
        let first = !std::mem::replace(&mut self.has_stream, true);
        first.then(|| ValueWriter { pipe: self.pipe.clone(), permit: 0, is_closed: false })
    }

    /// Begins the upload to an object.
    pub(crate) fn assign(&mut self, place: &Place, object: &str, limits: &BlobstoreLimits) -> Result<(), String> {
        let key = place.key(object)?;
        let subject = format!("container {}: object {}", shown(&place.container), shown(object));
        if let Some(upload) = &self.upload {
            return Err(format!("{subject}: the value is that of {} already: make another", upload.subject));
        }
        if let Some(failed) = &self.pipe.lock().failed {
            return Err(failed.clone());
        }
        let upload = place.store.upload(key).part_size(limits.part_size.min(place.store.limits().max_put));
        let writer =
            upload.concurrency(limits.part_concurrency).begin().map_err(|error| on(&place.container, &error))?;
        self.pipe.lock().assigned = true;
        let (pipe, container, idle) = (self.pipe.clone(), place.container.clone(), limits.idle_time);
        let task = spawn(async move {
            let uploaded = upload_all(&pipe, writer, &container, idle).await;
            if let Err(error) = &uploaded {
                pipe.fail(error.clone());
            }
            uploaded
        });
        self.upload = Some(Upload { subject, task });
        Ok(())
    }

    /// Completes the upload.
    pub(crate) async fn finish(self, limit: Duration) -> Result<(), String> {
        if let Some(failed) = self.pipe.lock().failed.take() {
            return Err(failed);
        }
        let Some(Upload { subject, task }) = self.upload else {
            return Err("the value belongs to no object: call write-data of a container before finish".to_owned());
        };
        self.pipe.finish();
        match timeout(limit, task).await {
            Ok(uploaded) => uploaded,
            Err(_) => Err(format!(
                "{subject}: the upload was stopped after {limit:?}, which the host allows; it may or may not have been stored"
            )),
        }
    }
}

async fn upload_all(pipe: &Pipe, mut writer: Writer, container: &str, idle: Duration) -> Result<(), String> {
    loop {
        match timeout(idle, pipe.next()).await {
            Ok(Some(bytes)) => writer.write(bytes).await.map_err(|error| on(container, &error))?,
            Ok(None) => return writer.finish().await.map(drop).map_err(|error| on(container, &error)),
            Err(_) => {
                writer.abort().await;
                let container = shown(container);
                return Err(format!(
                    "container {container}: the upload was aborted, as nothing was written for {idle:?}"
                ));
            }
        }
    }
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: String) {
        let mut state = self.lock();
        state.failed.get_or_insert(error);
        state.buffer = BytesMut::new();
        drop(state);
        self.writable.notify_one();
    }

    fn finish(&self) {
        self.lock().finished = true;
        self.readable.notify_one();
    }

    /// All bytes that were written meanwhile; `None` at the end.
    async fn next(&self) -> Option<Bytes> {
        loop {
            if let Some(next) = self.written() {
                self.writable.notify_one();
                return next;
            }
            self.readable.notified().await;
        }
    }

    /// Takes what was written; `None` if nothing was, `Some(None)` at the end.
    fn written(&self) -> Option<Option<Bytes>> {
        let mut state = self.lock();
        if state.buffer.is_empty() {
            return state.finished.then_some(None);
        }
        Some(Some(std::mem::take(&mut state.buffer).freeze()))
    }

    /// Whether a write is possible, or an error to report.
    fn is_ready(&self) -> bool {
        let state = self.lock();
        state.failed.is_some() || self.room(&state) > 0
    }

    /// How many bytes the guest may write now.
    fn room(&self, state: &State) -> usize {
        // Without an upload it may write on: too much is an error, as waiting would be in vain.
        let room = if state.assigned { self.window.saturating_sub(state.buffer.len()) } else { MAX_WRITE };
        room.min(MAX_WRITE)
    }
}

/// The output stream of a value.
pub(crate) struct ValueWriter {
    pipe: Arc<Pipe>,
    /// Bytes that the last `check_write` allowed.
    permit: usize,
    /// Whether the guest knows the error.
    is_closed: bool,
}

impl ValueWriter {
    /// The error of the upload, once; then the stream is closed.
    fn check(&mut self) -> StreamResult<()> {
        let Some(error) = self.pipe.lock().failed.clone() else { return Ok(()) };
        if std::mem::replace(&mut self.is_closed, true) {
            return Err(StreamError::Closed);
        }
        Err(StreamError::LastOperationFailed(wasmtime::Error::msg(error)))
    }
}

#[async_trait::async_trait]
impl Pollable for ValueWriter {
    /// Every call of the upload has a deadline, after which it fails.
    async fn ready(&mut self) {
        while !self.pipe.is_ready() {
            self.pipe.writable.notified().await;
        }
    }
}

#[async_trait::async_trait]
impl OutputStream for ValueWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        let Some(left) = self.permit.checked_sub(bytes.len()) else {
            return Err(StreamError::trap("a write of more bytes than check-write allows"));
        };
        self.permit = left;
        let pipe = self.pipe.clone();
        let mut state = pipe.lock();
        state.written = state.written.saturating_add(bytes.len() as u64);
        let fault = if !state.assigned && state.buffer.len() + bytes.len() > pipe.unassigned {
            format!(
                "the host keeps {} bytes of a value without an object: call write-data of a container first",
                pipe.unassigned
            )
        } else if state.written > pipe.object_size {
            format!("the value is longer than {} bytes, which is the host's limit for an object", pipe.object_size)
        } else {
            state.buffer.extend_from_slice(&bytes);
            drop(state);
            pipe.readable.notify_one();
            return Ok(());
        };
        drop(state);
        pipe.fail(fault);
        self.check()
    }

    /// Bytes are flushed as they are written; `finish` returns whether they are stored.
    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        let state = self.pipe.lock();
        self.permit = self.pipe.room(&state);
        Ok(self.permit)
    }
}
