//! A blob being read: its bytes come from the connection as they are, and it is taken up again where that breaks off.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::bindings::wit;
use crate::blob::BlobInfo;
use crate::calls::{Call, Calls, Opened, checked, no_conditions};
use crate::digest::Summing;
use crate::error::{Error, Failure, Result};
use crate::streams::Incoming;

/// The bound of the first pause before a download is taken up again; it doubles with each that follows in a row.
const PAUSE: Duration = Duration::from_millis(50);

/// A blob, or the part of it that was asked for.
///
/// [`bytes`](Blob::bytes) gives all of it; as a [`Stream`] it comes in pieces as the network gives them, and holds nothing
/// but the one at hand. Where it breaks off it is taken up again, with the range that is left and only of the same content:
/// if the blob was overwritten in between, the stream ends in [`Error::PreconditionFailed`]. A checksum that the service
/// tells of all that is read is verified, at its end.
pub struct Blob {
    info: BlobInfo,
    range: Range<u64>,
    /// Where the next piece to give out begins.
    position: u64,
    body: Body,
    source: Source,
    /// How often in a row it was taken up without a byte more.
    resumed: u32,
    check: Option<Check>,
}

/// Where the pieces come from.
enum Body {
    /// The stream, and what of the blob it is still to give.
    Open(Incoming, Range<u64>),
    /// A stream for the rest, on its way.
    Resuming(Call<Opened>),
    /// All of it, from a plugin that has no streams to give.
    Whole(Bytes),
    Over,
}

#[derive(Clone)]
struct Source {
    calls: Calls,
    key: String,
    options: wit::ReadOptions,
}

/// A checksum to be verified.
struct Check {
    sum: Summing,
    told: Vec<u8>,
}

impl Blob {
    pub(crate) async fn open(calls: Calls, key: String, mut options: wit::ReadOptions) -> Result<Blob> {
        let Opened { info, range, given, digest, body } = match calls.open_read(&key, &mut options).await {
            Err(Error::Unsupported(_)) => {
                let (info, range, body) = checked(calls.get_inline(&key, &mut options, None).await?, options.range)?;
                let (position, source) = (range.start, Source { calls, key, options });
                return Ok(Blob { info, range, position, body: Body::Whole(body), source, resumed: 0, check: None });
            }
            opened => opened?,
        };
        // The service's sum is of what it gives; where some of that is left out, it is of no use.
        let digest = digest.filter(|_| given == range);
        let check = digest.map(|digest| Check { sum: Summing::new(digest.algorithm), told: digest.value });
        let source = Source { calls, key, options };
        let position = range.start;
        let body = if range.is_empty() { Body::Over } else { Body::Open(body, given) };
        let mut blob = Blob { info, range, position, body, source, resumed: 0, check };
        if blob.range.is_empty() {
            blob.verify()?;
        }
        Ok(blob)
    }

    /// What is known of the whole blob.
    pub fn info(&self) -> &BlobInfo {
        &self.info
    }

