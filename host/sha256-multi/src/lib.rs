//! SHA-256 (FIPS 180-4) of several messages at once.
//!
//! Each step of a SHA-256 waits for the one before, which leaves most of the CPU idle; steps of other messages do not wait.
//! [`MultiSha256`] hashes two messages side by side with SHA instructions and sixteen with AVX-512, whichever is faster for
//! the messages at hand. Elsewhere, and for a message that is alone, it uses the [`sha2`] crate.
//! [`is_faster`] says whether this CPU gains anything.
//!
//! A message is any [`Buf`]: one slice or a rope of them, which are hashed without a copy. The hasher works in slices of
//! about a third of a millisecond, so that a caller can add messages, drop them and yield in between.
//!
//! ```
//! use sha256_multi::MultiSha256;
//!
//! let mut hasher = MultiSha256::new();
//! for (id, message) in ["", "abc"].into_iter().enumerate() {
//!     hasher.push(id, message.as_bytes());
//! }
//! let mut digests = [[0; 32]; 2];
//! while !hasher.is_empty() {
//!     hasher.advance(|_| true, |id, digest| digests[id] = digest);
//! }
//! assert_eq!(digests[1][..4], [0xba, 0x78, 0x16, 0xbf]);
//! ```
//!
//! All `unsafe` is in the modules `sha_ni` and `avx512`: calls of functions with `#[target_feature]`, which take a token that
//! only the detection of the features makes, and unaligned loads and stores.

#![warn(missing_docs, unreachable_pub)]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(target_arch = "x86_64")]
mod avx512;
mod lane;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
#[cfg(test)]
mod tests;

use bytes::Buf;

use lane::Lane;

/// Bytes that SHA-256 compresses at a time.
const BLOCK: usize = 64;

type Block = [u8; BLOCK];
type State = [u32; 8];

/// A SHA-256.
pub type Digest = [u8; 32];

/// Blocks compressed in one call of [`MultiSha256::advance`]: about a third of a millisecond.
const BLOCKS_PER_CALL: usize = (512 << 10) / BLOCK;

/// Whether this CPU hashes several messages in less time together than one after the other.
pub fn is_faster() -> bool {
    Backend::detect().is_parallel()
}

/// A hasher of several messages, each with an identifier of the caller's.
pub struct MultiSha256<T, B> {
    backend: Backend,
    lanes: Vec<(T, Lane<B>)>,
}

impl<T, B: Buf> MultiSha256<T, B> {
    /// Returns a hasher without messages, for the instructions that this CPU has.
    pub fn new() -> Self {
        MultiSha256 { backend: Backend::detect(), lanes: Vec::new() }
    }

    /// Adds a message. It may be added while others are partly hashed.
    pub fn push(&mut self, id: T, message: B) {
        self.lanes.push((id, Lane::new(message)));
    }

    /// The number of messages that are not finished.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether every message is finished.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Drops the messages for which `keep` returns false, hashes the others for about a third of a millisecond, and passes
    /// each digest that is finished to `done`.
    pub fn advance(&mut self, keep: impl Fn(&T) -> bool, mut done: impl FnMut(T, Digest)) {
        self.lanes.retain(|(id, _)| keep(id));
        let mut blocks_left = BLOCKS_PER_CALL;
        while blocks_left > 0 && !self.lanes.is_empty() {
            blocks_left = blocks_left.saturating_sub(self.backend.step(&mut self.lanes));
            for (id, lane) in self.lanes.extract_if(.., |(_, lane)| lane.is_finished()) {
                done(id, lane.digest());
            }
        }
    }
}

impl<T, B: Buf> Default for MultiSha256<T, B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, B> std::fmt::Debug for MultiSha256<T, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MultiSha256")
            .field("backend", &self.backend)
            .field("messages", &self.lanes.len())
            .finish_non_exhaustive()
    }
}

/// The instructions to hash with.
#[derive(Clone, Copy, Debug)]
struct Backend {
    /// AVX-512, and the number of messages from which on it is used: sixteen lanes take the same time however few are in use.
    #[cfg(target_arch = "x86_64")]
    avx512: Option<(avx512::Avx512, usize)>,
    #[cfg(target_arch = "x86_64")]
    sha_ni: Option<sha_ni::ShaNi>,
}

impl Backend {
    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        let sha_ni = sha_ni::ShaNi::detect();
        let from = if sha_ni.is_some() { 10 } else { 2 };
        Backend { avx512: avx512::Avx512::detect().map(|token| (token, from)), sha_ni }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Backend {}
    }

    /// Whether it hashes more than one message at a time.
    fn is_parallel(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.avx512.is_some() || self.sha_ni.is_some();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Compresses the blocks that the first messages have in common, and returns how many those were.
    fn step<T, B: Buf>(self, lanes: &mut [(T, Lane<B>)]) -> usize {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some((avx512, from)) = self.avx512
                && lanes.len() >= from
            {
                return compress_first(lanes, |states, blocks| avx512.compress(states, blocks));
            }
            if let Some(sha_ni) = self.sha_ni
                && lanes.len() > 1
            {
                return compress_first(lanes, |states, blocks| sha_ni.compress(states, blocks));
            }
        }
        compress_first(lanes, |[state], [blocks]| sha2::block_api::compress256(state, blocks))
    }
}

/// Compresses blocks of the first `N` messages. Where there are fewer, the last one is compressed several times.
fn compress_first<T, B: Buf, const N: usize>(
    lanes: &mut [(T, Lane<B>)],
    compress: impl FnOnce(&mut [State; N], [&[Block]; N]),
) -> usize {
    let count = lanes.len().min(N);
    let lanes = &mut lanes[..count];
    lanes.iter_mut().for_each(|(_, lane)| lane.prepare());
    let available = lanes.iter().map(|(_, lane)| lane.blocks().len()).min().unwrap_or_default();
    let blocks = available.min(BLOCKS_PER_CALL / count);
    let nth = |n: usize| &lanes[n.min(count - 1)].1;
    let mut states = std::array::from_fn(|n| nth(n).state);
    compress(&mut states, std::array::from_fn(|n| &nth(n).blocks()[..blocks]));
    for ((_, lane), state) in lanes.iter_mut().zip(states) {
        lane.state = state;
        lane.skip(blocks);
    }
    blocks * count
}

/// The constants of the 64 rounds.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];
