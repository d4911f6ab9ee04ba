//! Multipart uploads, as plain data.

use std::time::SystemTime;

/// A part that the service has accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// The part number: 1 to 10,000 on S3.
    pub number: u32,
    /// Length in bytes.
    pub size: u64,
    /// The ETag.
    pub etag: String,
    /// Time of the upload of the part, in listings of parts.
    pub last_modified: Option<SystemTime>,
    /// Further properties, such as the checksum; required to complete the upload.
    pub attributes: Vec<(String, String)>,
}

impl Part {
    /// A part with only what completing an upload requires.
    pub fn new(number: u32, etag: impl Into<String>) -> Self {
        Part { number, etag: etag.into(), ..Part::default() }
    }
}

/// A page of the parts of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartPage {
    /// The parts, by number.
    pub parts: Vec<Part>,
    /// The continuation token of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingUpload {
    /// The key of the blob.
    pub key: String,
    /// The upload's id.
    pub id: String,
    /// Time of the initiation.
    pub initiated: Option<SystemTime>,
}

/// A page of incomplete uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadPage {
    /// The uploads, by key.
    pub uploads: Vec<PendingUpload>,
    /// The continuation token of the next page; `None` on the last one.
    pub next: Option<String>,
}
