//! Metadata of blobs, ranges, results and settings, as plain data.

use std::ops::{Bound, Range, RangeBounds};
use std::time::SystemTime;

/// Metadata of a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobInfo {
    /// Length of the whole blob in bytes; [`UNKNOWN_SIZE`](BlobInfo::UNKNOWN_SIZE) if the service does not report it.
    pub size: u64,
    /// ETag in the service's spelling, quotes included, for use in a precondition.
    pub etag: Option<String>,
    /// Time of the last write, in seconds on most services.
    pub last_modified: Option<SystemTime>,
    /// The media type (`content-type`).
    pub content_type: Option<String>,
    /// User metadata, with names in lower case.
    pub metadata: Vec<(String, String)>,
    /// The version, on a versioned bucket.
    pub version: Option<String>,
    /// Further properties that the plugin has a name for, such as `cache-control`.
    pub attributes: Vec<(String, String)>,
}

impl BlobInfo {
    /// The size of a blob whose length the service does not report: after a HEAD without `content-length`, or for a chunked
    /// response of more than 64 KiB until it is read to its end. No blob has this length.
    pub const UNKNOWN_SIZE: u64 = u64::MAX;

    /// Length of the whole blob in bytes, if known.
    pub fn known_size(&self) -> Option<u64> {
        Some(self.size).filter(|&size| size != Self::UNKNOWN_SIZE)
    }

    /// The ETag, if it is strong: only then equal ETags imply equal bytes (RFC 9110, section 8.8.1).
    pub(crate) fn strong_etag(&self) -> Option<&String> {
        self.etag.as_ref().filter(|etag| !etag.starts_with("W/"))
    }
}

/// Identifies a blob: its key, and optionally a version. A key converts into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct BlobName {
    /// Its key.
    pub key: String,
    /// The version; `None` for the current one.
    pub version: Option<String>,
}

impl BlobName {
    /// The current version of a key.
    pub fn new(key: impl Into<String>) -> Self {
        BlobName { key: key.into(), version: None }
    }

    /// Selects this version.
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

/// The operation of a presigned request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PresignedMethod {
    /// Reads the blob.
    Get,
    /// Reads the blob's metadata.
    Head,
    /// Writes the blob.
    Put,
    /// Deletes the blob.
    Delete,
}

/// A request that anybody can send without keys until it expires. Keep it like a secret; its `Debug` output hides it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presigned {
    /// The URL.
    pub url: String,
    /// The headers to send, besides those that HTTP requires.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Presigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presigned(…)")
    }
}

/// The result of a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// Whether the blob existed. `None` if the service does not report it: Amazon S3 responds alike in both cases.
    pub existed: Option<bool>,
}

/// The result of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The ETag of the written blob.
    pub etag: Option<String>,
    /// The version, on a versioned bucket.
    pub version: Option<String>,
}

/// The range of a blob to read. Everything that implements `RangeBounds<u64>` converts into it; [`ByteRange::of`] takes
/// ranges of other integers.
///
/// A range beyond the end is cut there. An empty range such as `5..5` returns no bytes of an existing blob: only its
/// metadata is requested. Any other range without a byte of the blob is
/// [`Error::InvalidRange`](crate::Error::InvalidRange).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ByteRange {
    /// The whole blob.
    #[default]
    Whole,
    /// From this byte, counted from 0, to the end.
    From(u64),
    /// These bytes, end excluded.
    Within(Range<u64>),
    /// The last bytes, this many.
    Last(u64),
}

impl ByteRange {
    /// Converts a range of any unsigned integers, such as `usize`: `ByteRange::of(start..=end)`. Ranges of `u64` convert by
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

/// An unsigned integer as a byte offset: see [`ByteRange::of`].
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

/// The syntax of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A number with a unit: `500ms`, `30s`, `5m`, `1h`. Without a unit: seconds.
    Duration,
    /// One of the words in the help text.
    Choice,
    /// A host, a host and port, or an `http` or `https` URL.
    Url,
}

/// A setting of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The name in configuration files.
    pub name: String,
    /// Alternative names.
    pub aliases: Vec<String>,
    /// The syntax of the value.
    pub kind: SettingKind,
    /// The default value.
    pub default: Option<String>,
    /// Whether opening a store requires it.
    pub required: bool,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// A one-line description.
    pub help: String,
}

/// An attribute of calls that the plugin documents: see [`Get::attribute`](crate::Get::attribute) and others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute {
    /// The name.
    pub name: String,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// A one-line description: the operations that accept it, and the syntax of its value.
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
