//! Percent-encoding of paths and queries, by the crate percent-encoding: all bytes but `A-Z a-z 0-9 - . _ ~` become `%XX`, in upper case.
//!
//! Services decode the path and encode it again by the same rule before they verify the signature, so no other encoding is valid
//! everywhere. `.`, `..` and empty segments are therefore sent unchanged: services that encode again reject the signature of a dot
//! encoded as `%2E`. A driver must not normalize the path; hyper and the crate http do not.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters encoded in names and values of a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Characters encoded in a path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Encodes a key for a path. Slashes stay.
pub fn key_path(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    push_key_path(&mut path, key);
    path
}

/// Appends a key, encoded for a path.
#[inline]
pub fn push_key_path(path: &mut String, key: &str) {
    push(path, key, PATH);
}

/// Encodes a name or a value for a query.
pub fn query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push(&mut out, text, QUERY);
    out
}

#[inline]
fn push(out: &mut String, text: &str, set: &'static AsciiSet) {
    for piece in utf8_percent_encode(text, set) {
        out.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_encoding_keeps_unreserved_characters_and_slashes() {
        let kept = "azAZ09-._~/";
        assert_eq!(key_path(kept), kept);
        assert_eq!(key_path("a b+c%2F&=?#:@!$'()*,;"), "a%20b%2Bc%252F%26%3D%3F%23%3A%40%21%24%27%28%29%2A%2C%3B");
        assert_eq!(key_path("é🪣\u{0}\u{1f}\u{7f}\\"), "%C3%A9%F0%9F%AA%A3%00%1F%7F%5C");
    }

    #[test]
    fn dot_segments_and_empty_segments_stay_unchanged() {
        for key in [".", "..", "a/../b", "./a", "//a//", "/"] {
            assert_eq!(key_path(key), key);
        }
    }

    #[test]
    fn query_encoding_encodes_slashes() {
        assert_eq!(query("a/b c~d"), "a%2Fb%20c~d");
    }

    proptest::proptest! {
        #[test]
        fn encoded_text_decodes_to_the_original(text in ".*") {
            let decode = |encoded: &str| percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned();
            proptest::prop_assert_eq!(decode(&key_path(&text)), text.clone());
            proptest::prop_assert_eq!(decode(&query(&text)), text);
        }
    }
}
