//! Multipart uploads, as `wit/multipart.wit` documents them.

use serde::{Deserialize, Serialize};

use super::{CallOptions, Datetime, Digest, Pair, ReadConditions, Span, WriteCondition};

/// A part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Part number.
    pub number: u32,
    /// Length in bytes.
    pub size: u64,
    /// Entity tag, with quotes.
    pub etag: String,
    /// Time of the upload.
    pub last_modified: Option<Datetime>,
    /// Attributes: its checksum.
    pub attributes: Vec<Pair>,
}

/// Options of `upload-part`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOptions {
    /// Digests of the part's body that the caller has computed.
    pub digests: Vec<Digest>,
    /// Common options.
    pub call: CallOptions,
}

/// Options of `abort-upload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortOptions {
    /// Common options.
    pub call: CallOptions,
}

/// Options of `copy-part`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyPartOptions {
    /// Range of the source. Default: the whole blob.
    pub range: Option<Span>,
    /// Conditions on the source.
    pub source_conditions: ReadConditions,
    /// Common options.
    pub call: CallOptions,
}

/// Options of `list-parts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPartsOptions {
    /// `next` of the previous page.
    pub continuation: Option<String>,
    /// Maximum number of parts in a page.
    pub page_size: Option<u32>,
    /// Common options.
    pub call: CallOptions,
}

/// A page of the parts of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartPage {
    /// Parts.
    pub parts: Vec<Part>,
    /// `continuation` of the next page.
    pub next: Option<String>,
}

/// Options of `complete-upload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteOptions {
    /// Condition of the write.
    pub condition: WriteCondition,
    /// Common options.
    pub call: CallOptions,
}

/// Options of `list-uploads`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUploadsOptions {
    /// Only uploads whose keys begin with this text.
    pub prefix: String,
    /// `next` of the previous page.
    pub continuation: Option<String>,
    /// Maximum number of uploads in a page.
    pub page_size: Option<u32>,
    /// Common options.
    pub call: CallOptions,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    /// Key.
    pub key: String,
    /// Upload id.
    pub id: String,
    /// Time it was begun.
    pub initiated: Option<Datetime>,
}

/// A page of uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// Uploads.
    pub uploads: Vec<Upload>,
    /// `continuation` of the next page.
    pub next: Option<String>,
}
