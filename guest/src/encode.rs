//! Percent-encoding as S3 signs it: all but the unreserved characters, with capital digits.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// In a key, slashes stay too.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// A name or a value of a query.
pub fn query(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// A key as a path. The segments `.` and `..` stay as they are: S3 takes and signs them literally, and HTTP/1.1 clients
/// that get a request target, as wasi:http's do, send it as it is.
pub fn key_path(key: &str) -> String {
    utf8_percent_encode(key, PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(query("azAZ09-._~ /+%é"), "azAZ09-._~%20%2F%2B%25%C3%A9");
        assert_eq!(key_path("a b//c/../~+%41\u{1}😀"), "a%20b//c/../~%2B%2541%01%F0%9F%98%80");
    }
}
