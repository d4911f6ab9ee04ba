//! Validation of keys and versions.

use crate::contract::error::{Error, Failure};

/// Default maximum length of a key in bytes of UTF-8, including the prefix.
pub const MAX_KEY: usize = 1024;

/// Returns the full key: `prefix`, then `key`.
///
/// The only rule is its length: 1 to `max` bytes of UTF-8 including the prefix. Any character is valid, also NUL and other control
/// characters, as on Amazon S3; a service that rejects some (MinIO rejects NUL) returns its own error. `.`, `..` and empty
/// segments have no meaning: a key cannot leave its prefix.
///
/// # Errors
/// A fault of `key` if it is empty or too long.
pub fn check(key: &str, prefix: &str, max: usize) -> Result<String, Failure> {
    let length = prefix.len() + key.len();
    if key.is_empty() {
        return Err(Error::fault("key", format!("the key is empty; it takes 1 to {} bytes of UTF-8", grouped(max))));
    }
    if length > max {
        let of_these = match prefix.len() {
            0 => String::new(),
            bytes => format!(", {bytes} of them the key-prefix"),
        };
        return Err(Error::fault(
            "key",
            format!("the key has {length} bytes of UTF-8{of_these}; the service takes {}", grouped(max)),
        ));
    }
    let mut whole = String::with_capacity(length);
    whole.push_str(prefix);
    whole.push_str(key);
    Ok(whole)
}

/// Checks the version of a blob: 1 to 1,024 bytes of text without control characters.
///
/// # Errors
/// A fault of `version`.
pub fn check_version(id: &str) -> Result<(), Failure> {
    if id.is_empty() || id.len() > 1024 || id.chars().any(char::is_control) {
        return Err(Error::fault(
            "version",
            "a version is 1 to 1,024 bytes of text without control characters; leave it out for the current one",
        ));
    }
    Ok(())
}

/// A number with a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1024, "1,024"), (65_536, "65,536"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn key_follows_the_prefix_unchanged() {
        assert_eq!(check("a//../b\u{0}\n", "t/", MAX_KEY).unwrap(), "t/a//../b\u{0}\n");
        assert_eq!(check("..", "", MAX_KEY).unwrap(), "..");
    }

    #[test]
    fn key_length_is_limited_in_bytes() {
        assert!(check(&"🪣".repeat(256), "", MAX_KEY).is_ok());
        assert!(check(&("🪣".repeat(256) + "n"), "", MAX_KEY).is_err());
        assert!(check(&"n".repeat(1014), "0123456789", MAX_KEY).is_ok());
        let fault = check(&"n".repeat(1015), "0123456789", MAX_KEY).unwrap_err();
        assert_eq!(fault.subject.as_deref(), Some("key"));
        assert!(fault.message.contains("1025 bytes") && fault.message.contains("10 of them"), "{fault}");
    }

    #[test]
    fn empty_key_with_a_prefix_is_rejected() {
        assert_eq!(check("", "prefix/", MAX_KEY).unwrap_err().subject.as_deref(), Some("key"));
    }
}
