//! Comparing bytes: the target's own function for it looks at one after the other, and takes as long as all else that
//! is done with a header.

use std::cmp::Ordering;

/// The order of two stretches of bytes of the same length.
#[inline(always)]
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    if let (Some(one_end), Some(other_end)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        for (one, other) in one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0) {
            let (one, other) = (word(*one), word(*other));
            if one != other {
                return one.cmp(&other);
            }
        }
        // What was looked at already does not differ.
        return word(*one_end).cmp(&word(*other_end));
    }
    for (one, other) in one.iter().zip(other) {
        if one != other {
            return one.cmp(other);
        }
    }
    Ordering::Equal
}

/// A word that is less where the first byte to differ is less.
#[inline(always)]
fn word(bytes: [u8; 8]) -> u64 {
    u64::from_be_bytes(bytes)
}

/// What all comparisons of strings and slices come to.
///
/// # Safety
/// As C has it: both have so many bytes.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    // SAFETY: the caller says so.
    let (one, other) = unsafe { (std::slice::from_raw_parts(one, length), std::slice::from_raw_parts(other, length)) };
    compare(one, other) as i32
}

#[cfg(test)]
mod tests {
    use super::compare;

    proptest::proptest! {
        #[test]
        fn the_same_as_the_library_has_it(bytes in proptest::collection::vec(0..3_u8, 0..40), at in 0..40_usize, by in 0..=255_u8) {
            let mut other = bytes.clone();
            proptest::prop_assert_eq!(compare(&bytes, &other), std::cmp::Ordering::Equal);
            if let Some(byte) = other.get_mut(at) {
                *byte = by;
            }
            proptest::prop_assert_eq!(compare(&bytes, &other), bytes.cmp(&other));
        }
    }
}
