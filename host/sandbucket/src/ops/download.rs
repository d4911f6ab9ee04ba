//! Downloads: a large blob read over several connections concurrently, as an ordered stream or into a file.

use std::collections::VecDeque;
use std::fs::File;
use std::future::IntoFuture;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::{Error, Failure, Result};
use crate::http::Progress;
use crate::ops::blob_reader::Blob;
use crate::ops::builders::{awaited, every_call, every_read};
use crate::ops::calls::{Call, Calls};
use crate::ops::options::GetOptions;
use crate::types::blob::{BlobInfo, ByteRange};

/// Default part size in bytes.
const DEFAULT_PART_SIZE: u64 = 8 << 20;

/// Default number of concurrent parts.
const DEFAULT_CONCURRENCY: usize = 4;

/// Chunks below this size, in bytes, are coalesced when they are retained: each retained chunk keeps a buffer of 8 KiB or
/// more alive.
const COALESCE_BELOW: usize = 4 << 10;

/// Bytes gathered for one write to a file.
const WRITE_BUFFER: usize = 1 << 20;

/// Request builder of [`Store::download`](crate::Store::download). Await it for a stream, or finish with
/// [`file`](Download::file).
///
/// A blob that fits one part takes one request. Otherwise parts of equal size are requested concurrently, all of the same
/// content: if the blob is overwritten in between, the download ends in [`Error::PreconditionFailed`]. One connection is
/// used for a blob without a strong ETag or of unknown size, for the last bytes of a blob ([`ByteRange::Last`]), and for a
/// service that ignores ranges and responds to the first request with the whole blob.
///
/// Memory: `part_size` × `concurrency`.
#[must_use = "a call does nothing until it is awaited"]
pub struct Download {
    calls: Calls,
    key: String,
    options: GetOptions,
    part_size: u64,
    concurrency: usize,
    progress: Option<Progress>,
}

