//! A blob being read: bytes are passed on from the connection unchanged, and an interrupted read resumes.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::checksum::Hasher;
use crate::error::{Error, Result};
use crate::http::ResponseBody;
use crate::ops::calls::{Call, Calls, Opened, OpenedBody, wanted};
use crate::ops::options::{GetOptions, HeadOptions, ReadConditions};
use crate::support::deadline::{self, Timer};
use crate::types::blob::{BlobInfo, ByteRange};

/// Maximum first backoff before a read resumes; it doubles with each consecutive resumption.
const MAX_FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// Bytes of a chunked response that are read ahead: if it ends within them, the size of the blob is known.
const PEEK: u64 = 64 << 10;

/// A blob, or a range of it, being read.
///
/// [`bytes`](Blob::bytes) returns all of it; as a [`Stream`] it yields chunks as they arrive from the network, without
/// buffering. An interrupted read resumes with the remaining range of the same content: if the blob was overwritten in
/// between, the stream ends in [`Error::PreconditionFailed`]. If the service reports a checksum of everything that is read,
/// it is verified at the end.
///
/// The length of a chunked response of more than 64 KiB is known at its end only: until then, the size in
/// [`info`](Blob::info) is [`BlobInfo::UNKNOWN_SIZE`], and so is the end of a [`range`](Blob::range) that extends to the
/// end of the blob.
pub struct Blob {
    info: BlobInfo,
    range: Range<u64>,
    /// Offset of the next chunk to return.
    position: u64,
    /// Chunks that were read ahead.
    read_ahead: VecDeque<Bytes>,
    body: Body,
    source: Source,
    /// Consecutive resumptions without progress.
    resumed: u32,
    /// Restarts from the blob's beginning, because the service ignores ranges.
    restarts: u32,
    /// Number of requests sent.
    attempts: u32,
    /// Deadline of the whole read, if the caller set one.
    end: End,
    check: Option<Check>,
}

/// A time limit and its timer.
type End = Option<Box<(Duration, Pin<Box<Timer>>)>>;

/// The source of chunks.
enum Body {
    /// The response body, and the range of the blob that it still contains.
    Open(ResponseBody, Range<u64>),
    /// A pending request for the rest.
    Resuming(Call<Opened>),
    /// All of it, from a plugin without `sans-io`.
    Memory(Bytes),
    Over,
}

impl Body {
    fn of(body: OpenedBody, range: Range<u64>) -> Body {
        match body {
            OpenedBody::Response(body) => Body::Open(body, range),
            OpenedBody::Memory(bytes) => Body::Memory(bytes),
        }
    }
}

#[derive(Clone)]
struct Source {
    calls: Calls,
    key: String,
    options: GetOptions,
}

/// A checksum to verify.
struct Check {
    sum: Hasher,
    expected: Vec<u8>,
}

impl Blob {
    /// Opens a blob for reading. A time limit in the options covers the whole read; the default one ends with the response
    /// head, as a body may take as long as it makes progress.
    pub(crate) async fn open(calls: Calls, key: String, options: GetOptions) -> Result<Blob> {
        let wanted = options.range.clone();
        Blob::open_part(calls, key, options, wanted).await
    }

    /// Opens a part of the wanted range. If the service ignores ranges and sends the whole blob, this returns the whole
    /// wanted range, so that no further request is needed.
    pub(crate) async fn open_part(calls: Calls, key: String, options: GetOptions, wanted: ByteRange) -> Result<Blob> {
        let end = end(&calls, &options);
        if is_empty(&options.range) {
            return Box::pin(Blob::open_empty(calls, key, options)).await;
        }
        let opened = calls.get(&key, &options).await?;
        let blob = Blob::begun(Source { calls, key, options }, end, opened, wanted)?;
        if blob.info.known_size().is_none() { Box::pin(blob.read_ahead()).await } else { Ok(blob) }
    }

