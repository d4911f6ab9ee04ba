//! The plugin for Azure Blob Storage on Azurite, which verifies signatures.
//!
//! Without Node 20 and npm they are left out, and the build script says so.
//!
//! The modules of `tests/e2e`, `tests/object_store` and `tests/model` are those that the S3 plugin passes on the dev server.
#![cfg(node)]

mod batches;
mod config;
mod containers;
mod credentials;
mod exchange;
mod faults;
mod multipart;
mod properties;

#[path = "../object_store/suites.rs"]
mod adapter;
#[path = "../e2e/blobs.rs"]
mod blobs;
#[path = "../e2e/conditions.rs"]
mod conditions;
#[path = "../e2e/copies.rs"]
mod copies;
#[path = "../e2e/downloads.rs"]
mod downloads;
#[path = "../e2e/keys.rs"]
mod keys;
#[path = "../e2e/listing.rs"]
mod listing;
#[path = "../model/model.rs"]
mod model;
#[path = "../e2e/presigned.rs"]
mod presigned;
#[path = "../e2e/properties.rs"]
mod shared_properties;
#[path = "../e2e/uploads.rs"]
mod uploads;

use sandbucket::Store;
use sandbucket_tests::{Kind, Service, run};

/// Runs of the model, of a hundred operations each.
const MODEL_RUNS: u32 = 10;

/// A container on Azurite.
pub(crate) async fn start() -> Service {
    Kind::Azurite.start().await
}

impl model::Place for Service {
    fn kind(&self) -> Kind {
        self.kind
    }

    async fn open(&self, prefix: &str) -> Store {
        Service::open(self, &[("key-prefix", prefix)]).await
    }
}

#[test]
fn store_behaves_like_its_model() {
    model::compare(&run(start()), MODEL_RUNS);
}
