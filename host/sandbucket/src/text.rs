//! Escaping of text from outside (a service, a plugin, a key) for display on a terminal or in a log.
//!
//! Not part of the API: used by the command and by the validation of plugin results.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal or a viewer may interpret or hide this character instead of displaying it: control characters (C0,
/// DEL, C1), line and paragraph separators, and Unicode format characters: bidirectional controls (U+061C, U+200E/F,
/// U+202A-202E, U+2066-2069), zero-width ones (U+200B-200D, U+2060-2065, U+FEFF), the soft hyphen, interlinear annotations
/// and tags (U+E0000-E007F).
///
/// Zero-width joiners are part of the spelling of some scripts and of composed emoji. They are included, because two keys
/// must not look alike, and everybody can read an escape.
pub fn is_unsafe_for_display(c: char) -> bool {
    // The first test decides for ASCII, the common case.
    c.is_control()
        || (c > '\u{a0}'
            && matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'))
}

/// Escapes [unsafe](is_unsafe_for_display) characters like Rust, on one line: `\n`, `\u{202e}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |out, c| out.extend(c.escape_default()))
}

/// Escapes [unsafe](is_unsafe_for_display) characters of JSON as `\u202e`: the values stay the same, and a terminal can
/// display it. Such characters occur only inside strings, except for the line breaks between lines, which stay.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    replaced(json, |out, c| match c {
        '\n' => out.push(c),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    })
}

fn replaced(text: &str, put: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some(first) = text.find(is_unsafe_for_display) else { return Cow::Borrowed(text) };
    let (safe, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(safe);
    for c in rest.chars() {
        if is_unsafe_for_display(c) { put(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Escapes unsafe characters, on one line, and truncates to about `max` bytes.
pub(crate) fn sanitize(text: &str, max: usize) -> String {
    let mut safe = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        if safe.len() >= max {
            safe.push('…');
            break;
        }
        if is_unsafe_for_display(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Like [`sanitize`], without a copy if nothing changes.
pub(crate) fn sanitized(text: String, max: usize) -> String {
    if text.len() <= max && !text.chars().any(is_unsafe_for_display) { text } else { sanitize(&text, max) }
}

/// How much of a name or a path errors show, in characters.
const SHOWN: usize = 200;

/// A name or a path as errors show it: its beginning, with control characters escaped.
pub(crate) fn shown(name: &str) -> String {
    sanitize(name, SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_truncated() {
        assert_eq!(sanitize("abcdef", 3), "abc…");
        let long = sanitized("\n".repeat(1 << 20), 64);
        assert!(long.len() < 80, "{}", long.len());
        assert_eq!(sanitized("as it is".to_owned(), 64), "as it is");
    }

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        let ranges = [
            ('\u{0}', '\u{1f}'),
            ('\u{7f}', '\u{9f}'),
            ('\u{ad}', '\u{ad}'),
            ('\u{61c}', '\u{61c}'),
            ('\u{200b}', '\u{200f}'),
            ('\u{2028}', '\u{202e}'),
            ('\u{2060}', '\u{206f}'),
            ('\u{feff}', '\u{feff}'),
            ('\u{e0000}', '\u{e007f}'),
        ];
        for (first, last) in ranges {
            for c in first..=last {
                let text = format!("a{c}b");
                let shown = escaped(&text);
                assert!(shown.starts_with("a\\") && shown.ends_with('b'), "{shown}");
                assert!(!shown.contains(is_unsafe_for_display), "{c:?}");
            }
        }
        assert_eq!(escaped("a\u{202e}b\n\u{1b}[2J"), "a\\u{202e}b\\n\\u{1b}[2J");
    }

    #[test]
    fn visible_text_is_borrowed_unchanged() {
        for text in ["", "plain", "é ü ß", "日本語", "🪣", "\u{a0}", "שלום", "مرحبا", "❤\u{fe0f}", "\\u{202e}"]
        {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn json_values_are_equal_with_and_without_escapes() {
        let text = "[\n  \"a\u{202e}\u{7f}\u{9b}\u{e0041}\"\n]";
        let shown = escaped_json(text);
        assert_eq!(shown, "[\n  \"a\\u202e\\u007f\\u009b\\udb40\\udc41\"\n]");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
    }
}
