//! The contract's records as plain data, so that all but the plugin's outermost file builds and is tested natively.
//!
//! Field by field they are what `wit/types.wit` documents; here only what differs is said. The bindings take these for the
//! contract's own, so what they are made of and its order is the contract's too.

mod bucket;
mod listing;
mod multipart;
mod operation;

pub use bucket::{Bucket, BucketOptions, BucketPage, ListBucketsOptions};
pub use listing::{Entry, ListOptions, ListPage, VersionEntry, VersionPage};
pub use multipart::{
    AbortOptions, CompleteOptions, CopyPartOptions, ListPartsOptions, ListUploadsOptions, Part, PartOptions, PartPage,
    Upload, UploadPage,
};
pub use operation::{Operation, Output};

use serde::{Deserialize, Serialize};

/// A name with a value.
pub type Pair = (String, String);

/// A point in time. HTTP and S3 tell whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datetime {
    /// Seconds since 1970.
    pub seconds: u64,
    /// What is left of the next one.
    pub nanoseconds: u32,
}

impl From<u64> for Datetime {
    fn from(seconds: u64) -> Self {
        Datetime { seconds, nanoseconds: 0 }
    }
}

/// What is known of a blob besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobInfo {
    /// The length of the whole blob in bytes.
    pub size: u64,
    /// The entity tag, quotes included.
    pub etag: Option<String>,
    /// When it was last written.
    pub last_modified: Option<Datetime>,
    /// The media type.
    pub content_type: Option<String>,
    /// The user's metadata, names in lower case.
    pub metadata: Vec<Pair>,
    /// The version.
    pub version: Option<String>,
    /// Named attributes: see [`crate::s3::headers::RESPONSE_ATTRIBUTES`].
    pub attributes: Vec<Pair>,
}

/// Bytes `start..end` of a blob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first byte.
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
}

/// Which part of a blob to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ByteRange {
    /// All of it.
    #[default]
    Whole,
    /// From this byte to the end.
    From(u64),
    /// These bytes.
    Within(Span),
    /// The last so many.
    Last(u64),
}

/// The preconditions of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadConditions {
    /// Only if the tag is this one.
    pub if_match: Option<String>,
    /// Only if the tag is another.
    pub if_none_match: Option<String>,
    /// Only if written after this second.
    pub if_modified_since: Option<Datetime>,
    /// Only if not written after this second.
    pub if_unmodified_since: Option<Datetime>,
}

/// The precondition of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteCondition {
    /// Write, whatever is there.
    #[default]
    Always,
    /// Only if nothing is there.
    IfAbsent,
    /// Only if what is there has this tag.
    IfMatch(String),
}

/// What any call may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOptions {
    /// Nanoseconds for the whole call; none is [`crate::ops::DEFAULT_TIME_LIMIT`].
    pub time_limit: Option<u64>,
    /// At most so many retries; never more than the store's setting.
    pub max_retries: Option<u32>,
    /// Named attributes.
    pub attributes: Vec<Pair>,
}

/// How to look at a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadOptions {
    /// What must hold.
    pub conditions: ReadConditions,
    /// The version to look at.
    pub version: Option<String>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// How to read a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetOptions {
    /// Which part of it.
    pub range: ByteRange,
    /// What must hold.
    pub conditions: ReadConditions,
    /// The version to read.
    pub version: Option<String>,
    /// The longest body to take into memory.
    pub max_bytes: Option<u64>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// A digest or checksum algorithm, in the contract's order. [`crate::s3::checksum`] computes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// MD5, in `content-md5`: for services that know no other. S3 does not keep it.
    Md5,
    /// CRC-32, as zip and gzip have it.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// The 64-bit one of NVM Express: S3's own choice.
    Crc64Nvme,
}

/// A digest of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How it was made.
    pub algorithm: Algorithm,
    /// The sum.
    pub value: Vec<u8>,
}

/// How to write a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOptions {
    /// The media type to store with it.
    pub content_type: Option<String>,
    /// The user's metadata.
    pub metadata: Vec<Pair>,
    /// What must hold.
    pub condition: WriteCondition,
    /// Digests of the body that the caller made.
    pub digests: Vec<Digest>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// How to delete a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteOptions {
    /// The version to delete for good.
    pub version: Option<String>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// A blob by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Its key.
    pub key: String,
    /// The version that is meant.
    pub version: Option<String>,
}

/// The source of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySource {
    /// Bucket; the store's own if none.
    pub bucket: Option<String>,
    /// Key.
    pub key: String,
    /// Version; the current one if none.
    pub version: Option<String>,
}

/// How to delete several blobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteManyOptions {
    /// What any call may be told.
    pub call: CallOptions,
}

/// What a blob is stored with besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// The media type.
    pub content_type: Option<String>,
    /// The user's metadata.
    pub metadata: Vec<Pair>,
}

/// How to copy a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOptions {
    /// What must hold of the source.
    pub source_conditions: ReadConditions,
    /// What must hold of the key that is written.
    pub condition: WriteCondition,
    /// What to store instead of what the source has.
    pub properties: Option<Properties>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// What a presigned request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a presigned URL is to allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresignOptions {
    /// How long it is to be good for, in nanoseconds.
    pub expires: u64,
    /// Headers that the request must be sent with.
    pub headers: Vec<Pair>,
    /// The version that is meant.
    pub version: Option<String>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// A request that anybody may send.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The URL.
    pub url: String,
    /// The headers to send with it.
    pub headers: Vec<Pair>,
}

impl std::fmt::Debug for Presigned {
    /// Who has the URL can use it, so it is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presigned(…)")
    }
}

/// What a call on a blob's tags may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagOptions {
    /// The version that is meant.
    pub version: Option<String>,
    /// What any call may be told.
    pub call: CallOptions,
}

/// A blob, or a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    /// What is known of the whole blob.
    pub info: BlobInfo,
    /// Which bytes of it `body` holds.
    pub range: Span,
    /// The bytes.
    pub body: Vec<u8>,
}

/// The properties of a blob whose body is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobHead {
    /// Properties of the whole blob.
    pub info: BlobInfo,
    /// Requested range, truncated at the blob's end.
    pub range: Span,
    /// Range the response's body contains.
    pub body_range: Span,
    /// Digest of the response's body.
    pub digest: Option<Digest>,
}

/// What a write came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The entity tag of what was written.
    pub etag: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The cases of an enum of the contract's types.
    pub(crate) fn cases_of(name: &str) -> Vec<&'static str> {
        let contract = include_str!("../../../../wit/types.wit");
        let start = format!("enum {name} {{");
        let (_, rest) = contract.split_once(&start).unwrap();
        let (cases, _) = rest.split_once('}').unwrap();
        let lines = cases.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        lines.map(|line| line.trim_end_matches(',')).collect()
    }

    /// The bindings take a case's place for its number in the contract.
    #[test]
    fn cases_are_in_the_contracts_order() {
        let methods = ["get", "head", "put", "delete"];
        assert_eq!(cases_of("presigned-method"), methods);
        for (n, method) in [PresignedMethod::Get, PresignedMethod::Head, PresignedMethod::Put, PresignedMethod::Delete]
            .iter()
            .enumerate()
        {
            assert_eq!(*method as usize, n);
        }
        let algorithms = cases_of("digest-algorithm");
        for algorithm in [Algorithm::Sha256, Algorithm::Md5, Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme]
        {
            assert_eq!(algorithms[algorithm as usize], algorithm.word());
        }
        assert_eq!(algorithms.len(), 5);
    }
}
