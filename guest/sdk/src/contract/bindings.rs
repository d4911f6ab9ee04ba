//! The contract, wasi:http, wasi:io and wasi:clocks as Rust, made from `wit/`.
//!
//! Records that the state machines produce are those of [`crate::contract::model`]; what callers pass is converted in
//! [`super::convert`], because there every field is optional.

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
    generate_all,
    pub_export_macro: true,
    with: {
        "wasi:clocks/wall-clock@0.2.0/datetime": crate::contract::model::Datetime,
        "sandbucket:blob/types@0.2.0/blob-ref": crate::contract::model::BlobRef,
        "sandbucket:blob/types@0.2.0/byte-range": crate::contract::model::ByteRange,
        "sandbucket:blob/types@0.2.0/copy-source": crate::contract::model::CopySource,
        "sandbucket:blob/types@0.2.0/digest": crate::contract::model::Digest,
        "sandbucket:blob/types@0.2.0/digest-algorithm": crate::contract::model::Algorithm,
        "sandbucket:blob/types@0.2.0/error": crate::contract::error::Error,
        "sandbucket:blob/types@0.2.0/error-kind": crate::contract::error::Kind,
        "sandbucket:blob/types@0.2.0/presigned": crate::contract::model::Presigned,
        "sandbucket:blob/types@0.2.0/presigned-method": crate::contract::model::PresignedMethod,
        "sandbucket:blob/types@0.2.0/read-conditions": crate::contract::model::ReadConditions,
        "sandbucket:blob/types@0.2.0/service-response": crate::contract::error::ServiceResponse,
        "sandbucket:blob/types@0.2.0/span": crate::contract::model::Span,
        "sandbucket:blob/types@0.2.0/write-condition": crate::contract::model::WriteCondition,
        "sandbucket:blob/types@0.2.0/written": crate::contract::model::Written,
        "sandbucket:blob/sans-io@0.2.0/method": crate::http::request::Method,
        "sandbucket:blob/listing@0.2.0/entry": crate::contract::model::Entry,
        "sandbucket:blob/listing@0.2.0/list-page": crate::contract::model::ListPage,
        "sandbucket:blob/listing@0.2.0/version-entry": crate::contract::model::VersionEntry,
        "sandbucket:blob/listing@0.2.0/version-page": crate::contract::model::VersionPage,
        "sandbucket:blob/multipart@0.2.0/part": crate::contract::model::Part,
        "sandbucket:blob/multipart@0.2.0/part-page": crate::contract::model::PartPage,
        "sandbucket:blob/multipart@0.2.0/upload": crate::contract::model::Upload,
        "sandbucket:blob/multipart@0.2.0/upload-page": crate::contract::model::UploadPage,
        "sandbucket:blob/buckets@0.2.0/bucket": crate::contract::model::Bucket,
        "sandbucket:blob/buckets@0.2.0/bucket-page": crate::contract::model::BucketPage,
    },
});

// The bindings make an enum of the number of its case.
impl crate::contract::model::Algorithm {
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

impl crate::contract::model::PresignedMethod {
    fn _lift(case: u8) -> Self {
        match case {
            0 => Self::Get,
            1 => Self::Head,
            2 => Self::Put,
            _ => Self::Delete,
        }
    }
}
