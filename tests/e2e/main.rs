//! End to end: from the host's API through the sandboxed plugin to an S3 server that verifies signatures.

mod blobs;
mod buckets;
mod conditions;
mod copies;
mod downloads;
mod keys;
mod listing;
mod presigned;
mod properties;
mod settings;
mod traffic;
mod uploads;
