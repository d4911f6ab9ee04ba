//! The contract and wasi:http as Rust sees them, made from `wit/`. The contract's records are those of [`crate::model`].

wit_bindgen::generate!({
    path: "../wit",
    world: "plugin",
    generate_all,
    pub_export_macro: true,
    with: {
        "wasi:clocks/wall-clock@0.2.0/datetime": crate::model::Datetime,
        "sandbucket:blob/types@0.1.0/blob": crate::model::Blob,
        "sandbucket:blob/types@0.1.0/blob-info": crate::model::BlobInfo,
        "sandbucket:blob/types@0.1.0/blob-name": crate::model::BlobName,
        "sandbucket:blob/types@0.1.0/byte-range": crate::model::ByteRange,
        "sandbucket:blob/types@0.1.0/call-options": crate::model::CallOptions,
        "sandbucket:blob/types@0.1.0/copy-options": crate::model::CopyOptions,
        "sandbucket:blob/types@0.1.0/delete-many-options": crate::model::DeleteManyOptions,
        "sandbucket:blob/types@0.1.0/delete-options": crate::model::DeleteOptions,
        "sandbucket:blob/types@0.1.0/digest": crate::model::Digest,
        "sandbucket:blob/types@0.1.0/digest-algorithm": crate::checksum::Algorithm,
        "sandbucket:blob/types@0.1.0/error": crate::error::Error,
        "sandbucket:blob/types@0.1.0/error-kind": crate::error::Kind,
        "sandbucket:blob/types@0.1.0/head-options": crate::model::HeadOptions,
        "sandbucket:blob/types@0.1.0/presign-options": crate::model::PresignOptions,
        "sandbucket:blob/types@0.1.0/presigned": crate::model::Presigned,
        "sandbucket:blob/types@0.1.0/presigned-method": crate::model::PresignedMethod,
        "sandbucket:blob/types@0.1.0/properties": crate::model::Properties,
        "sandbucket:blob/types@0.1.0/read-conditions": crate::model::Conditions,
        "sandbucket:blob/types@0.1.0/read-options": crate::model::ReadOptions,
        "sandbucket:blob/types@0.1.0/service-answer": crate::error::Answer,
        "sandbucket:blob/types@0.1.0/span": crate::model::Span,
        "sandbucket:blob/types@0.1.0/tag-options": crate::model::TagOptions,
        "sandbucket:blob/types@0.1.0/write-condition": crate::model::WriteCondition,
        "sandbucket:blob/types@0.1.0/write-options": crate::model::WriteOptions,
        "sandbucket:blob/types@0.1.0/written": crate::model::Written,
        "sandbucket:blob/exchanges@0.1.0/asked": crate::model::Asked,
        "sandbucket:blob/exchanges@0.1.0/asked-part": crate::model::AskedPart,
        "sandbucket:blob/exchanges@0.1.0/head-operation": crate::model::HeadOperation,
        "sandbucket:blob/exchanges@0.1.0/next": crate::model::Next,
        "sandbucket:blob/exchanges@0.1.0/opened-head": crate::model::OpenedHead,
        "sandbucket:blob/exchanges@0.1.0/operation": crate::model::Operation,
        "sandbucket:blob/exchanges@0.1.0/method": crate::request::Method,
        "sandbucket:blob/exchanges@0.1.0/outgoing": crate::model::Outgoing,
        "sandbucket:blob/exchanges@0.1.0/part-operation": crate::model::PartOperation,
        "sandbucket:blob/exchanges@0.1.0/read-operation": crate::model::ReadOperation,
        "sandbucket:blob/exchanges@0.1.0/retry": crate::model::Retry,
        "sandbucket:blob/exchanges@0.1.0/settled": crate::model::Settled,
        "sandbucket:blob/exchanges@0.1.0/tries": crate::model::Tries,
        "sandbucket:blob/exchanges@0.1.0/write-operation": crate::model::WriteOperation,
        "sandbucket:blob/listing@0.1.0/entry": crate::model::Entry,
        "sandbucket:blob/listing@0.1.0/list-options": crate::model::ListOptions,
        "sandbucket:blob/listing@0.1.0/list-page": crate::model::ListPage,
        "sandbucket:blob/listing@0.1.0/version-entry": crate::model::VersionEntry,
        "sandbucket:blob/listing@0.1.0/version-page": crate::model::VersionPage,
        "sandbucket:blob/multipart@0.1.0/complete-options": crate::model::CompleteOptions,
        "sandbucket:blob/multipart@0.1.0/copy-part-options": crate::model::CopyPartOptions,
        "sandbucket:blob/multipart@0.1.0/list-parts-options": crate::model::ListPartsOptions,
        "sandbucket:blob/multipart@0.1.0/list-uploads-options": crate::model::ListUploadsOptions,
        "sandbucket:blob/multipart@0.1.0/part": crate::model::Part,
        "sandbucket:blob/multipart@0.1.0/part-options": crate::model::PartOptions,
        "sandbucket:blob/multipart@0.1.0/part-page": crate::model::PartPage,
        "sandbucket:blob/multipart@0.1.0/upload": crate::model::Upload,
        "sandbucket:blob/multipart@0.1.0/upload-options": crate::model::UploadOptions,
        "sandbucket:blob/multipart@0.1.0/upload-page": crate::model::UploadPage,
    },
});

// What the bindings make of a case's number.
impl crate::checksum::Algorithm {
    fn _lift(case: u8) -> Self {
        match case {
            0 => Self::Sha256,
            1 => Self::Md5,
            2 => Self::Crc32,
            3 => Self::Crc32c,
            _ => Self::Crc64Nvme,
        }
    }
}

impl crate::model::PresignedMethod {
    fn _lift(case: u8) -> Self {
        match case {
            0 => Self::Get,
            1 => Self::Head,
            2 => Self::Put,
            _ => Self::Delete,
        }
    }
}
