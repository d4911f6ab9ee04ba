//! The contract (`wit/`) in Rust: its types, and how the host calls a component that implements it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::types::digest::{Digest, DigestAlgorithm};

mod functions;
mod validate;

mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        // `plugin` links the imports, and `functions` calls the exports: only the types are generated.
        inline: "
            package sandbucket:host@0.2.0;
            world blobs {
                export sandbucket:blob/types@0.2.0;
                export sandbucket:blob/listing@0.2.0;
                export sandbucket:blob/multipart@0.2.0;
                export sandbucket:blob/buckets@0.2.0;
                export sandbucket:blob/store@0.2.0;
                export sandbucket:blob/sans-io@0.2.0;
            }
        ",
        world: "sandbucket:host/blobs",
        with: { "wasi:io": wasmtime_wasi::p2::bindings::io, "wasi:clocks": wasmtime_wasi::p2::bindings::clocks },
        exports: { default: async },
        require_store_data_send: true,
    });
}

pub(crate) use functions::{Host, HostPre, PAGE, RESULT};
pub(crate) use generated::exports::sandbucket::blob::types as wit;
pub(crate) use generated::exports::sandbucket::blob::{buckets, listing, multipart, sans_io};
pub(crate) use validate::{BlobHead, Next, Output, Validate};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// A time as the contract has it. One before 1970 becomes 1970.
pub(crate) fn datetime(time: SystemTime) -> Datetime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}

impl From<wit::DigestAlgorithm> for DigestAlgorithm {
    fn from(algorithm: wit::DigestAlgorithm) -> Self {
        match algorithm {
            wit::DigestAlgorithm::Sha256 => DigestAlgorithm::Sha256,
            wit::DigestAlgorithm::Md5 => DigestAlgorithm::Md5,
            wit::DigestAlgorithm::Crc32 => DigestAlgorithm::Crc32,
            wit::DigestAlgorithm::Crc32c => DigestAlgorithm::Crc32c,
            wit::DigestAlgorithm::Crc64nvme => DigestAlgorithm::Crc64nvme,
        }
    }
}

impl From<wit::Digest> for Digest {
    fn from(digest: wit::Digest) -> Self {
        Digest { algorithm: digest.algorithm.into(), value: digest.value }
    }
}

impl From<Digest> for wit::Digest {
    fn from(digest: Digest) -> Self {
        let algorithm = match digest.algorithm {
            DigestAlgorithm::Sha256 => wit::DigestAlgorithm::Sha256,
            DigestAlgorithm::Md5 => wit::DigestAlgorithm::Md5,
            DigestAlgorithm::Crc32 => wit::DigestAlgorithm::Crc32,
            DigestAlgorithm::Crc32c => wit::DigestAlgorithm::Crc32c,
            DigestAlgorithm::Crc64nvme => wit::DigestAlgorithm::Crc64nvme,
        };
        wit::Digest { algorithm, value: digest.value }
    }
}
