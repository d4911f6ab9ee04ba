//! The HTTP requests of the operations, before signing.
//!
//! Arguments are validated here: an invalid one is an error before any request is sent.

pub mod attributes;
mod blob;
mod bucket;
mod checksum;
mod copy;
pub(crate) mod delete_many;
mod listing;
mod metadata;
mod multipart;
mod presign;
mod tags;

use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::key::check_version;

use crate::settings::Settings;

pub use blob::{delete, get, head, put};
pub use bucket::{create_bucket, delete_bucket, head_bucket, in_bucket, list_buckets};
pub use copy::{Source, copy};
pub use delete_many::{DeleteEntry, MAX_DELETES, delete_many};
pub use listing::{list, list_versions};
pub(crate) use metadata::metadata;
pub use multipart::{
    abort_upload, complete_upload, copy_part, create_upload, list_parts, list_uploads, part_checksums, upload_part,
};
pub use presign::{MAX_EXPIRES, presign};
pub use tags::{set_tags, tags};

/// A request for the blob with this full key, or for the bucket if it is empty.
pub(crate) fn base(method: Method, settings: &Settings, key: &str) -> Request {
    let endpoint = &settings.endpoint;
    Request::new(method, endpoint.https, endpoint.authority.clone(), endpoint.object_path(key))
}

pub(crate) fn version(request: &mut Request, version: Option<&str>) -> Result<(), Failure> {
    if let Some(id) = version {
        check_version(id)?;
        request.parameter("versionId", id);
    }
    Ok(())
}

/// Condition headers on the source of a copy.
pub(crate) const SOURCE: [&str; 4] = [
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
];
