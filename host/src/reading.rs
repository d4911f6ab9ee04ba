//! A blob being read: in one call where it is small, range after range where it is not.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::bindings::wit;
use crate::blob::BlobInfo;
use crate::error::{Error, Failure, Result};
use crate::requests::{Call, no_conditions};
use crate::store::Store;

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
    store: Store,
    key: String,
    options: wit::ReadOptions,
}

/// One answer of the plugin, found to be what it says.
pub(crate) struct Piece {
    info: BlobInfo,
    range: Range<u64>,
    body: Bytes,
}

impl Piece {
    /// A plugin is not trusted to count, nor to give the bytes that were asked for.
    pub(crate) fn checked(blob: wit::Blob, asked: wit::ByteRange) -> Result<Piece> {
        let wit::Blob { info, range: wit::Span { start, end }, body } = blob;
        if end.checked_sub(start) != Some(body.len() as u64) || end > info.size {
            let message = format!(
                "get: the plugin gave {} bytes for the range {start} to {end} of a blob of {}",
                body.len(),
                info.size
            );
            return Err(Error::Integrity(Failure::ours("body", message)));
        }
        let wanted = wanted(asked, info.size);
        if wanted != (start..end) {
            let message = format!("get: the plugin gave the range {start} to {end} where {wanted:?} was asked for");
            return Err(Error::Integrity(Failure::ours("body", message)));
        }
        Ok(Piece { info: info.into(), range: start..end, body: body.into() })
    }
}

/// The bytes that this range is of a blob of this size.
fn wanted(range: wit::ByteRange, size: u64) -> Range<u64> {
    match range {
        wit::ByteRange::Whole => 0..size,
        wit::ByteRange::From(start) => start..size,
        wit::ByteRange::Within(span) => span.start..span.end.min(size),
        wit::ByteRange::Last(count) => size.saturating_sub(count)..size,
    }
}

impl Blob {
    pub(crate) async fn open(store: Store, key: String, mut options: wit::ReadOptions) -> Result<Blob> {
        let too_large = match store.call_get(&key, &mut options).await {
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
        let info = store.call_head(&key, &mut head).await?;
        let Some(etag) = info.etag.clone() else {
            // The pieces could be of different contents, and nobody would notice.
            return Err(Error::TooLarge(too_large));
        };
        let range = wanted(options.range, info.size);
        let conditions = wit::ReadConditions { if_match: Some(etag), ..no_conditions() };
        let source = Source { store, key, options: wit::ReadOptions { conditions, ..options } };
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
        let Source { store, key, mut options } = source.clone();
        let end = self.range.end.min(self.position.saturating_add(store.limits().chunk as u64));
        options.range = wit::ByteRange::Within(wit::Span { start: self.position, end });
        Box::pin(async move {
            let piece = store.call_get(&key, &mut options).await?;
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
