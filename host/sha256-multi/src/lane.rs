//! One message: its state, what is left of it, and the blocks that lie in no piece as a whole.

use bytes::Buf;

use super::{BLOCK, Block, Digest, State};

/// The state before the first block.
#[rustfmt::skip]
const INITIAL: State =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// A message that is being hashed.
pub(super) struct Lane<B> {
    pub(super) state: State,
    /// Bytes taken from `rest` so far.
    length: u64,
    /// The part of the message that is in no block yet.
    rest: B,
    /// Blocks put together from several pieces, and the last ones, which carry the padding and the length. Those before
    /// `begin` are compressed.
    buffered: [Block; 2],
    begin: usize,
    end: usize,
    /// Whether `buffered` has the end of the message.
    is_padded: bool,
}

impl<B: Buf> Lane<B> {
    pub(super) fn new(message: B) -> Self {
        let buffered = [[0; BLOCK]; 2];
        Lane { state: INITIAL, length: 0, rest: message, buffered, begin: 0, end: 0, is_padded: false }
    }

    /// Makes at least one block available, unless the message is finished.
    pub(super) fn prepare(&mut self) {
        if self.begin < self.end || self.rest.chunk().len() >= BLOCK || self.is_padded {
            return;
        }
        (self.begin, self.end, self.buffered) = (0, 1, [[0; BLOCK]; 2]);
        let mut filled = 0;
        while filled < BLOCK && !self.rest.chunk().is_empty() {
            let piece = self.rest.chunk();
            let count = piece.len().min(BLOCK - filled);
            self.buffered[0][filled..][..count].copy_from_slice(&piece[..count]);
            self.consume(count);
            filled += count;
        }
        if filled < BLOCK {
            self.pad(filled);
        }
    }

    /// Completes the last blocks, of which the first has this many bytes of the message.
    fn pad(&mut self, filled: usize) {
        const LENGTH: usize = size_of::<u64>();
        self.buffered[0][filled] = 0x80;
        self.end = if filled + 1 + LENGTH > BLOCK { 2 } else { 1 };
        let bits = self.length.wrapping_mul(8);
        self.buffered[self.end - 1][BLOCK - LENGTH..].copy_from_slice(&bits.to_be_bytes());
        self.is_padded = true;
    }

    fn consume(&mut self, count: usize) {
        self.rest.advance(count);
        self.length += count as u64;
    }

    /// The blocks that can be compressed now.
    pub(super) fn blocks(&self) -> &[Block] {
        if self.begin < self.end { &self.buffered[self.begin..self.end] } else { self.rest.chunk().as_chunks().0 }
    }

    /// Drops this many of the blocks, which are compressed.
    pub(super) fn skip(&mut self, blocks: usize) {
        if self.begin < self.end {
            self.begin += blocks;
        } else {
            self.consume(blocks * BLOCK);
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_padded && self.begin == self.end
    }

    pub(super) fn digest(&self) -> Digest {
        let mut digest = [0; 32];
        digest.as_chunks_mut().0.iter_mut().zip(self.state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
        digest
    }
}
