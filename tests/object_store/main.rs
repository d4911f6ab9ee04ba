//! The `object_store` adapter on the service of this run: the dev server, or that of `SANDBUCKET_SERVICE`.

#[path = "suites.rs"]
mod suites;

use sandbucket_tests::Service;

/// Starts the service of this run.
pub(crate) async fn start() -> Service {
    Service::start().await
}
