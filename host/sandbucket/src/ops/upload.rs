//! A blob written from a stream whose end is not known: in one call where it turns out small, in parts where not.

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

/// How many parts are under way at once where nobody says.
const DEFAULT_CONCURRENCY: usize = 4;

/// Pieces below this are gathered, at the price of a copy: each that is kept as it is costs some bytes and a frame.
const COALESCE_BELOW: usize = 64 << 10;

/// Request builder of [`Store::upload`](crate::Store::upload): end with [`stream`](Upload::stream),
/// [`reader`](Upload::reader) or [`begin`](Upload::begin).
///
/// What fits one part is written in one call. All else goes in parts, several at a time, and is there whole or not at all: when it
/// fails, or is given up, the parts are dropped at the service.
///
/// # Length
/// S3 takes 10,000 parts of 5 MiB to 5 GiB, and objects of up to 50 TB (many services: 5 TiB). The first 5,000 parts are of one size,
/// which some services (Cloudflare R2) want of all; that is 39 GiB with the default size. Then the size doubles every 500 parts, up
/// to 5 GiB, so that a body of unknown length can have 6.4 TiB. A [`length_hint`](Upload::length_hint) makes all parts equal, up to
/// that length.
///
/// # Memory
/// `part_size` × (`concurrency` + 1) for equal parts. Once parts have grown, fewer are sent at a time: they take at most 1 GiB, where
/// two of them fit that, and else those two, which are about 1/400 of what has been written: 2 GiB at 1 TiB. The pieces are
/// kept as they come, and do not pass through the sandbox.
#[must_use = "an upload does nothing until it is given a body"]
pub struct Upload {
    calls: Calls,
    key: String,
    options: PutOptions,
    part_size: usize,
    length_hint: Option<u64>,
    at_once: usize,
    progress: Option<Progress>,
}