    /// Which bytes of it this is.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// All the bytes of the range that have not been taken yet, in one piece.
    pub async fn bytes(mut self) -> Result<Bytes> {
        let Some(first) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        let left = self.range.end - self.position;
        if left == 0 {
            return Ok(first);
        }
        let mut bytes = Vec::new();
        // How long a blob is, is only what plugin and service say: asking for too much must not end the process.
        let whole = usize::try_from(left).ok().and_then(|left| left.checked_add(first.len()));
        if whole.is_none_or(|whole| bytes.try_reserve_exact(whole).is_err()) {
            let message = format!("get: {left} more bytes do not fit this machine's memory");
            return Err(Error::TooLarge(Failure::ours("body", message)));
        }
        bytes.extend_from_slice(&first);
        drop(first);
        while let Some(piece) = self.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes.into())
    }

    /// The next piece of the stream, cut to what was asked for; none where it has to be taken up again.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            let Body::Open(body, given) = &mut self.body else { return Poll::Ready(Ok(None)) };
            let mut piece = match ready!(body.poll_next(cx)) {
                Some(Ok(piece)) => piece,
                Some(Err(words)) => return Poll::Ready(self.broke_off(&words).map(|()| None)),
                None => return Poll::Ready(self.broke_off("it ended").map(|()| None)),
            };
            let start = given.start;
            let end = start + piece.len() as u64;
            given.start = end;
            if end > given.end || end == given.end && body.has_more() {
                self.body = Body::Over;
                return Poll::Ready(Err(self.wrong("its body goes on after the bytes announced")));
            }
            if end <= self.position {
                continue;
            }
            let before = self.position.saturating_sub(start) as usize;
            let wanted = (self.range.end - self.position) as usize;
            let mut piece = piece.split_off(before.min(piece.len()));
            piece.truncate(wanted);
            return Poll::Ready(Ok(Some(piece)));
        }
    }

    /// Takes up what broke off, unless it cannot be or was too often.
    fn broke_off(&mut self, words: &str) -> Result<()> {
        let Source { calls, key, mut options } = self.source.clone();
        let came = self.position - self.range.start;
        let whole = self.range.end - self.range.start;
        let mut broken = format!("its body broke off after {came} of the {whole} bytes announced: {words}");
        let Some(etag) = self.info.etag.clone().filter(|_| self.resumed < calls.limits().resumes) else {
            self.body = Body::Over;
            if self.info.etag.is_none() {
                broken.push_str("; it has no entity tag by which the rest of the same content could be told");
            }
            return Err(self.wrong(&broken));
        };
        tracing::debug!(key, came, whole, words, "a download is taken up again");
        let pause = if self.resumed == 0 { Duration::ZERO } else { PAUSE * (1 << self.resumed.min(6)) };
        self.resumed += 1;
        options.range = wit::ByteRange::Within(wit::Span { start: self.position, end: self.range.end });
        // A tag may be weak; only a strong one can be asked for. What comes is looked at in any case.
        options.conditions = wit::ReadConditions { if_match: Some(etag.clone()), ..no_conditions() };
        let expected = (self.info.size, Some(etag));
        self.body = Body::Resuming(Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let opened = calls.open_read(&key, &mut options).await?;
            // Not every service heeds a condition.
            if (opened.info.size, opened.info.etag.clone()) != expected {
                let message = format!("get \"{key}\": the blob was changed while it was being read");
                return Err(Error::PreconditionFailed(Failure::ours("if-match", message)));
            }
            Ok(opened)
        }));
        Ok(())
    }

    /// Sums the piece up, and at the end holds the sum against the service's.
    fn checked(&mut self, piece: &Bytes) -> Result<()> {
        if let Some(check) = &mut self.check {
            check.sum.update(piece);
        }
        if self.position == self.range.end { self.verify() } else { Ok(()) }
    }

    fn verify(&mut self) -> Result<()> {
        let verified = self.check.take().is_none_or(|Check { sum, told }| sum.finish() == told);
        if verified { Ok(()) } else { Err(self.wrong("its checksum is not that of the bytes that came")) }
    }

    fn wrong(&self, words: &str) -> Error {
        let mut failure =
            Failure::ours("body", format!("get \"{}\": the answer cannot be trusted: {words}", self.source.key));
        failure.retryable = true;
        Error::Integrity(failure)
    }
}

impl Stream for Blob {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.body {
                Body::Over => return Poll::Ready(None),
                Body::Whole(body) => {
                    let body = std::mem::take(body);
                    (this.position, this.body) = (this.range.end, Body::Over);
                    return Poll::Ready(Some(Ok(body)).filter(|_| !this.range.is_empty()));
                }
                Body::Resuming(asked) => match ready!(asked.as_mut().poll(cx)) {
                    Ok(opened) => this.body = Body::Open(opened.body, opened.given),
                    Err(error) => {
                        this.body = Body::Over;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                Body::Open(..) => match ready!(this.poll_piece(cx)) {
                    Ok(None) => {}
                    Ok(Some(piece)) => {
                        this.resumed = 0;
                        this.position += piece.len() as u64;
                        if this.position == this.range.end {
                            this.body = Body::Over;
                        }
                        return Poll::Ready(Some(this.checked(&piece).map(|()| piece)));
                    }
                    Err(error) => {
                        this.body = Body::Over;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob").field("info", &self.info).field("range", &self.range).finish_non_exhaustive()
    }
}
