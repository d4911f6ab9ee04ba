//! End to end: from the host's API through the sandboxed plugin to an S3 server that verifies signatures.
//!
//! The modules that open their stores by [`start`] are about every plugin: `tests/azure` runs them as well.

mod blobs;
mod buckets;
mod conditions;
mod copies;
mod dev_server;
mod downloads;
mod keys;
mod listing;
mod presigned;
mod properties;
mod settings;
mod traffic;
mod uploads;

use sandbucket_tests::Service;

/// Starts the service of this run.
pub(crate) async fn start() -> Service {
    Service::start().await
}