impl Upload {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let options = PutOptions::default();
        let part_size = DEFAULT_PART_SIZE.min(calls.limits().max_put);
        Upload { calls, key, options, part_size, length_hint: None, at_once: DEFAULT_CONCURRENCY, progress: None }
    }

    /// One of which all this is said already.
    pub(crate) fn of(calls: Calls, key: String, options: PutOptions, progress: Option<Progress>) -> Self {
        Upload { options, progress, ..Upload::new(calls, key) }
    }

    every_write!();
    write_condition!(options.condition);

    /// How many bytes a part has, as long as parts are equal: on S3 from 5 MiB, and here at most
    /// [`Limits::max_put`](crate::Limits::max_put). Default: 8 MiB.
    pub fn part_size(mut self, bytes: usize) -> Self {
        self.part_size = bytes;
        self
    }

    /// About how many bytes the body has. All parts up to there are equal, and larger than `part_size` (and `max_put`) where more
    /// than 9,000 of them would be needed. A body that turns out longer is written too, with parts that grow.
    pub fn length_hint(mut self, bytes: u64) -> Self {
        self.length_hint = Some(bytes);
        self
    }

    /// How many parts are under way at once, from 1. Default: 4.
    pub fn concurrency(mut self, parts: usize) -> Self {
        self.at_once = parts;
        self
    }

    /// Sets a callback invoked with the number of bytes sent so far. It decreases when a part is retried.
    pub fn progress(mut self, callback: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    every_call!();

    /// Writes all that the stream gives.
    ///
    /// # Errors
    /// [`Error::Io`] where the stream fails, and as `put`; nothing is written then.
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
                    let doing = format!("upload \"{}\": reading what is to be written", writer.key);
                    writer.abort().await;
                    return Err(Error::Io { doing, source: Arc::new(std::io::Error::other(error)) });
                }
            }
        }
        writer.finish().await
    }

    /// Writes all that can be read.
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

    /// Begins, for a caller who writes piece by piece. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for sizes that cannot be.
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
        if self.at_once == 0 {
            return wrong("concurrency", "with a concurrency of 0 nothing is sent".to_owned());
        }
        let Upload { calls, key, options, part_size, length_hint, at_once, progress } = self;
        Ok(Writer {
            calls,
            key,
            options,
            sizes: PartSizes::new(part_size, length_hint),
            at_once,
            progress: progress.map(|told| Arc::new(Sum { told, total: AtomicU64::new(0) })),
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

/// A blob being written piece by piece: see [`Upload`].
///
/// It is there after [`finish`](Writer::finish), and only then. When this is dropped before, its parts are dropped at the
/// service in the background, as long as the runtime goes on.
pub struct Writer {
    calls: Calls,
    key: String,
    options: PutOptions,
    sizes: PartSizes,
    at_once: usize,
    progress: Option<Arc<Sum>>,
    /// The part that is not full yet, or just full: whether it is the last will show.
    filling: Chunks,
    /// The end of it, where that came in pieces too small to be kept as they are.
    small: BytesMut,
    /// The upload's id, once there is one.
    upload: Option<String>,
    /// How many parts have been begun.
    begun: u32,
    running: JoinSet<Result<Part>>,
    parts: Vec<Part>,
    /// Whether a piece was lost, so that the rest is of no use.
    broken: bool,
    /// Whether the service was asked to make the blob of the parts: from then on it may be at work on them.
    completing: bool,
}

impl Writer {
    /// Takes the next bytes. It waits where as many parts are under way as may be.
    ///
    /// # Errors
    /// What a part failed with. The upload is aborted then, and whatever is called next fails.
    pub async fn write(&mut self, piece: impl Into<Bytes>) -> Result<()> {
        self.check()?;
        // Holds where the future is dropped on the way.
        self.broken = true;
        let taken = self.take(piece.into()).await;
        match &taken {
            Ok(()) => self.broken = false,
            Err(_) => self.clear().await,
        }
        taken
    }

    /// Writes what is left, and makes the blob of it.
    ///
    /// # Errors
    /// As `put`. There is no blob then, unless it is [`Error::OutcomeUnknown`]: the service may have made it, or may still be at
    /// work on it, so that its upload is not aborted. The same holds where the future is dropped while the service makes the blob.
    pub async fn finish(mut self) -> Result<Written> {
        self.check()?;
        let done = self.end().await;
        if let Err(error) = &done
            && (!self.completing || is_not_completed(error))
        {
            self.completing = false;
            self.clear().await;
        }
        if done.is_ok() {
            self.upload = None;
        }
        done
    }

    /// Gives up, and drops what was written so far.
    pub async fn abort(mut self) {
        self.clear().await;
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

    /// What the part was filled with.
    fn filled(&mut self) -> Chunks {
        self.coalesce();
        std::mem::take(&mut self.filling)
    }

    /// Sends a part on its way.
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
                // The condition is for the end.
                let options = PutOptions { condition: WriteCondition::Always, ..self.options.clone() };
                let upload = self.calls.create_upload(&self.key, &options).await?;
                self.upload.insert(upload).clone()
            }
        };
        while self.running.len() >= self.sizes.at_once(self.begun + 1, self.at_once) {
            self.gather().await?;
        }
        self.begun += 1;
        let (calls, key, number) = (self.calls.clone(), self.key.clone(), self.begun);
        let call = inherited(&self.options.call);
        let progress = self.progress.as_ref().map(Sum::part);
        self.running.spawn(async move { calls.upload_part(&key, (&upload, number), &body, &call, progress).await });
        Ok(())
    }

    /// Waits for one part that is under way.
    async fn gather(&mut self) -> Result<()> {
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
            let progress = self.progress.as_ref().map(Sum::part);
            return self.calls.put(&self.key, &rest, &self.options, progress).await;
        }
        if rest.length() > 0 {
            self.send(rest).await?;
        }
        while !self.running.is_empty() {
            self.gather().await?;
        }
        self.parts.sort_by_key(|part| part.number);
        let parts = std::mem::take(&mut self.parts);
        let call = inherited(&self.options.call);
        let options = CompleteOptions { condition: self.options.condition.clone(), call };
        let upload = self.upload.as_deref().unwrap_or_default();
        self.completing = true;
        self.calls.complete_upload(&self.key, upload, parts, &options).await
    }

    /// Drops what there is of it at the service.
    async fn clear(&mut self) {
        self.broken = true;
        self.running.shutdown().await;
        if let Some(upload) = self.upload.clone() {
            abort_best_effort(&self.calls, &self.key, &upload, &self.options.call).await;
            // Only now: where this is dropped on the way, it is begun anew.
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

/// Adds up what goes out of all parts.
struct Sum {
    told: Progress,
    total: AtomicU64,
}

impl Sum {
    /// What one part tells its progress to.
    fn part(self: &Arc<Self>) -> Progress {
        let (sum, last) = (self.clone(), AtomicU64::new(0));
        Arc::new(move |now| {
            let before = last.swap(now, Relaxed);
            let total = sum.total.fetch_add(now.wrapping_sub(before), Relaxed).wrapping_add(now.wrapping_sub(before));
            (sum.told)(total);
        })
    }
}
