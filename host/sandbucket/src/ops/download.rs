//! A large blob read over several connections at once: in order, as a stream, or into a file.

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

/// The size of a part where nobody says.
const DEFAULT_PART_SIZE: u64 = 8 << 20;

/// How many parts are under way at once where nobody says.
const DEFAULT_CONCURRENCY: usize = 4;

/// Pieces below this, in bytes, are gathered where they are kept: each that is kept as it is costs a buffer of 8 KiB or more.
const SMALL: usize = 4 << 10;

/// How many bytes are gathered for one write to a file.
const WRITE: usize = 1 << 20;

/// Request builder of [`Store::download`](crate::Store::download). Await it for a stream, or end it with
/// [`file`](Download::file).
///
/// What fits one part takes one request. All else is asked for in parts of one size, several at a time, all of the same
/// content: if the blob is overwritten in between, it ends in [`Error::PreconditionFailed`]. A blob without a strong entity
/// tag or of unknown size, and the last bytes of one ([`ByteRange::Last`]), come over one connection. So does all of it from a
/// service that ignores ranges, and answers the request for the first part with the whole blob.
///
/// Memory: `part_size` × `concurrency`.
#[must_use = "a call does nothing until it is awaited"]
pub struct Download {
    calls: Calls,
    key: String,
    options: GetOptions,
    part_size: u64,
    at_once: usize,
    progress: Option<Progress>,
}

impl Download {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let options = GetOptions::default();
        Download { calls, key, options, part_size: DEFAULT_PART_SIZE, at_once: DEFAULT_CONCURRENCY, progress: None }
    }

    /// Only this part of it.
    pub fn range(mut self, range: impl Into<ByteRange>) -> Self {
        self.options.range = range.into();
        self
    }

    /// How many bytes are asked for at once, from 1. Default: 8 MiB.
    pub fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = bytes;
        self
    }

    /// How many parts are under way at once, from 1. Default: 4.
    pub fn concurrency(mut self, parts: usize) -> Self {
        self.at_once = parts;
        self
    }

    /// Sets a callback invoked with the number of bytes received so far.
    pub fn progress(mut self, callback: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    every_read!();
    every_call!();

    /// Writes the bytes to this file: the first of them at its beginning, whatever was there. What is after the last is left
    /// as it is; the file is not synced. When this fails, some of the bytes may be there and others not.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written, and as `get`.
    pub async fn file(self, file: File) -> Result<BlobInfo> {
        let (first, ahead) = self.begin().await?;
        let mut info = first.info().clone();
        let file = Arc::new(file);
        let origin = first.range().start;
        let mut writing = JoinSet::new();
        writing.spawn(write(first, file.clone(), origin, ahead.came.clone()));
        let mut parts = ahead.parts();
        loop {
            while writing.len() < ahead.at_once
                && let Some(part) = parts.next()
            {
                let (ahead, file) = (ahead.clone(), file.clone());
                writing.spawn(async move {
                    let came = ahead.came.clone();
                    write(ahead.open(part).await?, file, origin, came).await
                });
            }
            match writing.join_next().await {
                None => return Ok(info),
                // A chunked body tells its length at its end.
                Some(written) => info.size = written.map_err(|error| ended(&ahead.key, &error))??.min(info.size),
            }
        }
    }

    async fn call(self) -> Result<Downloading> {
        let (first, ahead) = self.begin().await?;
        let (info, range) = (first.info().clone(), first.range().start..ahead.end);
        let parts = ahead.parts();
        Ok(Downloading {
            info,
            range,
            current: Some(Current::Stream(Box::new(first))),
            waiting: VecDeque::new(),
            parts,
            ahead,
        })
    }

    /// Opens the first part, which tells of the others.
    async fn begin(self) -> Result<(Blob, Ahead)> {
        let Download { calls, key, mut options, part_size, at_once, progress } = self;
        if part_size == 0 || at_once == 0 {
            let subject = if part_size == 0 { "part_size" } else { "concurrency" };
            let message = format!("download \"{key}\": {subject} must be above 0");
            return Err(Error::InvalidArgument(Failure::ours(subject, message)));
        }
        let came = Arc::new(Came { told: progress, bytes: AtomicU64::new(0) });
        let asked = options.range.clone();
        let (start, end) = match &asked {
            ByteRange::Whole => (0, u64::MAX),
            ByteRange::From(start) => (*start, u64::MAX),
            ByteRange::Within(range) => (range.start, range.end),
            ByteRange::Last(_) => (0, 0),
        };
        if end > start {
            options.range = ByteRange::Within(start..end.min(start.saturating_add(part_size)));
        }
        let first = match Blob::open_part(calls.clone(), key.clone(), options.clone(), asked.clone()).await {
            // An empty blob has no first byte.
            Err(Error::InvalidRange(_)) if matches!(asked, ByteRange::Whole) => {
                options.range = asked.clone();
                Blob::open(calls.clone(), key.clone(), options.clone()).await?
            }
            first => first?,
        };
        let size = first.info().size;
        let mut end = end.min(size).max(first.range().end);
        // A service that ignores ranges has given all of it, and `first` goes to its end.
        let one_connection = first.info().strong_etag().is_none() || first.info().known_size().is_none();
        let first = if one_connection && first.range().end < end {
            // Its parts could be of different contents, and nobody would notice; or nobody says how many there are.
            options.range = asked;
            let all = Blob::open(calls.clone(), key.clone(), options.clone()).await?;
            end = all.range().end;
            all
        } else {
            first
        };
        if let Some(etag) = first.info().strong_etag() {
            options.conditions.if_match = Some(etag.clone());
        }
        let same = (size, first.info().etag.clone());
        let next = first.range().end;
        Ok((first, Ahead { calls, key, options, same, next, end, part_size, at_once, came }))
    }
}

