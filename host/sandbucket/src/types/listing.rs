//! What listings tell, as plain data.

use std::time::SystemTime;

/// A blob, as a listing tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its entity tag, as in [`BlobInfo`](crate::BlobInfo).
    pub etag: Option<String>,
    /// When it was last written.
    pub last_modified: Option<SystemTime>,
    /// What else the service says that the plugin has a name for, such as `storage-class`.
    pub attributes: Vec<(String, String)>,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListPage {
    /// The blobs, in the order of the service: on S3 by the bytes of their keys.
    pub entries: Vec<Entry>,
    /// What the delimiter cut keys to, each once, delimiter included.
    pub prefixes: Vec<String>,
    /// What asks for the next page; none after the last. A page may be empty and yet have one.
    pub next: Option<String>,
}

/// A version of a blob, or the mark that it was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionEntry {
    /// The blob. A mark has size 0 and no entity tag.
    pub blob: Entry,
    /// Its version; none where it was written while the bucket kept none.
    pub version: Option<String>,
    /// Whether it is the current one.
    pub latest: bool,
    /// Whether it is the mark of a deletion.
    pub deleted: bool,
}

/// A part of a listing of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionPage {
    /// The versions, the newest of each key first.
    pub entries: Vec<VersionEntry>,
    /// What the delimiter cut keys to, each once, delimiter included.
    pub prefixes: Vec<String>,
    /// What asks for the next page; none after the last.
    pub next: Option<String>,
}
