//! The `object_store` crate's own integration suite on our store, and tests beyond that suite: on the service that the test
//! program starts.

mod ours;
mod suite;

use sandbucket_object_store::SandbucketStore;
use sandbucket_tests::Service;

/// A store on the service of this run.
async fn start() -> (Service, SandbucketStore) {
    let service = crate::start().await;
    let store = service.open(&[]).await;
    (service, SandbucketStore::new(store))
}
