//! Listings, as `wit/listing.wit` documents them.

use serde::{Deserialize, Serialize};

use super::{CallOptions, Datetime, Pair};

/// Options of `list` and `list-versions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOptions {
    /// Only keys that begin with this text.
    pub prefix: String,
    /// Keys that contain this text after the prefix are grouped.
    pub delimiter: Option<String>,
    /// Only keys after this one.
    pub start_after: Option<String>,
    /// Maximum number of entries and prefixes in a page.
    pub page_size: Option<u32>,
    /// `next` of the previous page.
    pub continuation: Option<String>,
    /// Common options.
    pub call: CallOptions,
}

/// A blob in a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// Entity tag, with quotes.
    pub etag: Option<String>,
    /// Time of the last modification.
    pub last_modified: Option<Datetime>,
    /// Attributes, such as `storage-class`.
    pub attributes: Vec<Pair>,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Blobs.
    pub entries: Vec<Entry>,
    /// Common prefixes, including the delimiter.
    pub prefixes: Vec<String>,
    /// `continuation` of the next page.
    pub next: Option<String>,
}

/// A version of a blob, or a delete marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionEntry {
    /// Blob.
    pub blob: Entry,
    /// Version.
    pub version: Option<String>,
    /// Whether it is the current version.
    pub latest: bool,
    /// Whether it is a delete marker.
    pub deleted: bool,
}

/// A page of a listing of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// Versions.
    pub entries: Vec<VersionEntry>,
    /// Common prefixes, including the delimiter.
    pub prefixes: Vec<String>,
    /// `continuation` of the next page.
    pub next: Option<String>,
}
