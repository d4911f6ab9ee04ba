//! The contract's records as plain data, so that everything but the exports builds and is tested natively.
//!
//! The fields are those that `wit/types.wit` documents with their units, limits and defaults. The enums have the contract's cases
//! in its order: `contract::convert` converts by position. A field or a case more is another version of the contract, so that they
//! can be constructed and matched in full.

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

/// The size of a blob whose response has no length. No blob is that large.
pub const UNKNOWN_SIZE: u64 = u64::MAX;

/// A name with a value.
pub type Pair = (String, String);

/// A point in time. HTTP and S3 report whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datetime {
    /// Seconds since 1970.
    pub seconds: u64,
    /// Nanoseconds of the second, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl From<u64> for Datetime {
    fn from(seconds: u64) -> Self {
        Datetime { seconds, nanoseconds: 0 }
    }
}

/// Properties of a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobInfo {
    /// Length of the whole blob in bytes; [`UNKNOWN_SIZE`] if the service does not report it.
    pub size: u64,
    /// Entity tag, with quotes.
    pub etag: Option<String>,
    /// Time of the last modification.
    pub last_modified: Option<Datetime>,
    /// Media type.
    pub content_type: Option<String>,
    /// User metadata, names in lower case.
    pub metadata: Vec<Pair>,
    /// Version.
    pub version: Option<String>,
    /// Further properties that the service has a name for.
    pub attributes: Vec<Pair>,
}

/// A half-open range of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
}

/// The part of a blob to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ByteRange {
    /// The whole blob.
    #[default]
    Whole,
    /// From this offset to the end.
    From(u64),
    /// These bytes.
    Within(Span),
    /// The last so many bytes.
    Last(u64),
}

/// Conditions of a read. All of them must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadConditions {
    /// The entity tag must be this one, or one of a list.
    pub if_match: Option<String>,
    /// The entity tag must not be this one, nor one of a list.
    pub if_none_match: Option<String>,
    /// The blob must have been modified after this time.
    pub if_modified_since: Option<Datetime>,
    /// The blob must not have been modified after this time.
    pub if_unmodified_since: Option<Datetime>,
}

/// Condition of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteCondition {
    /// Write unconditionally.
    #[default]
    Always,
    /// Write only if the key does not exist.
    IfAbsent,
    /// Write only if the existing blob has this entity tag.
    IfMatch(String),
}

/// Options common to all calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOptions {
    /// Time limit of the whole call in nanoseconds. Default: [`crate::machine::DEFAULT_TIME_LIMIT`].
    pub time_limit: Option<u64>,
    /// Maximum number of retries. Default and upper bound: the setting `max-retries`.
    pub max_retries: Option<u32>,
    /// Attributes by name, each once.
    pub attributes: Vec<Pair>,
}

/// Options of `head`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadOptions {
    /// Conditions.
    pub conditions: ReadConditions,
    /// Version to read. Default: the current one.
    pub version: Option<String>,
    /// Common options.
    pub call: CallOptions,
}

/// Options of `get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetOptions {
    /// Part of the blob to read.
    pub range: ByteRange,
    /// Conditions.
    pub conditions: ReadConditions,
    /// Version to read. Default: the current one.
    pub version: Option<String>,
    /// Maximum length in bytes of a body that is read into memory.
    pub max_bytes: Option<u64>,
    /// Common options.
    pub call: CallOptions,
}

/// A digest or checksum algorithm, in the contract's order. [`crate::checksum`] computes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// MD5, sent as `content-md5`, for services that know no other. S3 does not store it.
    Md5,
    /// CRC-32/ISO-HDLC, as in zip and gzip.
    Crc32,
    /// CRC-32C/iSCSI (Castagnoli).
    Crc32c,
    /// CRC-64/NVME, the default of S3.
    Crc64Nvme,
}

/// A digest or checksum of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Algorithm.
    pub algorithm: Algorithm,
    /// Value, as long as the algorithm's output.
    // In one piece: serde takes a vector's bytes one by one.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

/// Options of `put` and `create-upload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOptions {
    /// Media type to store with the blob.
    pub content_type: Option<String>,
    /// User metadata.
    pub metadata: Vec<Pair>,
    /// Condition.
    pub condition: WriteCondition,
    /// Digests of the body that the caller has computed.
    pub digests: Vec<Digest>,
    /// Common options.
    pub call: CallOptions,
}

/// Options of `delete`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteOptions {
    /// Version to delete permanently. Default: the current one.
    pub version: Option<String>,
    /// Common options.
    pub call: CallOptions,
}

/// A blob by key and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Key.
    pub key: String,
    /// Version. Default: the current one.
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

/// Options of `delete-many`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteManyOptions {
    /// Common options.
    pub call: CallOptions,
}

/// Properties a copy is stored with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Media type.
    pub content_type: Option<String>,
    /// User metadata.
    pub metadata: Vec<Pair>,
}

/// Options of `copy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOptions {
    /// Conditions on the source.
    pub source_conditions: ReadConditions,
    /// Condition on the destination.
    pub condition: WriteCondition,
    /// Properties that replace the source's. Default: the source's.
    pub properties: Option<Properties>,
    /// Common options.
    pub call: CallOptions,
}

/// The method of a presigned request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PresignedMethod {
    /// Read the blob.
    Get,
    /// Read the blob's properties.
    Head,
    /// Write the blob.
    Put,
    /// Delete the blob.
    Delete,
}

/// Options of `presign`, and its argument `expires-in`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresignOptions {
    /// Validity in nanoseconds.
    pub expires: u64,
    /// Headers the request must be sent with, names in lower case.
    pub headers: Vec<Pair>,
    /// Version. Default: the current one.
    pub version: Option<String>,
    /// Common options.
    pub call: CallOptions,
}

/// A presigned request: anybody can send it until it expires.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// URL.
    pub url: String,
    /// Headers to send with it.
    pub headers: Vec<Pair>,
}

impl std::fmt::Debug for Presigned {
    /// Omits the URL, which is a secret: its holder can send the request.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presigned(…)")
    }
}

/// Options of `get-tags` and `set-tags`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagOptions {
    /// Version. Default: the current one.
    pub version: Option<String>,
    /// Common options.
    pub call: CallOptions,
}

/// A blob, or a range of it, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    /// Properties of the whole blob.
    pub info: BlobInfo,
    /// Range of the blob that `body` contains.
    pub range: Span,
    /// Content.
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

/// Result of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Entity tag of the blob.
    pub etag: Option<String>,
    /// Version of the blob, in a versioned bucket.
    pub version: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The cases of an enum in `wit/types.wit`.
    pub(crate) fn cases_of(name: &str) -> Vec<&'static str> {
        let contract = include_str!("../../../../../wit/types.wit");
        let start = format!("enum {name} {{");
        let (_, rest) = contract.split_once(&start).unwrap();
        let (cases, _) = rest.split_once('}').unwrap();
        let lines = cases.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        lines.map(|line| line.trim_end_matches(',')).collect()
    }

    /// `contract::convert` converts a case by its position.
    #[test]
    fn enums_have_the_cases_of_the_contract_in_its_order() {
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
