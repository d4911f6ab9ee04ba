//! The contract as Rust sees it, and its types as this crate's own.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::blob::{BlobName, ByteRange, PresignedMethod};
use crate::multipart::Part;

mod functions;
mod validate;

mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        // The imports are linked by hand (see `plugin`), and what a plugin exports is called by hand (see `functions`):
        // of its world only the types are of use here.
        inline: "
            package sandbucket:host@0.1.0;
            world blobs {
                export sandbucket:blob/types@0.1.0;
                export sandbucket:blob/bodies@0.1.0;
                export sandbucket:blob/exchanges@0.1.0;
                export sandbucket:blob/listing@0.1.0;
                export sandbucket:blob/multipart@0.1.0;
                export sandbucket:blob/blob-store@0.1.0;
            }
        ",
        world: "sandbucket:host/blobs",
        with: { "wasi:io": wasmtime_wasi::p2::bindings::io, "wasi:clocks": wasmtime_wasi::p2::bindings::clocks },
        exports: { default: async },
        require_store_data_send: true,
    });
}

pub(crate) use functions::{Host, HostPre, RESULT};
pub(crate) use generated::exports::sandbucket::blob::types as wit;
pub(crate) use generated::exports::sandbucket::blob::{exchanges, listing, multipart};
pub(crate) use validate::{Opened, Output, Step, Validate};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// A moment as the contract has it. One before 1970 becomes 1970.
pub(crate) fn datetime(time: SystemTime) -> Datetime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}

impl From<ByteRange> for wit::ByteRange {
    fn from(range: ByteRange) -> Self {
        match range {
            ByteRange::Whole => wit::ByteRange::Whole,
            ByteRange::From(start) => wit::ByteRange::From(start),
            ByteRange::Within(range) => wit::ByteRange::Within(wit::Span { start: range.start, end: range.end }),
            ByteRange::Last(count) => wit::ByteRange::Last(count),
        }
    }
}

impl From<exchanges::Method> for http::Method {
    fn from(method: exchanges::Method) -> Self {
        match method {
            exchanges::Method::Get => http::Method::GET,
            exchanges::Method::Head => http::Method::HEAD,
            exchanges::Method::Post => http::Method::POST,
            exchanges::Method::Put => http::Method::PUT,
            exchanges::Method::Delete => http::Method::DELETE,
        }
    }
}

impl From<BlobName> for wit::BlobName {
    fn from(name: BlobName) -> Self {
        wit::BlobName { key: name.key, version: name.version }
    }
}

impl From<PresignedMethod> for wit::PresignedMethod {
    fn from(method: PresignedMethod) -> Self {
        match method {
            PresignedMethod::Get => wit::PresignedMethod::Get,
            PresignedMethod::Head => wit::PresignedMethod::Head,
            PresignedMethod::Put => wit::PresignedMethod::Put,
            PresignedMethod::Delete => wit::PresignedMethod::Delete,
        }
    }
}

impl From<Part> for multipart::Part {
    fn from(part: Part) -> Self {
        multipart::Part {
            number: part.number,
            size: part.size,
            etag: part.etag,
            last_modified: part.last_modified.map(datetime),
            attributes: part.attributes,
        }
    }
}