    fn begun(mut source: Source, end: End, opened: Opened, wanted: ByteRange) -> Result<Blob> {
        let Opened { info, mut range, body_range: given, digest, body } = opened;
        if given != range {
            let all = self::wanted(&wanted, info.size);
            if all.start == range.start && given.end >= all.end && all.end > range.end {
                range.end = all.end;
                source.options.range = wanted;
            }
        }
        // The service's checksum covers what it sends, so it is unusable if a part is cut off.
        let digest = digest.filter(|_| given == range);
        let position = range.start;
        let body = if range.is_empty() { Body::Over } else { Body::of(body, given) };
        let mut blob = Blob::new(info, range, position, body, source, end);
        blob.check = digest.map(|digest| Check { sum: Hasher::new(digest.algorithm), expected: digest.value });
        if blob.range.is_empty() {
            blob.verify()?;
        }
        Ok(blob)
    }

    fn new(info: BlobInfo, range: Range<u64>, position: u64, body: Body, source: Source, end: End) -> Blob {
        let (read_ahead, resumed, restarts, attempts) = (VecDeque::new(), 0, 0, 1);
        Blob { info, range, position, read_ahead, body, source, resumed, restarts, attempts, end, check: None }
    }

    /// Opens an empty range of a blob that must exist, under the same conditions. HTTP cannot express an empty range.
    async fn open_empty(calls: Calls, key: String, options: GetOptions) -> Result<Blob> {
        let (conditions, version, call) = (options.conditions.clone(), options.version.clone(), options.call.clone());
        let info = calls.head(&key, &HeadOptions { conditions, version, call }).await?;
        let start = match &options.range {
            ByteRange::Within(range) => range.start.min(info.size),
            _ => info.size,
        };
        Ok(Blob::new(info, start..start, start, Body::Over, Source { calls, key, options }, None))
    }

    /// Reads ahead.
    async fn read_ahead(mut self) -> Result<Blob> {
        let mut pieces = VecDeque::new();
        while self.position - self.range.start < PEEK
            && let Some(piece) = self.next().await
        {
            pieces.push_back(piece?);
        }
        self.read_ahead = pieces;
        Ok(self)
    }

    /// The metadata of the whole blob.
    pub fn info(&self) -> &BlobInfo {
        &self.info
    }

    /// The range of the blob that this reads.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Whether the service ignores ranges: the response has more bytes than the requested range, and all of them are
    /// transferred up to its end. Meaningful until the first byte is read.
    pub fn ignores_range(&self) -> bool {
        matches!(&self.body, Body::Open(_, given) if *given != (self.position..self.range.end))
    }

