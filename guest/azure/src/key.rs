//! Validation of keys: blob names of Azure.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>

use sandbucket_plugin::contract::error::{Error, Failure};

/// Maximum length of a key in characters, including the prefix.
pub const MAX_KEY: usize = 1024;

/// Maximum length of a key in bytes: characters of UTF-16 have up to three.
pub const MAX_KEY_BYTES: usize = 3 * MAX_KEY;

/// Maximum number of segments between slashes.
const MAX_SEGMENTS: usize = 254;

/// Checks a full key, prefix included.
///
/// Azure's servers normalize paths: `t/../u` names the blob `u`, and `\` becomes `/`. Both are refused, so that a key names itself and
/// cannot leave its prefix. Azure accepts no control characters in paths.
///
/// # Errors
/// A fault of `key`.
pub fn check(key: &str) -> Result<(), Failure> {
    let length = key.chars().map(char::len_utf16).sum::<usize>();
    if length > MAX_KEY {
        let why = format!("the key has {length} characters, key-prefix included; Azure takes {MAX_KEY}");
        return Err(Error::fault("key", why));
    }
    if key.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(Error::fault("key", "the key has a control character, which Azure does not take"));
    }
    if key.contains('\\') {
        return Err(Error::fault("key", "the key has a \\, which Azure replaces by /: it names another key"));
    }
    if key.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Error::fault(
            "key",
            "the key has a segment . or .., which Azure resolves as a path: it names another key",
        ));
    }
    if key.split('/').count() > MAX_SEGMENTS {
        return Err(Error::fault(
            "key",
            format!("the key has more than Azure's {MAX_SEGMENTS} segments between slashes"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_azure_are_accepted() {
        for key in ["a", "a//b", "/x", "a/", "...", "a..b/.c", "é", "🪣", "~?&=#%2F", "trailing.", &"n".repeat(1024)]
        {
            check(key).unwrap();
        }
        check(&vec!["a"; 254].join("/")).unwrap();
        // 1,024 characters of UTF-16, twice as many bytes of UTF-8.
        check(&"🪣".repeat(512)).unwrap();
    }

    #[test]
    fn keys_that_azure_resolves_or_rejects_are_faults() {
        for key in [
            ".",
            "..",
            "a/../b",
            "./a",
            "a/.",
            "a\\..\\b",
            "..\\a",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{ffff}",
            &"n".repeat(1025),
            &"🪣".repeat(513),
            &vec!["a"; 255].join("/"),
        ] {
            assert_eq!(check(key).unwrap_err().subject.as_deref(), Some("key"), "{key:?}");
        }
    }
}