impl Download {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let options = GetOptions::default();
        Download { calls, key, options, part_size: DEFAULT_PART_SIZE, concurrency: DEFAULT_CONCURRENCY, progress: None }
    }

    /// Downloads only this range.
    pub fn range(mut self, range: impl Into<ByteRange>) -> Self {
        self.options.range = range.into();
        self
    }

    /// Part size in bytes, at least 1. Default: 8 MiB.
    pub fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = bytes;
        self
    }

    /// Number of concurrent parts, at least 1. Default: 4.
    pub fn concurrency(mut self, parts: usize) -> Self {
        self.concurrency = parts;
        self
    }

    /// Sets a callback invoked with the number of bytes received so far.
    pub fn progress(mut self, callback: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    every_read!();
    every_call!();

    /// Writes the bytes to this file, from its beginning. Bytes after the last one are left in place; the file is not
    /// synced. If this fails, the file may contain a part of the bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written, and the errors of `get`.
    pub async fn file(self, file: File) -> Result<BlobInfo> {
        let (first, remaining) = self.begin().await?;
        let mut info = first.info().clone();
        let file = Arc::new(file);
        let origin = first.range().start;
        let mut writing = JoinSet::new();
        writing.spawn(write(first, file.clone(), origin, remaining.received.clone()));
        let mut parts = remaining.parts();
        loop {
            while writing.len() < remaining.concurrency
                && let Some(part) = parts.next()
            {
                let (remaining, file) = (remaining.clone(), file.clone());
                writing.spawn(async move {
                    let received = remaining.received.clone();
                    write(remaining.open(part).await?, file, origin, received).await
                });
            }
            match writing.join_next().await {
                None => return Ok(info),
                // A chunked body reveals its length at its end.
                Some(written) => info.size = written.map_err(|error| ended(&remaining.key, &error))??.min(info.size),
            }
        }
    }

    async fn call(self) -> Result<Downloading> {
        let (first, remaining) = self.begin().await?;
        let (info, range) = (first.info().clone(), first.range().start..remaining.end);
        let parts = remaining.parts();
        Ok(Downloading {
            info,
            range,
            current: Some(Current::Stream(Box::new(first))),
            waiting: VecDeque::new(),
            parts,
            remaining,
        })
    }

    /// Opens the first part, which determines the others.
    async fn begin(self) -> Result<(Blob, Remaining)> {
        let Download { calls, key, mut options, part_size, concurrency, progress } = self;
        if part_size == 0 || concurrency == 0 {
            let subject = if part_size == 0 { "part_size" } else { "concurrency" };
            let message = format!("download \"{key}\": {subject} must be above 0");
            return Err(Error::InvalidArgument(Failure::ours(subject, message)));
        }
        let received = Arc::new(Received { progress, bytes: AtomicU64::new(0) });
        let requested = options.range.clone();
        let (start, end) = match &requested {
            ByteRange::Whole => (0, u64::MAX),
            ByteRange::From(start) => (*start, u64::MAX),
            ByteRange::Within(range) => (range.start, range.end),
            ByteRange::Last(_) => (0, 0),
        };
        if end > start {
            options.range = ByteRange::Within(start..end.min(start.saturating_add(part_size)));
        }
        let first = match Blob::open_part(calls.clone(), key.clone(), options.clone(), requested.clone()).await {
            // An empty blob has no first byte.
            Err(Error::InvalidRange(_)) if matches!(requested, ByteRange::Whole) => {
                options.range = requested.clone();
                Blob::open(calls.clone(), key.clone(), options.clone()).await?
            }
            first => first?,
        };
        let size = first.info().size;
        let mut end = end.min(size).max(first.range().end);
        // A service that ignores ranges has sent the whole blob, and `first` reads it to its end.
        let one_connection = first.info().strong_etag().is_none() || first.info().known_size().is_none();
        let first = if one_connection && first.range().end < end {
            // The content of the parts could differ unnoticed, or their number is unknown.
            options.range = requested;
            let all = Blob::open(calls.clone(), key.clone(), options.clone()).await?;
            end = all.range().end;
            all
        } else {
            first
        };
        if let Some(etag) = first.info().strong_etag() {
            options.conditions.if_match = Some(etag.clone());
        }
        let expected = (size, first.info().etag.clone());
        let next = first.range().end;
        Ok((first, Remaining { calls, key, options, expected, next, end, part_size, concurrency, received }))
    }
}

awaited!(Download => Downloading, call);

/// The requests that are left.
#[derive(Clone)]
struct Remaining {
    calls: Calls,
    key: String,
    options: GetOptions,
    /// Size and ETag, which all parts must share.
    expected: (u64, Option<String>),
    next: u64,
    end: u64,
    part_size: u64,
    concurrency: usize,
    received: Arc<Received>,
}

impl Remaining {
    fn parts(&self) -> Parts {
        Parts { next: self.next, end: self.end, size: self.part_size }
    }

    async fn open(&self, part: Range<u64>) -> Result<Blob> {
        let options = GetOptions { range: ByteRange::Within(part), ..self.options.clone() };
        let blob = Blob::open(self.calls.clone(), self.key.clone(), options).await?;
        // Some services ignore conditions.
        if (blob.info().size, &blob.info().etag) != (self.expected.0, &self.expected.1) {
            let what = "the blob was changed while it was being read";
            return Err(Error::PreconditionFailed(self.calls.failure("if-match", "download", &self.key, what)));
        }
        Ok(blob)
    }
}

/// The ranges that are left.
struct Parts {
    next: u64,
    end: u64,
    size: u64,
}

impl Iterator for Parts {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let start = self.next;
        self.next = self.end.min(start.saturating_add(self.size));
        (start < self.next).then_some(start..self.next)
    }
}

/// Counts the received bytes.
struct Received {
    progress: Option<Progress>,
    bytes: AtomicU64,
}

impl Received {
    fn more(&self, bytes: usize) {
        if let Some(progress) = &self.progress {
            progress(self.bytes.fetch_add(bytes as u64, Relaxed) + bytes as u64);
        }
    }
}

/// A download in progress, as a [`Stream`] of bytes in order.
pub struct Downloading {
    info: BlobInfo,
    range: Range<u64>,
    current: Option<Current>,
    waiting: VecDeque<PrefetchedPart>,
    parts: Parts,
    remaining: Remaining,
}