    /// Reads the rest of the range into memory.
    pub async fn bytes(mut self) -> Result<Bytes> {
        let Some(first) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        let ahead: usize = self.read_ahead.iter().map(Bytes::len).sum();
        // If the end is unknown, the buffer grows.
        let end = if self.range.end == BlobInfo::UNKNOWN_SIZE { self.position } else { self.range.end };
        let left = end - self.position + ahead as u64;
        if left == 0 && self.range.end == end {
            return Ok(first);
        }
        let mut bytes = Vec::new();
        // The length is a claim of plugin and service: an excessive allocation must not abort the process.
        let whole = usize::try_from(left).ok().and_then(|left| left.checked_add(first.len()));
        if whole.is_none_or(|whole| bytes.try_reserve_exact(whole).is_err()) {
            let Source { calls, key, .. } = &self.source;
            let what = format!("{left} more bytes do not fit this machine's memory");
            return Err(Error::TooLarge(calls.failure("body", "get", key, &what)));
        }
        bytes.extend_from_slice(&first);
        drop(first);
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if bytes.try_reserve(piece.len()).is_err() {
                let Source { calls, key, .. } = &self.source;
                let what = format!("more than {} bytes do not fit this machine's memory", bytes.len());
                return Err(Error::TooLarge(calls.failure("body", "get", key, &what)));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    /// The next chunk, cut to the requested range; `None` if the read must resume.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            let Body::Open(body, given) = &mut self.body else { return Poll::Ready(Ok(None)) };
            let piece = match ready!(body.poll_next(cx)) {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    let resumed = self.resume(&error.detail(), error.is_timeout());
                    return Poll::Ready(resumed.map(|()| None).map_err(|broken| broken.with_source(error)));
                }
                // A chunked body ends with the blob.
                None if given.end == BlobInfo::UNKNOWN_SIZE => {
                    let size = given.start;
                    return Poll::Ready(self.ended_at(size).map(|()| None));
                }
                None => return Poll::Ready(self.resume("it ended", false).map(|()| None)),
            };
            let start = given.start;
            let end = start.saturating_add(piece.len() as u64);
            given.start = end;
            if end > given.end || end == given.end && body.has_more() {
                self.body = Body::Over;
                return Poll::Ready(Err(self.wrong("its body goes on after the bytes announced")));
            }
            let piece = cut(piece, start, self.position..self.range.end);
            if piece.is_empty() {
                continue;
            }
            return Poll::Ready(Ok(Some(piece)));
        }
    }

    /// Sets the size of a body of previously unknown length.
    fn ended_at(&mut self, size: u64) -> Result<()> {
        self.body = Body::Over;
        if size <= self.range.start && !matches!(self.source.options.range, ByteRange::Whole) {
            let Source { calls, key, .. } = &self.source;
            let what = format!("no byte of its {size} bytes is in the range");
            return Err(Error::InvalidRange(calls.failure("range", "get", key, &what)));
        }
        self.info.size = size;
        self.range.end = size.max(self.range.start);
        self.verify()
    }

    /// The announced number of bytes, for errors.
    fn announced(&self) -> String {
        if self.range.end == BlobInfo::UNKNOWN_SIZE {
            return "bytes, where no length was announced".to_owned();
        }
        format!("of the {} bytes announced", self.range.end - self.range.start)
    }

    /// Resumes an interrupted read, unless that is impossible or was tried too often.
    fn resume(&mut self, words: &str, timed_out: bool) -> Result<()> {
        let Source { calls, key, mut options } = self.source.clone();
        let received = self.position - self.range.start;
        let whole = self.announced();
        let mut broken = format!("its body broke off after {received} {whole}: {words}");
        let resumes = calls.limits().resumes;
        let may_resume = self.resumed < resumes && self.restarts < resumes;
        let Some(etag) = self.info.etag.clone().filter(|_| may_resume) else {
            self.body = Body::Over;
            if self.info.etag.is_none() {
                broken.push_str("; it has no ETag to verify that the rest has the same content");
            } else if self.restarts > 0 {
                let restarts = self.restarts;
                broken.push_str(&format!(
                    "; the service ignores `Range`: the blob was read again from its beginning {restarts} times, which is all \
                     that `resumes` in the section [sandbox] (`Limits::resumes`) allows"
                ));
            }
            return Err(match self.wrong(&broken) {
                Error::Integrity(failure) if timed_out => Error::Timeout(failure),
                error => error,
            });
        };
        tracing::debug!(key, received, whole, words, "a download resumes");
        let pause = if self.resumed == 0 { Duration::ZERO } else { MAX_FIRST_BACKOFF * (1 << self.resumed.min(6)) };
        self.resumed += 1;
        self.attempts += 1;
        options.range = match self.range.end {
            BlobInfo::UNKNOWN_SIZE => ByteRange::From(self.position),
            end => ByteRange::Within(self.position..end),
        };
        // Only a strong ETag can be a condition. The response is checked in any case.
        options.conditions = ReadConditions { if_match: self.info.strong_etag().cloned(), ..ReadConditions::default() };
        // A weak ETag may stay the same although the bytes change.
        let weak = self.info.strong_etag().is_none();
        let expected = (self.info.known_size(), Some(etag), self.info.last_modified.filter(|_| weak));
        let attempts = self.attempts;
        self.body = Body::Resuming(Box::pin(async move {
            if !pause.is_zero() {
                deadline::sleep(pause).await;
            }
            let opened = calls.get(&key, &options).await?;
            // Some services ignore conditions.
            let Opened { info, .. } = &opened;
            let size = info.known_size().filter(|_| expected.0.is_some()).or(expected.0);
            if (size, info.etag.clone(), info.last_modified.filter(|_| weak)) != expected {
                let mut failure =
                    calls.failure("if-match", "get", &key, "the blob was changed while it was being read");
                failure.attempts = attempts;
                return Err(Error::PreconditionFailed(failure));
            }
            Ok(opened)
        }));
        Ok(())
    }

    /// Hashes the chunk, and compares the checksum at the end.
    fn hash_and_verify(&mut self, piece: &Bytes) -> Result<()> {
        if let Some(check) = &mut self.check {
            check.sum.update(piece);
        }
        if self.position == self.range.end { self.verify() } else { Ok(()) }
    }

    fn verify(&mut self) -> Result<()> {
        let verified = self.check.take().is_none_or(|Check { sum, expected }| sum.finish() == expected);
        if verified { Ok(()) } else { Err(self.wrong("its checksum does not match the received bytes")) }
    }

    fn wrong(&self, words: &str) -> Error {
        let Source { calls, key, .. } = &self.source;
        let mut failure = calls.failure("body", "get", key, &format!("the response is invalid: {words}"));
        failure.retryable = true;
        failure.attempts = self.attempts;
        Error::Integrity(failure)
    }

    /// The error of a read beyond its deadline.
    fn overdue(&self, limit: Duration) -> Error {
        let (received, whole) = (self.position - self.range.start, self.announced());
        let what = format!("its time limit of {limit:?} ran out after {received} {whole}");
        let Source { calls, key, .. } = &self.source;
        let mut failure = calls.failure("time-limit", "get", key, &what);
        (failure.retryable, failure.attempts) = (true, self.attempts);
        Error::Timeout(failure)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            match &mut self.body {
                Body::Over => return Poll::Ready(None),
                Body::Memory(body) => {
                    let body = std::mem::take(body);
                    (self.position, self.body) = (self.range.end, Body::Over);
                    return Poll::Ready(Some(Ok(body)).filter(|_| !self.range.is_empty()));
                }
                Body::Resuming(request) => {
                    let opened = ready!(request.as_mut().poll(cx))?;
                    if opened.body_range.start < opened.range.start {
                        self.restarts += 1;
                    }
                    // The response for the rest may have metadata that the first one lacks.
                    if let Some(size) = opened.info.known_size() {
                        self.info.size = size;
                        self.range.end = self.range.end.min(size);
                    }
                    self.body = Body::of(opened.body, opened.body_range);
                }
                Body::Open(..) => {
                    let Some(piece) = ready!(self.poll_piece(cx))? else { continue };
                    self.resumed = 0;
                    self.position += piece.len() as u64;
                    if self.position == self.range.end {
                        self.body = Body::Over;
                    }
                    return Poll::Ready(Some(self.hash_and_verify(&piece).map(|()| piece)));
                }
            }
        }
    }
}

