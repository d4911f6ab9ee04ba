//! Which keys S3 takes.

use crate::error::{Fault, tidy};

/// The longest key, in bytes of UTF-8.
pub const MAX: usize = 1024;

/// The whole key: the prefix and what the caller gave. Anything of 1 to 1,024 bytes is one, whatever its characters.
///
/// # Errors
/// The key is empty, or too long with its prefix.
pub fn check(key: &str, prefix: &str) -> Result<String, Fault> {
    if key.is_empty() {
        return Err(Fault::new("key", "the key is empty: S3 takes 1 to 1,024 bytes"));
    }
    let length = prefix.len() + key.len();
    if length > MAX {
        let with = if prefix.is_empty() { "" } else { " with its prefix" };
        return Err(Fault::new(
            "key",
            format!("the key \"{}…\" is {length} bytes long{with}: S3 takes 1 to 1,024", tidy(key, 40)),
        ));
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
    fn a_key_is_1_to_1024_bytes() {
        for key in ["a", " ", "//", "..", "\u{1}", "😀", &"é".repeat(512)] {
            assert_eq!(check(key, "").as_deref(), Ok(key));
        }
        assert_eq!(check("b", "a/").as_deref(), Ok("a/b"));
        for (key, prefix) in
            [("", ""), ("", "p"), (&*"a".repeat(1025), ""), (&*"é".repeat(513), ""), (&*"a".repeat(1024), "p")]
        {
            assert_eq!(check(key, prefix).unwrap_err().subject.as_deref(), Some("key"));
        }
    }
}
