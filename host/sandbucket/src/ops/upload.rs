//! Uploads: a blob written from a stream of unknown length, with one request if it is small, otherwise in parts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use tokio::task::JoinSet;

use crate::error::{Error, Failure, Result};
use crate::http::Progress;
use crate::ops::builders::{every_call, every_write, inherited, write_condition};
use crate::ops::calls::Calls;
use crate::ops::cleanup::{abort_best_effort, abort_in_background, is_not_completed, warn_of_unknown_outcome};
use crate::ops::options::{CompleteOptions, PutOptions, WriteCondition};
pub(crate) use crate::ops::part_sizes::MAX_PARTS;
use crate::ops::part_sizes::{DEFAULT_PART_SIZE, PartSizes};
use crate::types::blob::Written;
use crate::types::body::Chunks;
use crate::types::multipart::Part;

/// Default number of concurrent parts.
const DEFAULT_CONCURRENCY: usize = 4;

/// Chunks below this size, in bytes, are coalesced by a copy: each separate chunk costs memory and a frame.
const COALESCE_BELOW: usize = 64 << 10;

/// Request builder of [`Store::upload`](crate::Store::upload). Finish with [`stream`](Upload::stream),
/// [`reader`](Upload::reader) or [`begin`](Upload::begin).
///
/// A body that fits one part is written with one request. A larger one is written as a concurrent multipart upload, and
/// appears atomically: if the upload fails or is dropped, it is aborted at the service.
///
/// # Length
/// S3 accepts 10,000 parts of 5 MiB to 5 GiB, and objects of up to 50 TB (many services: 5 TiB). The first 5,000 parts have
/// equal size, which some services (Cloudflare R2) require of all parts; that covers 39 GiB with the default size. Then the
/// size doubles every 500 parts, up to 5 GiB, so that a body of unknown length can have 6.4 TiB. A
/// [`length_hint`](Upload::length_hint) makes all parts equal, up to that length.
///
/// # Memory
/// `part_size` × (`concurrency` + 1) for equal parts. Grown parts lower the concurrency: together they take at most 1 GiB
/// if two of them fit, otherwise the memory of two, which is about 1/400 of what has been written: 2 GiB at 1 TiB. Chunks
/// are retained as they arrive, and never enter the sandbox.
#[must_use = "an upload does nothing until it is given a body"]
pub struct Upload {
    calls: Calls,
    key: String,
    options: PutOptions,
    part_size: usize,
    length_hint: Option<u64>,
    concurrency: usize,
    progress: Option<Progress>,
}

impl Upload {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let options = PutOptions::default();
        let part_size = DEFAULT_PART_SIZE.min(calls.limits().max_put);
        Upload { calls, key, options, part_size, length_hint: None, concurrency: DEFAULT_CONCURRENCY, progress: None }
    }

    /// An upload with these options.
    pub(crate) fn of(calls: Calls, key: String, options: PutOptions, progress: Option<Progress>) -> Self {
        Upload { options, progress, ..Upload::new(calls, key) }
    }

    every_write!();
    write_condition!(options.condition);

    /// Size of the equal parts in bytes: at least 5 MiB on S3, at most [`Limits::max_put`](crate::Limits::max_put).
    /// Default: 8 MiB.
    pub fn part_size(mut self, bytes: usize) -> Self {
        self.part_size = bytes;
        self
    }

    /// Approximate length of the body in bytes. All parts up to that length are equal, and larger than `part_size` (and
    /// `max_put`) if more than 9,000 would be needed. A longer body is written as well, with growing parts.
    pub fn length_hint(mut self, bytes: u64) -> Self {
        self.length_hint = Some(bytes);
        self
    }

    /// Number of concurrent parts, at least 1. Default: 4.
    pub fn concurrency(mut self, parts: usize) -> Self {
        self.concurrency = parts;
        self
    }

    /// Sets a callback invoked with the number of bytes sent so far. It decreases when a part is retried.
    pub fn progress(mut self, callback: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    every_call!();

    /// Writes all bytes of the stream.
    ///
    /// # Errors
    /// [`Error::Io`] if the stream fails, and the errors of `put`; the blob is not written then.
    pub async fn stream<B, E>(self, body: impl Stream<Item = Result<B, E>>) -> Result<Written>
    where
        B: Into<Bytes>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut writer = self.begin()?;
        let mut body = std::pin::pin!(body);
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => writer.write(piece).await?,
                Err(error) => {
                    let doing = format!("upload \"{}\": reading the body", writer.key);
                    writer.abort().await;
                    return Err(Error::Io { doing, source: Arc::new(std::io::Error::other(error)) });
                }
            }
        }
        writer.finish().await
    }

    /// Writes all bytes of the reader.
    ///
    /// # Errors
    /// As [`stream`](Upload::stream).
    pub async fn reader(self, reader: impl tokio::io::AsyncRead) -> Result<Written> {
        let size = self.part_size.clamp(1, 1 << 20);
        let reader = Box::pin(reader);
        let pieces = futures::stream::try_unfold(reader, move |mut reader| async move {
            let mut piece = BytesMut::with_capacity(size);
            let count = tokio::io::AsyncReadExt::read_buf(&mut reader, &mut piece).await?;
            Ok::<_, std::io::Error>((count > 0).then(|| (piece.freeze(), reader)))
        });
        self.stream(pieces).await
    }

    /// Begins an upload that the caller writes chunk by chunk. Sends no request yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for impossible sizes.
    pub fn begin(self) -> Result<Writer> {
        let most = self.calls.limits().max_put;
        let wrong = |subject: &str, words: String| {
            Err(Error::InvalidArgument(Failure::ours(subject, format!("upload \"{}\": {words}", self.key))))
        };
        if !(1..=most).contains(&self.part_size) {
            let words = format!(
                "part_size is {} bytes; {} allows 1 to {most}",
                self.part_size,
                crate::limits::named("max-put")
            );
            return wrong("part_size", words);
        }
        if self.concurrency == 0 {
            return wrong("concurrency", "with a concurrency of 0 nothing is sent".to_owned());
        }
        let Upload { calls, key, options, part_size, length_hint, concurrency, progress } = self;
        Ok(Writer {
            calls,
            key,
            options,
            sizes: PartSizes::new(part_size, length_hint),
            concurrency,
            progress: progress.map(|progress| Arc::new(TotalProgress { progress, total: AtomicU64::new(0) })),
            filling: Chunks::default(),
            small: BytesMut::new(),
            upload: None,
            begun: 0,
            running: JoinSet::new(),
            parts: Vec::new(),
            broken: false,
            completing: false,
        })
    }
}

