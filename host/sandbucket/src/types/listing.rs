//! Listings, as plain data.

use std::time::SystemTime;

/// A blob in a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// The ETag, as in [`BlobInfo`](crate::BlobInfo).
    pub etag: Option<String>,
    /// Time of the last write.
    pub last_modified: Option<SystemTime>,
    /// Further properties that the plugin has a name for, such as `storage-class`.
    pub attributes: Vec<(String, String)>,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListPage {
    /// The blobs, in the order of the service: on S3 by the bytes of their keys.
    pub entries: Vec<Entry>,
    /// The prefixes that the delimiter folds keys into, each once, delimiter included.
    pub prefixes: Vec<String>,
    /// The continuation token of the next page; `None` on the last one. An empty page may have one.
    pub next: Option<String>,
}

/// A version of a blob, or a delete marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionEntry {
    /// The blob. A delete marker has size 0 and no ETag.
    pub blob: Entry,
    /// The version; `None` if it was written while the bucket was unversioned.
    pub version: Option<String>,
    /// Whether it is the current one.
    pub latest: bool,
    /// Whether it is a delete marker.
    pub deleted: bool,
}

/// A page of a listing of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionPage {
    /// The versions, the newest of each key first.
    pub entries: Vec<VersionEntry>,
    /// The prefixes that the delimiter folds keys into, each once, delimiter included.
    pub prefixes: Vec<String>,
    /// The continuation token of the next page; `None` on the last one.
    pub next: Option<String>,
}
