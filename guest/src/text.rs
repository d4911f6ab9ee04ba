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
    }
}
