//! Sixteen messages side by side by AVX-512, each in a lane of its own.

// Closures of iterators do not inherit the target features, so that the compiler does not inline the intrinsics into them.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::{Block, ROUNDS, State};

const LANES: usize = 16;

/// Proof that this CPU has AVX-512F and AVX-512BW.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The token, if this CPU has the features.
    pub(crate) fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        has_all.then_some(Avx512(()))
    }

    /// Compresses as many blocks into each state as all messages have.
    pub(crate) fn compress(self, states: &mut [State; LANES], blocks: [&[Block]; LANES]) {
        // SAFETY: `detect`, which alone makes a token, found every feature that `rounds` enables.
        unsafe { rounds(states, blocks) }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn rounds(states: &mut [State; LANES], blocks: [&[Block]; LANES]) {
    let mut state = transposed(states);
    let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or_default();
    for at in 0..count {
        let mut words = words(&blocks, at);
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for sixteen in ROUNDS.as_chunks::<LANES>().0 {
            if sixteen[0] != ROUNDS[0] {
                extend(&mut words);
            }
            for n in 0..LANES {
                let added = _mm512_add_epi32(words[n], _mm512_set1_epi32(sixteen[n].cast_signed()));
                let chosen = _mm512_ternarylogic_epi32(e, f, g, CHOICE);
                let sum1 = xor(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11), _mm512_ror_epi32(e, 25));
                let one = _mm512_add_epi32(_mm512_add_epi32(h, sum1), _mm512_add_epi32(chosen, added));
                let sum0 = xor(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13), _mm512_ror_epi32(a, 22));
                let two = _mm512_add_epi32(sum0, _mm512_ternarylogic_epi32(a, b, c, MAJORITY));
                (h, g, f, e) = (g, f, e, _mm512_add_epi32(d, one));
                (d, c, b, a) = (c, b, a, _mm512_add_epi32(one, two));
            }
        }
        let changed = [a, b, c, d, e, f, g, h];
        for n in 0..changed.len() {
            state[n] = _mm512_add_epi32(state[n], changed[n]);
        }
    }
    for (n, words) in state.into_iter().enumerate() {
        let mut stored = [0; LANES];
        // SAFETY: writes the sixteen words of the array; an unaligned store needs no alignment.
        unsafe { _mm512_storeu_si512(stored.as_mut_ptr().cast(), words) };
        states.iter_mut().zip(stored).for_each(|(state, word)| state[n] = word);
    }
}

/// Truth tables of three bits for `ternarylogic`: FIPS 180-4's Ch and Maj, and exclusive or.
const CHOICE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;
const PARITY: i32 = 0x96;

#[target_feature(enable = "avx512f")]
fn xor(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32(a, b, c, PARITY)
}

/// Replaces sixteen words of the message schedule by the next sixteen.
#[target_feature(enable = "avx512f")]
fn extend(words: &mut [__m512i; LANES]) {
    for n in 0..LANES {
        let (early, late) = (words[(n + 1) % LANES], words[(n + 14) % LANES]);
        let early = xor(_mm512_ror_epi32(early, 7), _mm512_ror_epi32(early, 18), _mm512_srli_epi32(early, 3));
        let late = xor(_mm512_ror_epi32(late, 17), _mm512_ror_epi32(late, 19), _mm512_srli_epi32(late, 10));
        let sum = _mm512_add_epi32(_mm512_add_epi32(words[n], early), _mm512_add_epi32(words[(n + 9) % LANES], late));
        words[n] = sum;
    }
}

/// Transposes the states: the first words of all, the second words, and so on.
#[target_feature(enable = "avx512f")]
fn transposed(states: &[State; LANES]) -> [__m512i; 8] {
    let mut state = [_mm512_setzero_si512(); 8];
    for (n, words) in state.iter_mut().enumerate() {
        let nth = states.map(|state| state[n]);
        // SAFETY: reads the sixteen words of the array; an unaligned load needs no alignment.
        *words = unsafe { _mm512_loadu_si512(nth.as_ptr().cast()) };
    }
    state
}

/// The big-endian words of a block of each lane, transposed: the first words of all, the second words, and so on.
#[target_feature(enable = "avx512f,avx512bw")]
fn words(blocks: &[&[Block]; LANES], at: usize) -> [__m512i; LANES] {
    let order = _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    let mut rows = [_mm512_setzero_si512(); LANES];
    for n in 0..LANES {
        let block: &Block = &blocks[n][at];
        // SAFETY: reads the 64 bytes of the block; an unaligned load needs no alignment.
        let read = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        rows[n] = _mm512_shuffle_epi8(read, order);
    }
    // Transposes four by four words first, within a quarter of each row, then the quarters.
    let mut quarters = rows;
    for n in [0, 4, 8, 12] {
        let [a, b, c, d] = [rows[n], rows[n + 1], rows[n + 2], rows[n + 3]];
        let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (low_after, high_after) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        quarters[n] = _mm512_unpacklo_epi64(low, low_after);
        quarters[n + 1] = _mm512_unpackhi_epi64(low, low_after);
        quarters[n + 2] = _mm512_unpacklo_epi64(high, high_after);
        quarters[n + 3] = _mm512_unpackhi_epi64(high, high_after);
    }
    let mut words = quarters;
    for n in 0..4 {
        let [a, b, c, d] = [quarters[n], quarters[4 + n], quarters[8 + n], quarters[12 + n]];
        let (even, even_after) = (_mm512_shuffle_i32x4(a, b, EVEN), _mm512_shuffle_i32x4(c, d, EVEN));
        let (odd, odd_after) = (_mm512_shuffle_i32x4(a, b, ODD), _mm512_shuffle_i32x4(c, d, ODD));
        words[n] = _mm512_shuffle_i32x4(even, even_after, EVEN);
        words[4 + n] = _mm512_shuffle_i32x4(odd, odd_after, EVEN);
        words[8 + n] = _mm512_shuffle_i32x4(even, even_after, ODD);
        words[12 + n] = _mm512_shuffle_i32x4(odd, odd_after, ODD);
    }
    words
}

/// Selects the first and third quarter of two rows; the second and fourth.
const EVEN: i32 = 0b_10_00_10_00;
const ODD: i32 = 0b_11_01_11_01;
