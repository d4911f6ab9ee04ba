//! The body of a write: bytes in memory, in one or more chunks, or a stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, TryStreamExt};

/// The error of a body's stream.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The chunks of a streamed body.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Cause>> + Send>>;

/// The body of a [`Store::put`](crate::Store::put). Bytes and lists of bytes convert into it without a copy.
pub struct Body(pub(crate) Kind);

pub(crate) enum Kind {
    Here(Chunks),
    Stream(u64, Pieces),
}

impl Body {
    /// A stream of this many bytes. Each byte can be read once, so such a write is not retried once it has begun, unless it
    /// must be gathered first (for example if the store signs bodies), which takes up to the memory of an
    /// [`upload`](crate::Store::upload).
    pub fn stream<B, E>(length: u64, body: impl Stream<Item = Result<B, E>> + Send + 'static) -> Body
    where
        B: Into<Bytes> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Body(Kind::Stream(length, Box::pin(body.map_ok(Into::into).map_err(Into::into))))
    }

    /// Bytes shared with another owner, such as a mapped file or an `Arc<[u8]>`. They are not copied; the owner is dropped
    /// after their last use.
    pub fn from_owner(owner: impl AsRef<[u8]> + Send + 'static) -> Body {
        Bytes::from_owner(owner).into()
    }

    /// A copy of borrowed bytes, since a call may outlive the borrow. `&'static` bytes, `Bytes`, `Vec<u8>` and `String`
    /// convert without a copy.
    pub fn copy_from_slice(bytes: &[u8]) -> Body {
        Bytes::copy_from_slice(bytes).into()
    }

    /// The length in bytes.
    pub fn length(&self) -> u64 {
        match &self.0 {
            Kind::Here(chunks) => chunks.length(),
            Kind::Stream(length, _) => *length,
        }
    }
}

impl<T: Into<Chunks>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Body(Kind::Here(bytes.into()))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("length", &self.length()).finish_non_exhaustive()
    }
}

/// Bytes in one or more non-empty chunks. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Chunks {
    first: Bytes,
    rest: VecDeque<Bytes>,
    length: u64,
}

impl Chunks {
    /// The length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends a chunk.
    pub fn push(&mut self, piece: Bytes) {
        self.length += piece.len() as u64;
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.rest.push_back(piece);
        }
    }

    /// Splits off the first bytes, or all if there are no more than so many. Nothing is copied.
    pub(crate) fn split_to(&mut self, length: u64) -> Chunks {
        let mut split = Chunks::default();
        while split.length < length && self.length > 0 {
            let missing = usize::try_from(length - split.length).unwrap_or(usize::MAX).min(self.first.len());
            split.push(self.first.slice(..missing));
            self.advance(missing);
        }
        split
    }

    /// The chunks in order.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> + Send {
        std::iter::once(&self.first).chain(&self.rest).filter(|piece| !piece.is_empty())
    }

    /// All bytes contiguously; copies if there are several chunks.
    pub fn joined(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut all = Vec::with_capacity(self.length as usize);
        self.pieces().for_each(|piece| all.extend_from_slice(piece));
        all.into()
    }
}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count as u64 <= self.length, "there is less to drop");
        self.length -= count as u64;
        while count >= self.first.len() && count > 0 {
            count -= self.first.len();
            self.first = self.rest.pop_front().unwrap_or_default();
        }
        self.first.advance(count);
    }
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks").field("length", &self.length).finish_non_exhaustive()
    }
}

impl From<Bytes> for Chunks {
    fn from(bytes: Bytes) -> Self {
        Chunks { length: bytes.len() as u64, first: bytes, rest: VecDeque::new() }
    }
}

impl FromIterator<Bytes> for Chunks {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut chunks = Chunks::default();
        pieces.into_iter().for_each(|piece| chunks.push(piece));
        chunks
    }
}

impl From<Vec<Bytes>> for Chunks {
    fn from(pieces: Vec<Bytes>) -> Self {
        pieces.into_iter().collect()
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => {
        $(
            impl From<$type> for Chunks {
                fn from(bytes: $type) -> Self {
                    Bytes::from(bytes).into()
                }
            }
        )*
    };
}

from_bytes!(Vec<u8>, Box<[u8]>, &'static [u8], &'static str, String);

impl From<Arc<[u8]>> for Chunks {
    fn from(bytes: Arc<[u8]>) -> Self {
        Bytes::from_owner(bytes).into()
    }
}

impl From<BytesMut> for Chunks {
    fn from(bytes: BytesMut) -> Self {
        bytes.freeze().into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Chunks {
    fn from(bytes: &'static [u8; N]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stay_separate_until_joined() {
        let pieces: Vec<Bytes> = ["", "ab", "", "c"].map(Bytes::from).into();
        let chunks = Chunks::from(pieces);
        assert_eq!((chunks.length(), chunks.pieces().count()), (3, 2));
        assert_eq!(chunks.joined(), "abc");
        assert_eq!(Chunks::from("abc").joined(), "abc");
        assert_eq!(Chunks::default().pieces().count(), 0);
        let mut left = chunks;
        for (count, joined) in [(0, "abc"), (1, "bc"), (1, "c"), (1, ""), (0, "")] {
            left.advance(count);
            assert_eq!((left.joined(), left.length()), (joined.into(), joined.len() as u64));
        }
        let mut left = Chunks::from(["ab", "c", "de"].map(Bytes::from).to_vec());
        left.advance(4);
        assert_eq!(left.joined(), "e");
        assert_eq!(Body::from(vec![1, 2]).length(), 2);
    }

    #[test]
    fn chunks_are_split_at_any_byte() {
        let whole = ["abc", "d", "efgh"].map(Bytes::from);
        for length in 0..=9 {
            let mut rest: Chunks = whole.iter().cloned().collect();
            let split = rest.split_to(length);
            assert_eq!(split.length(), length.min(8));
            assert_eq!(rest.length(), 8 - split.length());
            assert_eq!([split.joined(), rest.joined()].concat(), b"abcdefgh");
        }
    }

    #[test]
    fn owned_and_shared_bytes_are_not_copied() {
        let place = |body: &Body| match &body.0 {
            Kind::Here(chunks) => chunks.chunk().as_ptr(),
            Kind::Stream(..) => std::ptr::null(),
        };
        // Also of a vector with spare capacity.
        let mut bytes = Vec::with_capacity(100);
        bytes.extend_from_slice(b"abc");
        let at = bytes.as_ptr();
        assert_eq!(place(&Body::from(bytes)), at);
        let shared: Arc<[u8]> = Arc::from(&b"abc"[..]);
        assert_eq!(place(&Body::from(shared.clone())), shared.as_ptr());
        assert_eq!(place(&Body::from_owner(shared.clone())), shared.as_ptr());
        let fixed: &'static [u8] = b"abc";
        assert_eq!(place(&Body::from(fixed)), fixed.as_ptr());
        assert_eq!(Body::copy_from_slice(&[1, 2, 3]).length(), 3);
    }
}
