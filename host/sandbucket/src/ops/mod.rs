//! The operations of a [`Store`](crate::Store): request builders, and operations that consist of several calls.
//!
//! | Module | Contents |
//! |---|---|
//! | `builders` | What the methods of a store return: options by method, and a future. |
//! | `options` | The options of a call, and their records in the contract. |
//! | `calls` | One call of the contract each, typed. |
//! | `upload`, `download`, `multipart_copy` | Blobs in parts, several at a time. |
//! | `blob_reader` | A body being read, and resumed where it breaks off. |
//! | `cleanup` | Abandoned uploads are aborted in the background. |

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