/// An upload written chunk by chunk: see [`Upload`].
///
/// The blob exists only after [`finish`](Writer::finish). Dropping the writer before that aborts the upload in the
/// background, as long as the runtime runs.
pub struct Writer {
    calls: Calls,
    key: String,
    options: PutOptions,
    sizes: PartSizes,
    concurrency: usize,
    progress: Option<Arc<TotalProgress>>,
    /// The part being filled, which may already be full: it is sent once more bytes arrive, because it could be the last.
    filling: Chunks,
    /// Its end, if it arrived in chunks that are too small to keep.
    small: BytesMut,
    /// The upload's id, once initiated.
    upload: Option<String>,
    /// Number of parts that were started.
    begun: u32,
    running: JoinSet<Result<Part>>,
    parts: Vec<Part>,
    /// Whether a chunk was lost, so that the upload cannot be completed.
    broken: bool,
    /// Whether the completion was requested: from then on the service may be completing the upload.
    completing: bool,
}

impl Writer {
    /// Appends bytes. Waits while as many parts as allowed are in flight.
    ///
    /// # Errors
    /// The error of a part. The upload is aborted, and every later call fails.
    pub async fn write(&mut self, piece: impl Into<Bytes>) -> Result<()> {
        self.check()?;
        // Also set if the future is dropped.
        self.broken = true;
        let taken = self.take(piece.into()).await;
        match &taken {
            Ok(()) => self.broken = false,
            Err(_) => self.abort_upload().await,
        }
        taken
    }

    /// Sends the last part, and completes the upload.
    ///
    /// # Errors
    /// As `put`. The blob is not written then, except for [`Error::OutcomeUnknown`]: the service may have completed the
    /// upload, or may still be completing it, so it is not aborted. The same applies if the future is dropped during the
    /// completion.
    pub async fn finish(mut self) -> Result<Written> {
        self.check()?;
        let done = self.end().await;
        if let Err(error) = &done
            && (!self.completing || is_not_completed(error))
        {
            self.completing = false;
            self.abort_upload().await;
        }
        if done.is_ok() {
            self.upload = None;
        }
        done
    }

    /// Aborts the upload.
    pub async fn abort(mut self) {
        self.abort_upload().await;
    }

    fn check(&self) -> Result<()> {
        if !self.broken {
            return Ok(());
        }
        let message = format!("upload \"{}\": a piece was lost before: begin again", self.key);
        Err(Error::InvalidArgument(Failure::ours("body", message)))
    }

