//! S3 as a Sandbucket plugin: the WebAssembly component `sandbucket-s3`, on the SDK `sandbucket-plugin`.
//!
//! | Module | Contents |
//! |---|---|
//! | [`ops`] | The operations as stages of the SDK's state machine: signing, reconciliation and fallbacks. |
//! | [`requests`], [`response`], [`documents`], [`service_error`] | Requests, and what their responses and errors say. |
//! | [`sigv4`], [`time`] | Signatures. |
//! | [`endpoint`], [`bucket`] | Where a bucket is, and what it may be called. |
//! | [`attributes`], [`headers`], [`checksum`] | What is sent and received in header fields. |
//! | [`continuation`] | Positions in listings. |
//! | [`settings`] | The settings: their table, and how they are parsed. |
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html>

pub mod attributes;
pub mod bucket;
pub mod checksum;
pub mod continuation;
pub mod documents;
pub mod endpoint;
pub mod headers;
pub mod ops;
pub mod requests;
pub mod response;
pub mod service_error;
pub mod settings;
pub mod sigv4;
pub mod time;

sandbucket_plugin::export!(ops::S3);
