//! Encoded words (RFC 2047): text that is not ASCII in header fields, as S3 stores it in metadata.

use std::fmt::Write as _;

use base64ct::{Base64, Encoding};

/// Number of bytes in one encoded word, which has at most 75 characters including its delimiters.
const WORD: usize = 45;

/// Encodes a text for a header. ASCII stays unchanged, unless it looks like an encoded word.
pub fn encode(text: &str) -> String {
    if text.is_ascii() && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = (0..=WORD.min(rest.len())).rev().find(|&end| rest.is_char_boundary(end)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let between = if words.is_empty() { "" } else { " " };
        let _ = write!(words, "{between}=?UTF-8?B?{}?=", Base64::encode_string(word.as_bytes()));
        rest = after;
    }
    words
}

/// Decodes the encoded words in a header's value.
pub fn decode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut bytes = Vec::new();
    let mut rest = value;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((length, content)) = read_word(word) else {
            flush(&mut bytes, &mut text);
            text.push_str(before);
            text.push_str("=?");
            rest = &word[2..];
            continue;
        };
        // White space between two encoded words is a separator. Their bytes are joined before decoding: some senders split a
        // character.
        if bytes.is_empty() || !before.trim().is_empty() {
            flush(&mut bytes, &mut text);
            text.push_str(before);
        }
        bytes.extend_from_slice(&content);
        rest = &word[length..];
    }
    flush(&mut bytes, &mut text);
    text.push_str(rest);
    text
}

fn flush(bytes: &mut Vec<u8>, text: &mut String) {
    text.push_str(&String::from_utf8_lossy(bytes));
    bytes.clear();
}

/// Parses an encoded word at the beginning of the text: its length and its content as UTF-8.
fn read_word(text: &str) -> Option<(usize, Vec<u8>)> {
    let mut fields = text.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (fields.next()?, fields.next()?, fields.next()?);
    let content = &rest[..rest.find("?=")?];
    let length = 2 + charset.len() + 1 + encoding.len() + 1 + content.len() + 2;
    let bytes = match encoding {
        "B" | "b" => Base64::decode_vec(content).ok()?,
        "Q" | "q" => quoted(content)?,
        _ => return None,
    };
    // RFC 2231: a language may follow the charset.
    let charset = charset.split('*').next()?.to_ascii_lowercase();
    match charset.as_str() {
        "utf-8" | "utf8" | "us-ascii" => Some((length, bytes)),
        "iso-8859-1" => Some((length, bytes.into_iter().map(char::from).collect::<String>().into_bytes())),
        _ => None,
    }
}

/// Decodes the encoding `Q`: `=XX`, `_` for a space, and plain characters.
fn quoted(content: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'_' => b' ',
            b'=' => {
                let (high, low) = (*rest.first()?, *rest.get(1)?);
                rest = &rest[2..];
                let digit = |byte: u8| char::from(byte).to_digit(16);
                (digit(high)? * 16 + digit(low)?) as u8
            }
            plain => plain,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_of_other_writers_are_decoded() {
        for (value, text) in [
            ("=?UTF-8?Q?Gr=C3=BC=C3=9Fe_an_alle?=", "Grüße an alle"),
            ("=?utf-8?b?R3LDvMOfZQ==?= =?utf-8?q?!?=", "Grüße!"),
            ("=?iso-8859-1?Q?Gr=FC=DFe?=", "Grüße"),
            ("=?utf-8*de?Q?a?= b =?utf-8?Q?c?=", "a b c"),
            ("=?UTF-8?Q?=C3?= =?UTF-8?Q?=BC?=", "ü"),
            ("a =?UTF-8?B?not base64?= b", "a =?UTF-8?B?not base64?= b"),
            ("=?koi8-r?B?AA==?=", "=?koi8-r?B?AA==?="),
            ("=?UTF-8?Q?=G0?=", "=?UTF-8?Q?=G0?="),
            ("=?UTF-8?Q?=4?=", "=?UTF-8?Q?=4?="),
            ("=?=?=?", "=?=?=?"),
            ("plain", "plain"),
        ] {
            assert_eq!(decode(value), text, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn encoded_words_round_trip(text in "\\PC{0,200}") {
            let text = text.trim();
            let words = encode(text);
            proptest::prop_assert!(words.bytes().all(|b| (b' '..=b'~').contains(&b)), "{}", words);
            proptest::prop_assert_eq!(decode(&words), text);
        }

        #[test]
        fn random_text_never_panics(text in "[=?UTFutf8BbQq_ A-F0-9*-]{0,80}|\\PC{0,40}") {
            decode(&text);
        }
    }
}
