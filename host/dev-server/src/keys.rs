//! Mapping of keys to files.
//!
//! A key is any text of up to 1,024 bytes, unlike a file name: `a//b`, `.`, `..`, a line break or a name of 300 bytes
//! cannot be files, and `a` and `a/b` cannot coexist, because one would be both a file and a folder. So each key is one
//! file in its bucket's folder, named by the percent-encoded key: `photos%2F2024%2Fcat.jpg`. A longer name is replaced by
//! the SHA-256 of the key, and the key itself is stored beside the buckets.
//!
//! A case-insensitive file system stores only one of two keys that differ in case only.

use std::fmt::Write as _;
use std::io;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::storage::{self, Storage};

/// Everything but letters, digits, `-`, `_` and inner dots.
const AWKWARD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// No percent-encoded name has this prefix: `L` is not a hexadecimal digit.
const LONG: &str = "%L";
/// Bucket and name, each in base64, are parts of the names of side files. This length fits into 255 bytes with the longest
/// bucket name.
const MAX_NAME: usize = 66;
/// Maximum length of a key in bytes.
const MAX_KEY: u64 = 1024;
/// Beside the buckets; the dot prevents it from being one.
const LONG_KEYS: &str = ".long-keys";

/// The keys in one server's folder.
#[derive(Debug)]
pub(super) struct Keys {
    storage: Storage,
}

impl Keys {
    pub(crate) fn new(storage: Storage) -> Self {
        Keys { storage }
    }

    /// The name of the file for this key.
    pub(crate) fn name(&self, key: &str) -> String {
        let mut name = utf8_percent_encode(key, AWKWARD).to_string();
        // `.`, `..` and hidden files.
        if name.starts_with('.') {
            name.replace_range(..1, "%2E");
        }
        if name.len() <= MAX_NAME {
            return name;
        }
        let mut name = LONG.to_owned();
        for byte in Sha256::digest(key.as_bytes()) {
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// The name of the file for this key; a key that the name does not contain is stored.
    pub(crate) fn name_for_writing(&self, key: &str) -> io::Result<String> {
        let name = self.name(key);
        if name.starts_with(LONG) {
            let folder = self.storage.make_folder(&[LONG_KEYS])?;
            if !storage::is_file(&folder, &name) {
                // Concurrent writers store the same content.
                self.storage.write(&folder, &name, key.as_bytes())?;
            }
        }
        Ok(name)
    }

    /// The key of this file; `None` if it is a foreign file.
    pub(crate) fn key(&self, name: &str) -> Option<String> {
        if name.starts_with(LONG) {
            let folder = self.storage.folder(&[LONG_KEYS]).ok()?;
            return String::from_utf8(storage::read(&folder, name, MAX_KEY).ok()?).ok();
        }
        let key = percent_decode_str(name).decode_utf8().ok()?.into_owned();
        (self.name(&key) == name).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd_keys() -> Vec<String> {
        let mut keys: Vec<String> = [
            "plain.txt",
            "a",
            "a/b",
            "a//b",
            "a/",
            "/a",
            "/",
            "//",
            ".",
            "..",
            "./a",
            "../a",
            "a/./b",
            "a/../b",
            ".hidden",
            "a b",
            "a+b",
            "a%b",
            "a%2Fb",
            "a%2fb",
            "%",
            "%L",
            "~",
            "a\nb",
            "\u{0}",
            "\u{7f}",
            "é",
            "e\u{301}",
            "🪣",
            "a\\b",
            "con",
            "a:b",
            "*?\"<>|",
            "%Lzz",
        ]
        .map(str::to_owned)
        .to_vec();
        keys.push("n".repeat(66));
        keys.push("n".repeat(67));
        keys.push("n".repeat(1024));
        keys.push("/".repeat(1024));
        keys.push("🪣".repeat(256));
        keys.push(format!("%L{}", "0".repeat(64)));
        keys
    }

    #[test]
    fn file_names_of_keys_are_unique_and_reversible() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(Storage::open(folder.path()).unwrap());
        let mut names = std::collections::HashSet::new();
        for key in odd_keys() {
            let name = keys.name_for_writing(&key).unwrap();
            assert!(names.insert(name.clone()), "{key:?} shares {name}");
            assert!(name.len() <= MAX_NAME && !name.starts_with('.'), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.%".contains(&b)), "{name}");
            assert_eq!(keys.key(&name).as_deref(), Some(key.as_str()), "{name}");
            std::fs::write(folder.path().join(&name), &key).unwrap();
        }
    }

    #[test]
    fn foreign_file_names_are_not_keys() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(Storage::open(folder.path()).unwrap());
        for name in [".DS_Store", "with space", "%zz", "%2f", "a%41", "%L00", "%ff"] {
            assert_eq!(keys.key(name), None, "{name}");
        }
    }
}
