//! What may be a key.

use crate::contract::error::{Error, Failure};

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY: usize = 1024;

/// The whole key: `prefix`, then `key`.
///
/// S3's own rule is all there is: 1 to 1,024 bytes of UTF-8 with the prefix. Any character goes, NUL and the other
/// control characters included, as Amazon S3 takes them; a service that does not (MinIO refuses NUL) says so itself.
/// `.`, `..` and empty segments mean nothing special: a key cannot climb out of its prefix.
///
/// # Errors
/// A fault of `key` where it is empty or too long.
pub fn check(key: &str, prefix: &str) -> Result<String, Failure> {
    let length = prefix.len() + key.len();
    if key.is_empty() {
        return Err(Error::fault("key", "the key is empty; it takes 1 to 1,024 bytes of UTF-8"));
    }
    if length > MAX_KEY {
        let of_these = match prefix.len() {
            0 => String::new(),
            bytes => format!(", {bytes} of them the key-prefix"),
        };
        return Err(Error::fault("key", format!("the key has {length} bytes of UTF-8{of_these}; S3 takes 1,024")));
    }
    let mut whole = String::with_capacity(length);
    whole.push_str(prefix);
    whole.push_str(key);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_follows_the_prefix_unchanged() {
        assert_eq!(check("a//../b\u{0}\n", "t/").unwrap(), "t/a//../b\u{0}\n");
        assert_eq!(check("..", "").unwrap(), "..");
    }

    #[test]
    fn key_length_is_limited_in_bytes() {
        assert!(check(&"🪣".repeat(256), "").is_ok());
        assert!(check(&("🪣".repeat(256) + "n"), "").is_err());
        assert!(check(&"n".repeat(1014), "0123456789").is_ok());
        let fault = check(&"n".repeat(1015), "0123456789").unwrap_err();
        assert_eq!(fault.subject.as_deref(), Some("key"));
        assert!(fault.message.contains("1025 bytes") && fault.message.contains("10 of them"), "{fault}");
    }

    #[test]
    fn empty_key_with_a_prefix_is_rejected() {
        assert_eq!(check("", "prefix/").unwrap_err().subject.as_deref(), Some("key"));
    }
}
