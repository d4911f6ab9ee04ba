//! Text from outside, made safe to show: in errors, logs and terminals.

/// Whether a character must not reach a log or a terminal as it is: control characters, which forge lines and move the
/// cursor, and invisible format characters, which reorder or hide what is beside them (Unicode TR 36, "Trojan Source").
#[doc(hidden)]
pub fn is_unsafe_for_display(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line, with unsafe characters escaped, cut to about `max` bytes.
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

/// As [`sanitize`], without a copy where nothing is to be changed.
pub(crate) fn sanitized(text: String, max: usize) -> String {
    if text.len() <= max && !text.chars().any(is_unsafe_for_display) { text } else { sanitize(&text, max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_format_characters_are_escaped() {
        assert_eq!(sanitize("a\n\u{1b}[2Jb\u{202e}c\u{9b}", 100), "a\\n\\u{1b}[2Jb\\u{202e}c\\u{9b}");
        assert_eq!(sanitize("\u{2028}\u{e0041}\u{feff}é日", 100), "\\u{2028}\\u{e0041}\\u{feff}é日");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(sanitize("abcdef", 3), "abc…");
        let long = sanitized("\n".repeat(1 << 20), 64);
        assert!(long.len() < 80, "{}", long.len());
        assert_eq!(sanitized("as it is".to_owned(), 64), "as it is");
    }
}
