//! Two messages side by side by SHA instructions: each instruction takes four cycles, and the next can begin after two.

// Closures of iterators do not inherit the target features, so that the compiler does not inline the intrinsics into them.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::{Block, ROUNDS, State};

/// Proof that this CPU has SHA instructions, SSSE3 and SSE4.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShaNi(());

impl ShaNi {
    /// The token, if this CPU has the features.
    pub(crate) fn detect() -> Option<Self> {
        let has_all =
            is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1");
        has_all.then_some(ShaNi(()))
    }

    /// Compresses as many blocks into each state as both messages have.
    pub(crate) fn compress(self, states: &mut [State; 2], blocks: [&[Block]; 2]) {
        // SAFETY: `detect`, which alone makes a token, found every feature that `rounds` enables.
        unsafe { rounds(states, blocks) }
    }
}

/// A state in the layout of the instructions: words 0, 1, 4, 5 and words 2, 3, 6, 7, the first of them highest.
#[derive(Clone, Copy)]
struct Halves {
    abef: __m128i,
    cdgh: __m128i,
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds(states: &mut [State; 2], blocks: [&[Block]; 2]) {
    let mut halves = [split(&states[0]), split(&states[1])];
    let [first, second] = blocks;
    for n in 0..first.len().min(second.len()) {
        let before = halves;
        let mut words = [words(&first[n]), words(&second[n])];
        // Unrolled, so that the words stay in registers.
        macro_rules! four_rounds {
            ($($step:literal)*) => {
                $(
                    let constants = load(&ROUNDS, 4 * $step);
                    for n in 0..2 {
                        let (halves, words) = (&mut halves[n], &mut words[n]);
                        if $step >= 4 {
                            words[$step % 4] = next(words[$step % 4], words[($step + 1) % 4],
                                words[($step + 2) % 4], words[($step + 3) % 4]);
                        }
                        let sums = _mm_add_epi32(words[$step % 4], constants);
                        halves.cdgh = _mm_sha256rnds2_epu32(halves.cdgh, halves.abef, sums);
                        let sums = _mm_shuffle_epi32(sums, 0b_00_00_11_10);
                        halves.abef = _mm_sha256rnds2_epu32(halves.abef, halves.cdgh, sums);
                    }
                )*
            };
        }
        four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for n in 0..2 {
            halves[n].abef = _mm_add_epi32(halves[n].abef, before[n].abef);
            halves[n].cdgh = _mm_add_epi32(halves[n].cdgh, before[n].cdgh);
        }
    }
    *states = [join(halves[0]), join(halves[1])];
}

/// The next four words of the message schedule, from the sixteen before.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next(a: __m128i, b: __m128i, c: __m128i, d: __m128i) -> __m128i {
    let begun = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
    _mm_sha256msg2_epu32(begun, d)
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn split(state: &State) -> Halves {
    let badc = _mm_shuffle_epi32(load(state, 0), 0b_10_11_00_01);
    let hgfe = _mm_shuffle_epi32(load(state, 4), 0b_00_01_10_11);
    Halves { abef: _mm_alignr_epi8(badc, hgfe, 8), cdgh: _mm_blend_epi16(hgfe, badc, 0b_1111_0000) }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn join(halves: Halves) -> State {
    let feba = _mm_shuffle_epi32(halves.abef, 0b_00_01_10_11);
    let dchg = _mm_shuffle_epi32(halves.cdgh, 0b_10_11_00_01);
    let (mut state, low) = ([0; 8], _mm_blend_epi16(feba, dchg, 0b_1111_0000));
    let high = _mm_alignr_epi8(dchg, feba, 8);
    // SAFETY: the two vectors have eight words, as the state has; unaligned stores need no alignment.
    unsafe {
        _mm_storeu_si128(state.as_mut_ptr().cast(), low);
        _mm_storeu_si128(state.as_mut_ptr().add(4).cast(), high);
    }
    state
}

/// Loads four words, from index `from` on.
#[target_feature(enable = "sse2")]
fn load(words: &[u32], from: usize) -> __m128i {
    let four = &words[from..from + 4];
    // SAFETY: reads the four words of the slice; an unaligned load needs no alignment.
    unsafe { _mm_loadu_si128(four.as_ptr().cast()) }
}

/// The big-endian words of a block.
#[target_feature(enable = "ssse3")]
fn words(block: &Block) -> [__m128i; 4] {
    let order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let mut words = [_mm_setzero_si128(); 4];
    for n in 0..4 {
        let sixteen = &block[16 * n..][..16];
        // SAFETY: reads the sixteen bytes of the slice; an unaligned load needs no alignment.
        let read = unsafe { _mm_loadu_si128(sixteen.as_ptr().cast()) };
        words[n] = _mm_shuffle_epi8(read, order);
    }
    words
}