awaited!(Download => Downloading, call);

/// What is still to be asked for.
#[derive(Clone)]
struct Ahead {
    calls: Calls,
    key: String,
    options: GetOptions,
    /// Size and entity tag, by which all parts are of the same content.
    same: (u64, Option<String>),
    next: u64,
    end: u64,
    part_size: u64,
    at_once: usize,
    came: Arc<Came>,
}

impl Ahead {
    fn parts(&self) -> Parts {
        Parts { next: self.next, end: self.end, size: self.part_size }
    }

    async fn open(&self, part: Range<u64>) -> Result<Blob> {
        let options = GetOptions { range: ByteRange::Within(part), ..self.options.clone() };
        let blob = Blob::open(self.calls.clone(), self.key.clone(), options).await?;
        // Not every service heeds a condition.
        if (blob.info().size, &blob.info().etag) != (self.same.0, &self.same.1) {
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

/// Counts what has come.
struct Came {
    told: Option<Progress>,
    bytes: AtomicU64,
}

impl Came {
    fn more(&self, bytes: usize) {
        if let Some(told) = &self.told {
            told(self.bytes.fetch_add(bytes as u64, Relaxed) + bytes as u64);
        }
    }
}

/// A blob that comes over several connections, as a [`Stream`] of its bytes in their order.
pub struct Downloading {
    info: BlobInfo,
    range: Range<u64>,
    current: Option<Current>,
    waiting: VecDeque<Fetched>,
    parts: Parts,
    ahead: Ahead,
}

/// The part whose turn it is.
enum Current {
    /// The first, as it comes.
    Stream(Box<Blob>),
    Pieces(std::vec::IntoIter<Bytes>),
}

/// A part on its way into memory. It is given up with this.
struct Fetched(JoinHandle<Result<Vec<Bytes>>>);

impl Drop for Fetched {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Downloading {
    /// What is known of the whole blob.
    pub fn info(&self) -> &BlobInfo {
        &self.info
    }

    /// Which bytes of it this is.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Has as many parts under way as may be, the current one among them.
    fn fetch_ahead(&mut self) {
        while self.waiting.len() + usize::from(self.current.is_some()) < self.ahead.at_once
            && let Some(part) = self.parts.next()
        {
            let ahead = self.ahead.clone();
            let fetching = async move {
                let mut blob = ahead.open(part).await?;
                let (mut pieces, mut small) = (Vec::new(), BytesMut::new());
                while let Some(piece) = blob.try_next().await? {
                    ahead.came.more(piece.len());
                    if piece.len() < SMALL {
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
            self.waiting.push_back(Fetched(tokio::spawn(fetching)));
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            self.fetch_ahead();
            match &mut self.current {
                Some(Current::Stream(blob)) => {
                    if let Some(piece) = ready!(blob.poll_next_unpin(cx)) {
                        self.ahead.came.more(piece.as_ref().map_or(0, Bytes::len));
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
            self.fetch_ahead();
            let Some(next) = self.waiting.front_mut() else { return Poll::Ready(None) };
            let fetched = ready!(next.0.poll_unpin(cx)).map_err(|error| ended(&self.ahead.key, &error));
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
            // Nothing comes after an error.
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

/// Writes a part to its place in the file, of which the first byte is that one of the blob.
/// Gives the size of the whole blob.
async fn write(mut blob: Blob, file: Arc<File>, origin: u64, came: Arc<Came>) -> Result<u64> {
    let mut at = blob.range().start - origin;
    let mut gathered = BytesMut::new();
    loop {
        let piece = blob.try_next().await?;
        let over = piece.is_none();
        if let Some(piece) = piece {
            came.more(piece.len());
            gathered.extend_from_slice(&piece);
        }
        if gathered.len() >= WRITE || over && !gathered.is_empty() {
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

/// The error of a part whose task did not come to its end.
fn ended(key: &str, error: &tokio::task::JoinError) -> Error {
    let message = format!("download \"{key}\": a part's task ended early: {error}");
    Error::Network(Failure::ours("body", message))
}
