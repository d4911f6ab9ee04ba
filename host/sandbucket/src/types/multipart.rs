//! Uploads in parts, as plain data.

use std::time::SystemTime;

/// A part that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Its place: 1 to 10,000 on S3.
    pub number: u32,
    /// Its length in bytes.
    pub size: u64,
    /// Its entity tag.
    pub etag: String,
    /// When it was taken, where a listing of parts tells it.
    pub last_modified: Option<SystemTime>,
    /// What else is known of it, such as its checksum; wanted when the upload is completed.
    pub attributes: Vec<(String, String)>,
}

impl Part {
    /// A part of which no more is known than what completing an upload needs.
    pub fn new(number: u32, etag: impl Into<String>) -> Self {
        Part { number, etag: etag.into(), ..Part::default() }
    }
}

/// Some of the parts of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartPage {
    /// The parts, by number.
    pub parts: Vec<Part>,
    /// What asks for the next page; none after the last.
    pub next: Option<String>,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingUpload {
    /// The key it is for.
    pub key: String,
    /// Its id.
    pub id: String,
    /// When it was begun.
    pub initiated: Option<SystemTime>,
}

/// Some of the uploads that are under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadPage {
    /// The uploads, by key.
    pub uploads: Vec<PendingUpload>,
    /// What asks for the next page; none after the last.
    pub next: Option<String>,
}
