//! The public data types: plain data, without I/O.

pub(crate) mod blob;
pub(crate) mod body;
pub(crate) mod bucket;
pub(crate) mod digest;
pub(crate) mod listing;
pub(crate) mod multipart;
pub(crate) mod settings;

pub use blob::{
    Attribute, BlobInfo, BlobName, ByteRange, Deleted, Offset, Presigned, PresignedMethod, Setting, SettingKind,
    Written,
};
pub use body::{Body, Chunks};
pub use bucket::{Bucket, BucketPage};
pub use listing::{Entry, ListPage, VersionEntry, VersionPage};
pub use multipart::{Part, PartPage, PendingUpload, UploadPage};
pub use settings::SettingValue;