/// The part that is read next.
enum Current {
    /// The first part, as a stream.
    Stream(Box<Blob>),
    Pieces(std::vec::IntoIter<Bytes>),
}

/// A part that is fetched into memory. Dropping it aborts the task.
struct PrefetchedPart(JoinHandle<Result<Vec<Bytes>>>);

impl Drop for PrefetchedPart {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Downloading {
    /// The metadata of the whole blob.
    pub fn info(&self) -> &BlobInfo {
        &self.info
    }

    /// The range of the blob that this download covers.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Starts parts up to the concurrency, the current one included.
    fn prefetch(&mut self) {
        while self.waiting.len() + usize::from(self.current.is_some()) < self.remaining.concurrency
            && let Some(part) = self.parts.next()
        {
            let remaining = self.remaining.clone();
            let fetching = async move {
                let mut blob = remaining.open(part).await?;
                let (mut pieces, mut small) = (Vec::new(), BytesMut::new());
                while let Some(piece) = blob.try_next().await? {
                    remaining.received.more(piece.len());
                    if piece.len() < COALESCE_BELOW {
                        small.extend_from_slice(&piece);
                        continue;
                    }
                    if !small.is_empty() {
                        pieces.push(small.split().freeze());
                    }
                    pieces.push(piece);
                }
                if !small.is_empty() {
                    pieces.push(small.freeze());
                }
                Ok(pieces)
            };
            self.waiting.push_back(PrefetchedPart(tokio::spawn(fetching)));
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            self.prefetch();
            match &mut self.current {
                Some(Current::Stream(blob)) => {
                    if let Some(piece) = ready!(blob.poll_next_unpin(cx)) {
                        self.remaining.received.more(piece.as_ref().map_or(0, Bytes::len));
                        return Poll::Ready(Some(piece));
                    }
                }
                Some(Current::Pieces(pieces)) => {
                    if let Some(piece) = pieces.next() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                None => {}
            }
            self.current = None;
            self.prefetch();
            let Some(next) = self.waiting.front_mut() else { return Poll::Ready(None) };
            let fetched = ready!(next.0.poll_unpin(cx)).map_err(|error| ended(&self.remaining.key, &error));
            self.waiting.pop_front();
            self.current = Some(Current::Pieces(fetched??.into_iter()));
        }
    }
}

impl Stream for Downloading {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = ready!(self.poll_piece(cx));
        if let Some(Err(_)) = &polled {
            // An error ends the stream.
            self.current = None;
            self.waiting.clear();
            self.parts.next = self.parts.end;
        }
        Poll::Ready(polled)
    }
}

impl std::fmt::Debug for Downloading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Downloading").field("info", &self.info).field("range", &self.range).finish_non_exhaustive()
    }
}

/// Writes a part to its place in the file, whose first byte is byte `origin` of the blob. Returns the size of the whole
/// blob.
async fn write(mut blob: Blob, file: Arc<File>, origin: u64, received: Arc<Received>) -> Result<u64> {
    let mut at = blob.range().start - origin;
    let mut gathered = BytesMut::new();
    loop {
        let piece = blob.try_next().await?;
        let over = piece.is_none();
        if let Some(piece) = piece {
            received.more(piece.len());
            gathered.extend_from_slice(&piece);
        }
        if gathered.len() >= WRITE_BUFFER || over && !gathered.is_empty() {
            let (bytes, file, place) = (gathered.split().freeze(), file.clone(), at);
            at += bytes.len() as u64;
            let written = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, place)).await;
            let written = written.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
            written.map_err(|source| Error::Io { doing: "writing the file".to_owned(), source: Arc::new(source) })?;
        }
        if over {
            return Ok(blob.info().size);
        }
    }
}

/// The error of a part whose task was aborted or panicked.
fn ended(key: &str, error: &tokio::task::JoinError) -> Error {
    let message = format!("download \"{key}\": a part's task ended early: {error}");
    Error::Network(Failure::ours("body", message))
}