    async fn take(&mut self, mut piece: Bytes) -> Result<()> {
        loop {
            let filled = self.filling.length() + self.small.len() as u64;
            let room = usize::try_from(self.sizes.size(self.begun + 1) - filled).unwrap_or(usize::MAX);
            let full = piece.len() > room;
            let part = if full { piece.split_to(room) } else { std::mem::take(&mut piece) };
            if part.len() < COALESCE_BELOW {
                self.small.extend_from_slice(&part);
            } else {
                self.coalesce();
                self.filling.push(part);
            }
            if self.small.len() >= COALESCE_BELOW {
                self.coalesce();
            }
            if !full {
                return Ok(());
            }
            let part = self.filled();
            self.send(part).await?;
        }
    }

    fn coalesce(&mut self) {
        if !self.small.is_empty() {
            self.filling.push(self.small.split().freeze());
        }
    }

    /// Takes the content of the part.
    fn filled(&mut self) -> Chunks {
        self.coalesce();
        std::mem::take(&mut self.filling)
    }

    /// Starts sending a part.
    async fn send(&mut self, body: Chunks) -> Result<()> {
        if self.begun == MAX_PARTS {
            let message = format!(
                "upload \"{}\": the body is longer than {MAX_PARTS} parts that begin with {} bytes: set a larger part_size, or a length_hint",
                self.key,
                self.sizes.size(1)
            );
            return Err(Error::TooLarge(Failure::ours("body", message)));
        }
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => {
                // The condition applies to the completion.
                let options = PutOptions { condition: WriteCondition::Always, ..self.options.clone() };
                let upload = self.calls.create_upload(&self.key, &options).await?;
                self.upload.insert(upload).clone()
            }
        };
        while self.running.len() >= self.sizes.concurrency(self.begun + 1, self.concurrency) {
            self.wait_for_part().await?;
        }
        self.begun += 1;
        let (calls, key, number) = (self.calls.clone(), self.key.clone(), self.begun);
        let call = inherited(&self.options.call);
        let progress = self.progress.as_ref().map(TotalProgress::part);
        self.running.spawn(async move { calls.upload_part(&key, (&upload, number), &body, &call, progress).await });
        Ok(())
    }

    /// Waits for one part in flight.
    async fn wait_for_part(&mut self) -> Result<()> {
        match self.running.join_next().await {
            None => Ok(()),
            Some(Ok(part)) => {
                self.parts.push(part?);
                Ok(())
            }
            Some(Err(error)) => {
                let message = format!("upload \"{}\": a part's task ended early: {error}", self.key);
                Err(Error::Network(Failure::ours("body", message)))
            }
        }
    }

    async fn end(&mut self) -> Result<Written> {
        let rest = self.filled();
        if self.upload.is_none() {
            let progress = self.progress.as_ref().map(TotalProgress::part);
            return self.calls.put(&self.key, &rest, &self.options, progress).await;
        }
        if rest.length() > 0 {
            self.send(rest).await?;
        }
        while !self.running.is_empty() {
            self.wait_for_part().await?;
        }
        self.parts.sort_by_key(|part| part.number);
        let parts = std::mem::take(&mut self.parts);
        let call = inherited(&self.options.call);
        let options = CompleteOptions { condition: self.options.condition.clone(), call };
        let upload = self.upload.as_deref().unwrap_or_default();
        self.completing = true;
        self.calls.complete_upload(&self.key, upload, parts, &options).await
    }

    /// Aborts the upload at the service.
    async fn abort_upload(&mut self) {
        self.broken = true;
        self.running.shutdown().await;
        if let Some(upload) = self.upload.clone() {
            abort_best_effort(&self.calls, &self.key, &upload, &self.options.call).await;
            // Cleared last: if this future is dropped, the abort starts again.
            self.upload = None;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            if self.completing {
                return warn_of_unknown_outcome(&self.calls, &self.key, &upload);
            }
            abort_in_background(&self.calls, &self.key, upload, &self.options.call, std::mem::take(&mut self.running));
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("key", &self.key).field("parts", &self.begun).finish_non_exhaustive()
    }
}

/// Sums the progress of all parts.
struct TotalProgress {
    progress: Progress,
    total: AtomicU64,
}

impl TotalProgress {
    /// The progress callback of one part.
    fn part(self: &Arc<Self>) -> Progress {
        let (sum, last) = (self.clone(), AtomicU64::new(0));
        Arc::new(move |now| {
            let before = last.swap(now, Relaxed);
            let total = sum.total.fetch_add(now.wrapping_sub(before), Relaxed).wrapping_add(now.wrapping_sub(before));
            (sum.progress)(total);
        })
    }
}
