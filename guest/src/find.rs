//! Text in text. The standard library's search is made for long texts, and takes more room in the plugin than all that it
//! is used for here.

/// Where this first is in the text.
pub fn find(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len().max(1)).position(|window| window == what.as_bytes())
}

/// Whether it is in the text.
pub fn contains(text: &str, what: &str) -> bool {
    find(text, what).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_where_it_first_is() {
        for (text, what, at) in [
            ("abcabc", "bc", Some(1)),
            ("aab", "ab", Some(1)),
            ("é=?", "=?", Some(2)),
            ("a", "ab", None),
            ("", "a", None),
        ] {
            assert_eq!((find(text, what), contains(text, what)), (at, at.is_some()), "{text} {what}");
        }
    }
}
