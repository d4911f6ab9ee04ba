//! One body's sum: what of it is at hand in whole blocks, and the blocks that have to be put together.

use super::{BLOCK, Block, State, Sum};
use crate::body::Chunks;

/// The state of a sum of nothing.
#[rustfmt::skip]
const INITIAL: State =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// A sum in the making.
pub(super) struct Lane {
    pub(super) state: State,
    /// How many bytes the whole body has.
    length: u64,
    /// What is left of it.
    rest: Chunks,
    /// Blocks that lie in no piece as a whole, and the last, which tell the length. Those before `begin` are done.
    made: [Block; 2],
    begin: usize,
    end: usize,
    /// Whether nothing comes after those.
    last: bool,
}

impl Lane {
    pub(super) fn new(body: Chunks) -> Self {
        let (length, made) = (body.length(), [[0; BLOCK]; 2]);
        Lane { state: INITIAL, length, rest: body, made, begin: 0, end: 0, last: false }
    }

    /// Sees to it that there are blocks at hand, unless it is over.
    pub(super) fn prepare(&mut self) {
        if self.begin < self.end || self.rest.first().len() >= BLOCK || self.last {
            return;
        }
        (self.begin, self.end, self.made) = (0, 1, [[0; BLOCK]; 2]);
        let mut filled = 0;
        while filled < BLOCK && self.rest.length() > 0 {
            let piece = self.rest.first();
            let count = piece.len().min(BLOCK - filled);
            self.made[0][filled..][..count].copy_from_slice(&piece[..count]);
            self.rest.skip(count);
            filled += count;
        }
        if filled < BLOCK {
            self.close(filled);
        }
    }

    /// Makes the last blocks: so many bytes are in the first.
    fn close(&mut self, filled: usize) {
        const LENGTH: usize = size_of::<u64>();
        self.made[0][filled] = 0x80;
        self.end = if filled + 1 + LENGTH > BLOCK { 2 } else { 1 };
        let bits = self.length.wrapping_mul(8);
        self.made[self.end - 1][BLOCK - LENGTH..].copy_from_slice(&bits.to_be_bytes());
        self.last = true;
    }

    pub(super) fn blocks(&self) -> &[Block] {
        if self.begin < self.end { &self.made[self.begin..self.end] } else { self.rest.first().as_chunks().0 }
    }

    /// So many of the blocks at hand are done.
    pub(super) fn skip(&mut self, blocks: usize) {
        if self.begin < self.end {
            self.begin += blocks;
        } else {
            self.rest.skip(blocks * BLOCK);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.last && self.begin == self.end
    }

    pub(super) fn sum(&self) -> Sum {
        let mut sum = [0; 32];
        sum.as_chunks_mut().0.iter_mut().zip(self.state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
        sum
    }
}
