//! Bytes of a request's body, which say by themselves how far they have got.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Buf;

use super::Progress;
use super::timeouts::RequestProgress;
use crate::types::body::Chunks;

/// Bytes that are handed to the connection, which takes them off as they go out.
///
/// All that are at hand are handed over at once: cut into pieces, each would be written to its end before the next, and
/// the next would begin a TLS record at its own first byte. Large buffers begin where a page does, and so do the
/// records that they are copied into, but for their header: copying to just above where it comes from, within the page,
/// costs some processors more than ten times as much.
pub(super) struct TrackedBuf {
    chunks: Chunks,
    /// Whether nothing comes after them.
    last: bool,
    watch: Arc<RequestProgress>,
    progress: Option<Progress>,
    /// How many bytes of the body went out before what is left here.
    gone: u64,
}

impl TrackedBuf {
    pub(super) fn new(
        chunks: Chunks,
        last: bool,
        watch: Arc<RequestProgress>,
        progress: Option<Progress>,
        gone: u64,
    ) -> TrackedBuf {
        TrackedBuf { chunks, last, watch, progress, gone }
    }
}

impl Buf for TrackedBuf {
    fn remaining(&self) -> usize {
        self.chunks.length() as usize
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.pieces().next().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(self.chunks.pieces());
        filled.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, count: usize) {
        self.chunks.advance(count);
        self.gone += count as u64;
        self.watch.moved(self.last && !self.has_remaining());
        if let Some(told) = &self.progress {
            told(self.gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_goes_out_is_told_and_the_last_of_it_is_the_end() {
        let (watch, told) = (RequestProgress::new(false, None), Arc::new(AtomicU64::new(0)));
        let progress: Progress = {
            let told = told.clone();
            Arc::new(move |gone| told.store(gone, Relaxed))
        };
        let departing = |last, gone| {
            let chunks = ["ab", "c"].map(Bytes::from).into_iter().collect();
            TrackedBuf::new(chunks, last, watch.clone(), Some(progress.clone()), gone)
        };
        let mut first = departing(false, 0);
        let mut slices = [IoSlice::new(&[]); 3];
        assert_eq!(first.chunks_vectored(&mut slices), 2);
        assert_eq!(slices.map(|slice| slice.to_vec()), [&b"ab"[..], b"c", b""]);
        assert_eq!(first.chunks_vectored(&mut [IoSlice::new(&[])]), 1);
        first.advance(1);
        assert_eq!((first.chunk(), first.remaining(), told.load(Relaxed)), (&b"b"[..], 2, 1));
        first.advance(2);
        assert_eq!((first.chunk(), told.load(Relaxed), watch.is_sent()), (&b""[..], 3, false));
        let mut last = departing(true, 3);
        last.advance(2);
        assert_eq!((told.load(Relaxed), watch.is_sent()), (5, false));
        last.advance(1);
        assert_eq!((told.load(Relaxed), watch.is_sent()), (6, true));
    }
}
