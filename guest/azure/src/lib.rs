//! Azure Blob Storage as a Sandbucket plugin: the WebAssembly component `sandbucket-azure`.
//!
//! | Module | Contents |
//! |---|---|
//! | [`ops`] | The operations: which requests they make, and what follows a response. |
//! | [`requests`] | Requests before authorization. |
//! | [`shared_key`], [`sas`] | Signatures of requests, and of URLs. |
//! | [`response`], [`documents`], [`service_error`] | Parsers of responses and errors. |
//! | [`upload_id`] | Uploads on a service without upload objects: ids of uploads and of their blocks. |
//! | [`settings`], [`attributes`], [`headers`], [`endpoint`], [`container`], [`key`], [`continuation`] | Settings of stores, arguments of calls, and their validation. |
//!
//! The files are those of the S3 plugin (`guest/s3`) where the concern is the same. The state machine, retries, drivers and the
//! contract's types are the SDK's (`guest/sdk`).

pub mod attributes;
pub mod container;
pub mod continuation;
pub mod documents;
pub mod endpoint;
pub mod headers;
pub mod key;
pub mod ops;
pub mod requests;
pub mod response;
pub mod sas;
pub mod service_error;
pub mod settings;
pub mod shared_key;
pub mod upload_id;

pub use ops::Azure;

sandbucket_plugin::export!(Azure);
