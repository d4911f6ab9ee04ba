//! Buffers of a request's body that record how much of them was sent.
//!
//! They replace the counting of pieces as hyper asks for them, as with `http_body_util::StreamBody`. A body was cut into pieces for
//! that, and over TLS the memmove of rustls then took up to half of the CPU time: put of 1 MiB and more took up to twice the CPU time of
//! object_store. In one buffer, an upload over HTTP also takes a third of the writes and 15 % less CPU time, and timeouts and progress
//! see every write.
//!
//! They rely on hyper to call [`Buf::advance`] as it writes to the stream, not when it takes the buffer, which it does for streams with
//! vectored writes (`body_advances_as_its_bytes_are_written` in `pool/tests/hyper_behaviour.rs`).

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Buf;

use super::Progress;
use super::timeouts::RequestProgress;
use crate::types::body::Chunks;

/// Bytes for the connection, which advances them as it writes them.
///
/// They hold all bytes that are available: hyper writes each frame to its end before the next, and the next would begin a TLS record at
/// its own first byte. Large buffers begin at a page, and so do the records that they are copied into, but for their header: copying to
/// just above the source's offset in the page takes some processors more than ten times as long.
pub(super) struct TrackedBuf {
    chunks: Chunks,
    /// Whether they are the end of the body.
    last: bool,
    watch: Arc<RequestProgress>,
    progress: Option<Progress>,
    /// Bytes of the body sent so far.
    sent: u64,
}

impl TrackedBuf {
    pub(super) fn new(
        chunks: Chunks,
        last: bool,
        watch: Arc<RequestProgress>,
        progress: Option<Progress>,
        sent: u64,
    ) -> TrackedBuf {
        TrackedBuf { chunks, last, watch, progress, sent }
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
        self.sent += count as u64;
        self.watch.moved(self.last && !self.has_remaining());
        if let Some(progress) = &self.progress {
            progress(self.sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use bytes::Bytes;

    use super::*;

    #[test]
    fn advancing_reports_progress_and_the_last_byte_ends_the_body() {
        let (watch, reported) = (RequestProgress::new(false, None), Arc::new(AtomicU64::new(0)));
        let progress: Progress = {
            let reported = reported.clone();
            Arc::new(move |sent| reported.store(sent, Relaxed))
        };
        let departing = |last, sent| {
            let chunks = ["ab", "c"].map(Bytes::from).into_iter().collect();
            TrackedBuf::new(chunks, last, watch.clone(), Some(progress.clone()), sent)
        };
        let mut first = departing(false, 0);
        let mut slices = [IoSlice::new(&[]); 3];
        assert_eq!(first.chunks_vectored(&mut slices), 2);
        assert_eq!(slices.map(|slice| slice.to_vec()), [&b"ab"[..], b"c", b""]);
        assert_eq!(first.chunks_vectored(&mut [IoSlice::new(&[])]), 1);
        first.advance(1);
        assert_eq!((first.chunk(), first.remaining(), reported.load(Relaxed)), (&b"b"[..], 2, 1));
        first.advance(2);
        assert_eq!((first.chunk(), reported.load(Relaxed), watch.is_sent()), (&b""[..], 3, false));
        let mut last = departing(true, 3);
        last.advance(2);
        assert_eq!((reported.load(Relaxed), watch.is_sent()), (5, false));
        last.advance(1);
        assert_eq!((reported.load(Relaxed), watch.is_sent()), (6, true));
    }
}
