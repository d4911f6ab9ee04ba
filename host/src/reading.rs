//! A blob being read: in one call where it is small, range after range where it is not.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::bindings::wit;
use crate::blob::BlobInfo;
use crate::calls::{Call, Calls, Piece, no_conditions, wanted};
use crate::error::{Error, Failure, Result};

/// A blob, or the part of it that was asked for.
///
/// [`bytes`](Blob::bytes) gives all of it; as a [`Stream`] it comes in pieces of at most
/// [`Limits::chunk`](crate::Limits::chunk), the next one asked for when it is wanted, all of the same content: if the
/// blob is overwritten in between, the stream ends in [`Error::PreconditionFailed`].
pub struct Blob {
    info: BlobInfo,
    range: Range<u64>,
    /// Where the next piece to give out begins.
    position: u64,
    /// The next piece, where it is here already.
    ready: Option<Bytes>,
    /// The next piece, on its way.
    asked: Option<Call<Piece>>,
    /// Where further pieces come from. None where the first one is all.
    source: Option<Source>,
}

#[derive(Clone)]
struct Source {
    calls: Calls,
    key: String,
    options: wit::ReadOptions,
}

impl Blob {
    pub(crate) async fn open(calls: Calls, key: String, mut options: wit::ReadOptions) -> Result<Blob> {
        let too_large = match calls.get(&key, &mut options).await {
            Ok(Piece { info, range, body }) => {
                let position = range.start;
                return Ok(Blob { info, range, position, ready: Some(body), asked: None, source: None });
            }
            Err(Error::TooLarge(told)) => told,
            Err(error) => return Err(error),
        };
        // More than fits one call. How long is it, and what tag holds its pieces together?
        let mut head = wit::HeadOptions {
            conditions: options.conditions.clone(),
            version: options.version.clone(),
            call: options.call.clone(),
        };
        let info = calls.head(&key, &mut head, None).await?;
        let Some(etag) = info.etag.clone() else {
            // The pieces could be of different contents, and nobody would notice.
            return Err(Error::TooLarge(too_large));
        };
        let range = wanted(options.range, info.size);
        let conditions = wit::ReadConditions { if_match: Some(etag), ..no_conditions() };
        let source = Source { calls, key, options: wit::ReadOptions { conditions, ..options } };
        let position = range.start;
        let mut blob = Blob { info, range, position, ready: None, asked: None, source: Some(source) };
        // What is wrong with reading at all shows here, and not in the middle of a stream.
        if let Some(first) = blob.next().await {
            let first = first?;
            blob.position = position;
            blob.ready = Some(first);
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
        while let Some(piece) = self.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes.into())
    }

    /// Asks for the next piece.
    fn ask(&self, source: &Source) -> Call<Piece> {
        let Source { calls, key, mut options } = source.clone();
        let end = self.range.end.min(self.position.saturating_add(calls.limits().chunk as u64));
        options.range = wit::ByteRange::Within(wit::Span { start: self.position, end });
        Box::pin(async move {
            let piece = calls.get(&key, &mut options).await?;
            // Not every service heeds a condition.
            let same = piece.info.etag == options.conditions.if_match;
            match options.range {
                wit::ByteRange::Within(asked) if same && piece.range == (asked.start..asked.end) => Ok(piece),
                _ => {
                    let message = format!("get \"{key}\": the blob was changed while it was being read");
                    Err(Error::PreconditionFailed(Failure::ours("if-match", message)))
                }
            }
        })
    }
}

impl Stream for Blob {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ready.is_none() {
            let Some(source) = this.source.as_ref().filter(|_| this.position < this.range.end) else {
                return Poll::Ready(None);
            };
            if this.asked.is_none() {
                this.asked = Some(this.ask(source));
            }
            let Some(asked) = &mut this.asked else { return Poll::Ready(None) };
            let answer = ready!(asked.as_mut().poll(cx));
            this.asked = None;
            match answer {
                Ok(piece) => this.ready = Some(piece.body),
                Err(error) => {
                    this.source = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let piece = this.ready.take();
        this.position += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(Ok))
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob").field("info", &self.info).field("range", &self.range).finish_non_exhaustive()
    }
}
