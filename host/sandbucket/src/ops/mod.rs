//! The operations of a [`Store`](crate::Store): request builders, and operations that consist of several calls.
//!
//! | Module | Contents |
//! |---|---|
//! | `builders` | Request builders: setters, and a future. |
//! | `options` | Options of calls, and their conversion to the contract. |
//! | `calls` | Typed calls of the contract. |
//! | `upload`, `download`, `multipart_copy` | Concurrent multipart transfers. |
//! | `blob_reader` | Reading a body, with resumption. |
//! | `cleanup` | Background abort of abandoned uploads. |

pub(crate) mod blob_reader;
pub(crate) mod builders;
pub(crate) mod calls;
pub(crate) mod cleanup;
pub(crate) mod download;
pub(crate) mod multipart_copy;
pub(crate) mod options;
pub(crate) mod part_sizes;
pub(crate) mod upload;

pub use blob_reader::Blob;
pub use builders::{
    AbortUpload, BucketExists, CompleteUpload, Copy, CopyPart, CreateBucket, CreateUpload, Delete, DeleteBucket,
    DeleteMany, Get, GetTags, Head, List, ListBuckets, ListParts, ListUploads, ListVersions, Presign, Put, Rename,
    SetTags, UploadPart,
};
pub use calls::Call;
pub use download::{Download, Downloading};
pub use upload::{Upload, Writer};
