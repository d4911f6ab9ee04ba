//! What the library does with text by much more code: the plugin is to stay small.

/// Where `what`, which is short, first is in the text.
pub fn find(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|window| window == what.as_bytes())
}

/// Whether it is in the text.
pub fn contains(text: &str, what: &str) -> bool {
    find(text, what).is_some()
}

/// The pieces in a row, and this between them.
pub fn join(pieces: &[&str], between: &str) -> String {
    let mut text = String::with_capacity(pieces.iter().map(|piece| piece.len() + between.len()).sum());
    for (n, piece) in pieces.iter().enumerate() {
        if n > 0 {
            text.push_str(between);
        }
        text.push_str(piece);
    }
    text
}

/// Where this byte first is: eight bytes are looked at in one go, as each header is searched through.
pub fn find_byte(bytes: &[u8], wanted: u8) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let pattern = LOW * u64::from(wanted);
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let differing = u64::from_le_bytes(*word) ^ pattern;
        // The lowest bit that is left over is that of the first byte that does not differ.
        let same = differing.wrapping_sub(LOW) & !differing & HIGH;
        if same != 0 {
            return Some(8 * n + (same.trailing_zeros() / 8) as usize);
        }
    }
    let before = bytes.len() - rest.len();
    rest.iter().position(|&byte| byte == wanted).map(|place| before + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_same_as_the_library_has_it(text in "[ab=?é]{0,12}", what in "[ab=?é]{1,3}", between in "[,é]{0,2}") {
            proptest::prop_assert_eq!(find(&text, &what), text.find(&what));
            proptest::prop_assert_eq!(contains(&text, &what), text.contains(&what));
            let pieces: Vec<&str> = text.split('a').collect();
            proptest::prop_assert_eq!(join(&pieces, &between), pieces.join(&between));
        }

        #[test]
        fn a_byte_is_found_where_it_first_is(bytes in proptest::collection::vec(proptest::sample::select(&[0, 1, 9, 10, 11, 58, 138, 255][..]), 0..40)) {
            for wanted in [0, 1, 10, 58, 138, 255] {
                proptest::prop_assert_eq!(find_byte(&bytes, wanted), bytes.iter().position(|&byte| byte == wanted));
            }
        }
    }
}
