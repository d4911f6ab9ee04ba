//! Listings, as `wit/listing.wit` documents them.

use serde::{Deserialize, Serialize};

use super::{CallOptions, Datetime, Pair};

/// What to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOptions {
    /// What the keys begin with.
    pub prefix: String,
    /// What ends the part of a key that is told.
    pub delimiter: Option<String>,
    /// Only keys after this one.
    pub start_after: Option<String>,
    /// The most entries in one page.
    pub page_size: Option<u32>,
    /// Where the page before ended.
    pub continuation: Option<String>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// A blob, as a listing tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its entity tag.
    pub etag: Option<String>,
    /// When it was last written.
    pub last_modified: Option<Datetime>,
    /// Named attributes.
    pub attributes: Vec<Pair>,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The blobs.
    pub entries: Vec<Entry>,
    /// What the delimiter cut keys to.
    pub prefixes: Vec<String>,
    /// How to ask for the next page.
    pub next: Option<String>,
}

/// A version of a blob, or the mark that it was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionEntry {
    /// The blob.
    pub blob: Entry,
    /// Its version.
    pub version: Option<String>,
    /// Whether it is the current one.
    pub latest: bool,
    /// Whether it is the mark of a deletion.
    pub deleted: bool,
}

/// A part of a listing of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// The versions.
    pub entries: Vec<VersionEntry>,
    /// What the delimiter cut keys to.
    pub prefixes: Vec<String>,
    /// How to ask for the next page.
    pub next: Option<String>,
}
