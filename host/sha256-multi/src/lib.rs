//! SHA-256 (FIPS 180-4) of several bodies at once.
//!
//! Each step of a sum waits for the one before, which leaves most of the processor idle; those of another sum do not.
//! With SHA instructions two are made side by side, and sixteen where there is AVX-512. Elsewhere, and for the last one
//! when all others are done, there is the `sha2` crate.

mod lane;
#[cfg(target_arch = "x86_64")]
mod pair;
#[cfg(target_arch = "x86_64")]
mod sixteen;
#[cfg(test)]
mod tests;

use crate::body::Chunks;
use lane::Lane;

/// What a sum is taken of at a time, in bytes.
const BLOCK: usize = 64;

type Block = [u8; BLOCK];
type State = [u32; 8];

/// A sum.
pub(crate) type Sum = [u8; 32];

/// How many blocks are taken in one go: a third of a millisecond's work.
const AT_ONCE: usize = (512 << 10) / BLOCK;

/// Whether several take less than one after the other.
pub(super) fn is_worth_it() -> bool {
    let Means { sixteen, pair } = Means::here();
    pair || sixteen.is_some()
}

/// Sums in the making, each for somebody.
pub(super) struct Sums<T> {
    means: Means,
    lanes: Vec<(T, Lane)>,
}

impl<T> Sums<T> {
    pub(super) fn new() -> Self {
        Sums { means: Means::here(), lanes: Vec::new() }
    }

    pub(super) fn add(&mut self, whose: T, body: Chunks) {
        self.lanes.push((whose, Lane::new(body)));
    }

    /// How many are in the making.
    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Goes on for a moment with those that are still wanted, and gives out what is made.
    pub(super) fn go_on(&mut self, is_wanted: impl Fn(&T) -> bool, mut made: impl FnMut(T, Sum)) {
        self.lanes.retain(|(whose, _)| is_wanted(whose));
        let mut left = AT_ONCE;
        while left > 0 && !self.lanes.is_empty() {
            left = left.saturating_sub(self.means.step(&mut self.lanes));
            for (whose, lane) in self.lanes.extract_if(.., |(_, lane)| lane.is_over()) {
                made(whose, lane.sum());
            }
        }
    }
}

/// What the processor has for it.
#[derive(Clone, Copy, Debug)]
struct Means {
    /// From how many on sixteen are done at a time: that takes as long for fewer.
    sixteen: Option<usize>,
    pair: bool,
}

impl Means {
    #[cfg(target_arch = "x86_64")]
    fn here() -> Means {
        let pair = pair::is_possible();
        let from = if pair { 10 } else { 2 };
        Means { sixteen: sixteen::is_possible().then_some(from), pair }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn here() -> Means {
        Means { sixteen: None, pair: false }
    }

    /// Takes as many sums as can be made together as far as all of them have blocks at hand: how many that were.
    fn step<T>(self, lanes: &mut [(T, Lane)]) -> usize {
        #[cfg(target_arch = "x86_64")]
        {
            if self.sixteen.is_some_and(|from| lanes.len() >= from) {
                return together(lanes, sixteen::compress);
            }
            if self.pair && lanes.len() > 1 {
                return together(lanes, pair::compress);
            }
        }
        together(lanes, |[state], [blocks]| sha2::block_api::compress256(state, blocks))
    }
}

/// Takes the first sums a good way on. Where there are fewer than `N`, the last is made several times.
fn together<T, const N: usize>(
    lanes: &mut [(T, Lane)],
    compress: impl FnOnce(&mut [State; N], [&[Block]; N]),
) -> usize {
    let count = lanes.len().min(N);
    let lanes = &mut lanes[..count];
    lanes.iter_mut().for_each(|(_, lane)| lane.prepare());
    let at_hand = lanes.iter().map(|(_, lane)| lane.blocks().len()).min().unwrap_or_default();
    let blocks = at_hand.min(AT_ONCE / count);
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