/// The deadline of a read, if its options set one.
fn end(calls: &Calls, options: &GetOptions) -> End {
    let limit = options.call.time_limit.filter(|&limit| limit != calls.limits().call_time);
    limit.map(|limit| Box::new((limit, Box::pin(deadline::sleep(limit)))))
}

/// Whether a range is empty for every blob.
fn is_empty(range: &ByteRange) -> bool {
    match range {
        ByteRange::Within(range) => range.start == range.end,
        ByteRange::Last(count) => *count == 0,
        ByteRange::Whole | ByteRange::From(_) => false,
    }
}

/// The part of a chunk, which begins at byte `start` of a blob, that lies within the wanted range.
pub(crate) fn cut(mut piece: Bytes, start: u64, wanted: Range<u64>) -> Bytes {
    let before = usize::try_from(wanted.start.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut piece = piece.split_off(before.min(piece.len()));
    let left = wanted.end.saturating_sub(wanted.start.max(start));
    piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
    piece
}

impl Stream for Blob {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(piece) = this.read_ahead.pop_front() {
            return Poll::Ready(Some(Ok(piece)));
        }
        let mut polled = this.poll_body(cx);
        // An endless body may never be pending, so the deadline is polled here as well.
        let over = matches!(&polled, Poll::Ready(Some(Err(_)) | None)) || this.position == this.range.end;
        if !over
            && let Some(end) = &mut this.end
            && end.1.as_mut().poll(cx).is_ready()
        {
            let limit = end.0;
            polled = Poll::Ready(Some(Err(this.overdue(limit))));
        }
        // An error ends the stream.
        if let Poll::Ready(Some(Err(_))) = &polled {
            this.body = Body::Over;
        }
        polled
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob").field("info", &self.info).field("range", &self.range).finish_non_exhaustive()
    }
}
