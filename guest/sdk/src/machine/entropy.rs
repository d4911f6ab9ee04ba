//! Random numbers that differ between instances, from clocks: the contract gives a plugin no randomness of the host.

use fastrand::Rng;

/// Mixes words into the seed of a generator. Unlike an XOR of them, it does not cancel words that go together: clocks advance at the
/// same pace.
pub(super) fn mix(words: &[u64]) -> u64 {
    words.iter().fold(0, |state, word| Rng::with_seed(state ^ word).u64(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const SECOND: u64 = 1_000_000_000;

    /// The monotonic clock of an instance begins at 0: instances that open a store in the same second differ by a few nanoseconds of
    /// each clock.
    #[test]
    fn seeds_of_instances_that_open_in_the_same_second_differ() {
        let mut seeds = HashSet::new();
        for monotonic in 1_000..1_100 {
            for nanos in (0..SECOND).step_by(10_000_019) {
                assert!(seeds.insert(mix(&[monotonic, 1_700_000_000, nanos])), "{monotonic} {nanos}");
            }
        }
    }

    #[test]
    fn words_do_not_cancel_each_other() {
        assert_ne!(mix(&[5, 5]), mix(&[7, 7]));
        assert_ne!(mix(&[1, 2]), mix(&[2, 1]));
        assert_ne!(mix(&[1]), mix(&[1, 0]));
    }
}
