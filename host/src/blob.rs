//! What callers hold: a blob's properties, ranges, settings, as plain data.

use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo};
use std::time::SystemTime;

/// What is known of a blob besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobInfo {
    /// The length of the whole blob in bytes; [`UNKNOWN_SIZE`](BlobInfo::UNKNOWN_SIZE) where the service does not tell it.
    pub size: u64,
    /// The entity tag as the service spells it, quotes included: to be handed back in a precondition.
    pub etag: Option<String>,
    /// When it was last written, to the second on most services.
    pub last_modified: Option<SystemTime>,
    /// The media type it was stored with.
    pub content_type: Option<String>,
    /// The user's own metadata, names in lower case.
    pub metadata: Vec<(String, String)>,
    /// The version, on a bucket that keeps versions.
    pub version: Option<String>,
    /// What else the service said that the plugin has a name for, such as `cache-control`.
    pub attributes: Vec<(String, String)>,
}

impl BlobInfo {
    /// The size of a blob whose length the service does not tell: a HEAD without `content-length`, or a chunked response of
    /// more than 64 KiB before it was read to its end. No blob has so many bytes.
    pub const UNKNOWN_SIZE: u64 = u64::MAX;

    /// The length of the whole blob in bytes, where it is known.
    pub fn known_size(&self) -> Option<u64> {
        Some(self.size).filter(|&size| size != Self::UNKNOWN_SIZE)
    }

    /// The entity tag, if it is strong: only then it tells that two parts are of the same bytes (RFC 9110, section 8.8.1).
    pub(crate) fn strong_etag(&self) -> Option<&String> {
        self.etag.as_ref().filter(|etag| !etag.starts_with("W/"))
    }
}

/// A blob by its name: its key, and a version of it where that is not the current one. A key converts into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlobName {
    /// Its key.
    pub key: String,
    /// The version that is meant; none is the current one.
    pub version: Option<String>,
}

impl BlobName {
    /// The current version of this key.
    pub fn new(key: impl Into<String>) -> Self {
        BlobName { key: key.into(), version: None }
    }

    /// This version of it.
    pub fn version(self, version: impl Into<String>) -> Self {
        BlobName { version: Some(version.into()), ..self }
    }
}

impl From<&str> for BlobName {
    fn from(key: &str) -> Self {
        BlobName::new(key)
    }
}

impl From<String> for BlobName {
    fn from(key: String) -> Self {
        BlobName::new(key)
    }
}

impl From<&String> for BlobName {
    fn from(key: &String) -> Self {
        BlobName::new(key)
    }
}

/// What a presigned request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PresignedMethod {
    /// Reads the blob.
    Get,
    /// Looks at the blob.
    Head,
    /// Writes the blob.
    Put,
    /// Deletes the blob.
    Delete,
}

/// A request that anybody may send, without keys, until it expires. It is to be kept as a secret is, so that its `Debug`
/// does not show it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presigned {
    /// The URL.
    pub url: String,
    /// The headers to send with it, besides those that HTTP itself needs.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Presigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presigned(…)")
    }
}

/// What a write came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The entity tag of what was written.
    pub etag: Option<String>,
    /// Its version, on a bucket that keeps versions.
    pub version: Option<String>,
}

/// Which part of a blob to read. Rust's ranges of `u64` convert into it.
///
/// A range that reaches past the end is cut there; one without a byte of the blob in it is
/// [`Error::InvalidRange`](crate::Error::InvalidRange).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ByteRange {
    /// All of it.
    #[default]
    Whole,
    /// From this byte, counted from 0, to the end.
    From(u64),
    /// These bytes, the end not included.
    Within(Range<u64>),
    /// The last so many bytes.
    Last(u64),
}

impl From<RangeFull> for ByteRange {
    fn from(_: RangeFull) -> Self {
        ByteRange::Whole
    }
}

impl From<RangeFrom<u64>> for ByteRange {
    fn from(range: RangeFrom<u64>) -> Self {
        ByteRange::From(range.start)
    }
}

impl From<Range<u64>> for ByteRange {
    fn from(range: Range<u64>) -> Self {
        ByteRange::Within(range)
    }
}

impl From<RangeInclusive<u64>> for ByteRange {
    fn from(range: RangeInclusive<u64>) -> Self {
        ByteRange::Within(*range.start()..range.end().saturating_add(1))
    }
}

impl From<RangeTo<u64>> for ByteRange {
    fn from(range: RangeTo<u64>) -> Self {
        ByteRange::Within(0..range.end)
    }
}

/// What a setting's text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A number with a unit: `500ms`, `30s`, `5m`, `1h`. Bare: seconds.
    Duration,
    /// One of the words that the help line lists.
    Choice,
    /// A host, a host and port, or an `http` or `https` URL.
    Url,
}

/// A setting that the plugin knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Its name, as a configuration file spells it.
    pub name: String,
    /// Other names that are taken for it.
    pub aliases: Vec<String>,
    /// What its text must look like.
    pub kind: SettingKind,
    /// The value where none is given.
    pub default: Option<String>,
    /// Whether a store cannot be opened without it.
    pub required: bool,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// One line for people.
    pub help: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rusts_ranges_are_byte_ranges() {
        assert_eq!(ByteRange::from(2..5), ByteRange::Within(2..5));
        assert_eq!(ByteRange::from(2..=5), ByteRange::Within(2..6));
        assert_eq!(ByteRange::from(..5), ByteRange::Within(0..5));
        assert_eq!(ByteRange::from(5..), ByteRange::From(5));
        assert_eq!(ByteRange::from(..), ByteRange::Whole);
        assert_eq!(ByteRange::from(0..=u64::MAX), ByteRange::Within(0..u64::MAX));
    }
}
