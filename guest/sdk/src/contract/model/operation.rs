//! Operations and their results, as `wit/sans-io.wit` documents them.

use serde::{Deserialize, Serialize};

use crate::contract::error::Failure;

use super::{
    AbortOptions, BlobHead, BlobInfo, BlobRef, BucketOptions, BucketPage, CallOptions, CompleteOptions, CopyOptions,
    CopyPartOptions, CopySource, DeleteManyOptions, DeleteOptions, GetOptions, HeadOptions, ListBucketsOptions,
    ListOptions, ListPage, ListPartsOptions, ListUploadsOptions, Pair, Part, PartOptions, PartPage, PresignOptions,
    Presigned, PresignedMethod, PutOptions, TagOptions, UploadPage, VersionPage, WriteCondition, Written,
};

/// An operation and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the arguments of the contract's functions")]
pub enum Operation {
    Head { key: String, options: HeadOptions },
    Get { key: String, options: GetOptions },
    Put { key: String, length: u64, options: PutOptions },
    Delete { key: String, options: DeleteOptions },
    DeleteMany { blobs: Vec<BlobRef>, options: DeleteManyOptions },
    List { options: ListOptions },
    ListVersions { options: ListOptions },
    Copy { source: CopySource, to: String, options: CopyOptions },
    Presign { method: PresignedMethod, key: String, options: PresignOptions },
    GetTags { key: String, options: TagOptions },
    SetTags { key: String, tags: Vec<Pair>, options: TagOptions },
    CreateUpload { key: String, options: PutOptions },
    UploadPart { key: String, upload: String, number: u32, length: u64, options: PartOptions },
    CopyPart { key: String, upload: String, number: u32, source: CopySource, options: CopyPartOptions },
    ListParts { key: String, upload: String, options: ListPartsOptions },
    CompleteUpload { key: String, upload: String, parts: Vec<Part>, options: CompleteOptions },
    AbortUpload { key: String, upload: String, options: AbortOptions },
    ListUploads { options: ListUploadsOptions },
    CreateBucket { name: String, options: BucketOptions },
    DeleteBucket { name: String, options: BucketOptions },
    BucketExists { name: String, options: BucketOptions },
    ListBuckets { options: ListBucketsOptions },
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a case is the result of the operation of its name")]
pub enum Output {
    Head(BlobInfo),
    Get(BlobHead),
    Put(Written),
    Delete(Option<bool>),
    DeleteMany(Vec<Result<(), Failure>>),
    List(ListPage),
    ListVersions(VersionPage),
    Copy(Written),
    Presign(Presigned),
    GetTags(Vec<Pair>),
    SetTags,
    CreateUpload(String),
    UploadPart(Part),
    CopyPart(Part),
    ListParts(PartPage),
    CompleteUpload(Written),
    AbortUpload,
    ListUploads(UploadPage),
    CreateBucket,
    DeleteBucket,
    BucketExists(bool),
    ListBuckets(BucketPage),
}

impl Operation {
    /// The verb of an error message about it, which [`Operation::subject`] follows.
    pub fn verb(&self) -> &'static str {
        match self {
            Operation::Head { .. } => "head",
            Operation::Get { .. } => "get",
            Operation::Put { .. } => "put",
            Operation::Delete { .. } => "delete",
            Operation::DeleteMany { .. } => "delete several blobs",
            Operation::List { .. } => "list",
            Operation::ListVersions { .. } => "list the versions of",
            Operation::Copy { .. } => "copy to",
            Operation::Presign { .. } => "presign",
            Operation::GetTags { .. } => "get the tags of",
            Operation::SetTags { .. } => "tag",
            Operation::CreateUpload { .. } => "begin an upload of",
            Operation::UploadPart { .. } => "upload a part of",
            Operation::CopyPart { .. } => "copy a part to",
            Operation::ListParts { .. } => "list the parts of",
            Operation::CompleteUpload { .. } => "complete the upload of",
            Operation::AbortUpload { .. } => "abort the upload of",
            Operation::ListUploads { .. } => "list the uploads of",
            Operation::CreateBucket { .. } => "create the bucket",
            Operation::DeleteBucket { .. } => "delete the bucket",
            Operation::BucketExists { .. } => "look for the bucket",
            Operation::ListBuckets { .. } => "list the buckets",
        }
    }

    /// Its key, the prefix of the keys it lists, or its bucket's name.
    pub fn subject(&self) -> &str {
        match self {
            Operation::Head { key, .. }
            | Operation::Get { key, .. }
            | Operation::Put { key, .. }
            | Operation::Delete { key, .. }
            | Operation::Copy { to: key, .. }
            | Operation::Presign { key, .. }
            | Operation::GetTags { key, .. }
            | Operation::SetTags { key, .. }
            | Operation::CreateUpload { key, .. }
            | Operation::UploadPart { key, .. }
            | Operation::CopyPart { key, .. }
            | Operation::ListParts { key, .. }
            | Operation::CompleteUpload { key, .. }
            | Operation::AbortUpload { key, .. } => key,
            Operation::List { options } | Operation::ListVersions { options } => &options.prefix,
            Operation::ListUploads { options } => &options.prefix,
            Operation::CreateBucket { name, .. }
            | Operation::DeleteBucket { name, .. }
            | Operation::BucketExists { name, .. } => name,
            Operation::ListBuckets { options } => &options.prefix,
            Operation::DeleteMany { .. } => "",
        }
    }

    /// Whether its subject is a bucket, not a key.
    pub(crate) fn is_of_buckets(&self) -> bool {
        matches!(
            self,
            Operation::CreateBucket { .. }
                | Operation::DeleteBucket { .. }
                | Operation::BucketExists { .. }
                | Operation::ListBuckets { .. }
        )
    }

    /// The condition under which it writes.
    pub fn write_condition(&self) -> &WriteCondition {
        match self {
            Operation::Put { options, .. } => &options.condition,
            Operation::Copy { options, .. } => &options.condition,
            Operation::CompleteUpload { options, .. } => &options.condition,
            _ => &WriteCondition::Always,
        }
    }

    /// Its common options.
    pub fn call(&self) -> &CallOptions {
        match self {
            Operation::Head { options, .. } => &options.call,
            Operation::Get { options, .. } => &options.call,
            Operation::Put { options, .. } | Operation::CreateUpload { options, .. } => &options.call,
            Operation::Delete { options, .. } => &options.call,
            Operation::DeleteMany { options, .. } => &options.call,
            Operation::List { options } | Operation::ListVersions { options } => &options.call,
            Operation::Copy { options, .. } => &options.call,
            Operation::Presign { options, .. } => &options.call,
            Operation::GetTags { options, .. } | Operation::SetTags { options, .. } => &options.call,
            Operation::UploadPart { options, .. } => &options.call,
            Operation::CopyPart { options, .. } => &options.call,
            Operation::ListParts { options, .. } => &options.call,
            Operation::CompleteUpload { options, .. } => &options.call,
            Operation::AbortUpload { options, .. } => &options.call,
            Operation::ListUploads { options } => &options.call,
            Operation::CreateBucket { options, .. }
            | Operation::DeleteBucket { options, .. }
            | Operation::BucketExists { options, .. } => &options.call,
            Operation::ListBuckets { options } => &options.call,
        }
    }
}
