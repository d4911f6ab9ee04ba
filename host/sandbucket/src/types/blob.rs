//! What callers hold: a blob's properties, ranges, settings, as plain data.

use std::ops::{Bound, Range, RangeBounds};
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

/// What a deletion came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// Whether the blob was there. None where the service does not say: Amazon S3 answers alike either way.
    pub existed: Option<bool>,
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

/// Which part of a blob to read. All that implements `RangeBounds<u64>` converts into it; [`ByteRange::of`] takes ranges of
/// other integers.
///
/// A range that reaches past the end is cut there. One that is empty by itself, such as `5..5`, gives no bytes of a blob that is
/// there: the service is asked for its properties only. Any other without a byte of the blob in it is
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

impl ByteRange {
    /// Of a range of any unsigned integers, such as `usize`: `ByteRange::of(start..=end)`. Ranges of `u64` convert by
    /// themselves.
    pub fn of<I: Offset>(range: impl RangeBounds<I>) -> ByteRange {
        let start = match range.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(&start) => start.bytes(),
            Bound::Excluded(&before) => before.bytes().saturating_add(1),
        };
        match (range.start_bound(), range.end_bound()) {
            (Bound::Unbounded, Bound::Unbounded) => ByteRange::Whole,
            (_, Bound::Unbounded) => ByteRange::From(start),
            (_, Bound::Included(&last)) => ByteRange::Within(start..last.bytes().saturating_add(1)),
            (_, Bound::Excluded(&end)) => ByteRange::Within(start..end.bytes()),
        }
    }
}

impl<R: RangeBounds<u64>> From<R> for ByteRange {
    fn from(range: R) -> Self {
        ByteRange::of(range)
    }
}

/// An unsigned integer that counts bytes: see [`ByteRange::of`].
pub trait Offset: Copy + sealed::Offset {}

mod sealed {
    pub trait Offset {
        fn bytes(self) -> u64;
    }
}

macro_rules! offsets {
    ($($type:ty),*) => {
        $(
            impl Offset for $type {}

            impl sealed::Offset for $type {
                fn bytes(self) -> u64 {
                    self as u64
                }
            }
        )*
    };
}

offsets!(u8, u16, u32, u64, usize);

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

/// An attribute of calls that the plugin documents: see [`Get::attribute`](crate::Get::attribute) and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// One line for people: the operations that accept it, and the syntax of its value.
    pub help: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn std_ranges_convert_to_byte_ranges() {
        assert_eq!(ByteRange::from(2..5), ByteRange::Within(2..5));
        assert_eq!(ByteRange::from(2..=5), ByteRange::Within(2..6));
        assert_eq!(ByteRange::from(..5), ByteRange::Within(0..5));
        assert_eq!(ByteRange::from(5..), ByteRange::From(5));
        assert_eq!(ByteRange::from(..), ByteRange::Whole);
        assert_eq!(ByteRange::from(0..=u64::MAX), ByteRange::Within(0..u64::MAX));
        assert_eq!(ByteRange::from(..=5), ByteRange::Within(0..6));
        assert_eq!(ByteRange::from((Bound::Excluded(1), Bound::Unbounded)), ByteRange::From(2));
        assert_eq!(ByteRange::of(2usize..5), ByteRange::Within(2..5));
        assert_eq!(ByteRange::of(2u32..), ByteRange::From(2));
    }
}
