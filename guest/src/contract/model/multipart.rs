//! Uploads in parts, as `wit/multipart.wit` documents them.

use serde::{Deserialize, Serialize};

use super::{CallOptions, Datetime, Digest, Pair, ReadConditions, Span, WriteCondition};

/// A part that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its place.
    pub number: u32,
    /// Its length in bytes.
    pub size: u64,
    /// Its entity tag.
    pub etag: String,
    /// When it was taken.
    pub last_modified: Option<Datetime>,
    /// Named attributes: its checksum.
    pub attributes: Vec<Pair>,
}

/// How to upload a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOptions {
    /// Digests of the part that the caller made.
    pub digests: Vec<Digest>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// What a call on an upload may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortOptions {
    /// What any call may be told.
    pub call: CallOptions,
}

/// Which part of a blob becomes a part of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyPartOptions {
    /// The bytes to copy; none for all.
    pub range: Option<Span>,
    /// What must hold of the source.
    pub source_conditions: ReadConditions,
    /// What any call may be told.
    pub call: CallOptions,
}

/// Which parts to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPartsOptions {
    /// Where the page before ended.
    pub continuation: Option<String>,
    /// The most parts in one page.
    pub page_size: Option<u32>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// Some of the parts of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartPage {
    /// The parts.
    pub parts: Vec<Part>,
    /// How to ask for the next page.
    pub next: Option<String>,
}

/// How to make a blob of the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteOptions {
    /// What must hold of the key that is written.
    pub condition: WriteCondition,
    /// What any call may be told.
    pub call: CallOptions,
}

/// Which uploads to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUploadsOptions {
    /// What the keys begin with.
    pub prefix: String,
    /// Where the page before ended.
    pub continuation: Option<String>,
    /// The most uploads in one page.
    pub page_size: Option<u32>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    /// The key it is for.
    pub key: String,
    /// Its id.
    pub id: String,
    /// When it was begun.
    pub initiated: Option<Datetime>,
}

/// Some of the uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// How to ask for the next page.
    pub next: Option<String>,
}
