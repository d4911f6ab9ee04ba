//! Entry points for fuzz targets (`tests/fuzz`) into private code. Not part of the API: no stability, and present only with
//! the feature `fuzzing`.

use object_store::path::Path;
pub use object_store::{Error, ObjectMeta};
use sandbucket::{BlobInfo, Entry};

use crate::convert;

/// Converts the metadata of a blob: `None` if the key is no path, and the number of its attributes.
pub fn to_object_store(key: &str, info: &BlobInfo) -> (Option<ObjectMeta>, usize) {
    let location = Path::parse(key).ok();
    (location.map(|location| convert::meta(location, info)), convert::attributes(info).len())
}

/// Converts an entry of a listing.
pub fn entry_to_object_store(entry: Entry) -> Option<ObjectMeta> {
    convert::listed(entry).ok()
}

/// Converts an error.
pub fn error_to_object_store(error: sandbucket::Error) -> Error {
    convert::error("k", error)
}
