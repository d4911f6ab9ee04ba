//! The S3 plugin and a model of its store, on the dev server.

mod model;

use sandbucket::Store;
use sandbucket_dev_server::DevServer;
use sandbucket_tests::{ACCESS_KEY, BUCKET, Kind, SECRET_KEY, open, run};

/// Thousands of operations in all.
const RUNS: u32 = 40;

impl model::Place for DevServer {
    fn kind(&self) -> Kind {
        Kind::Dev
    }

    async fn open(&self, prefix: &str) -> Store {
        open(&self.endpoint(), &[("key-prefix", prefix)]).await
    }
}

#[test]
fn store_behaves_like_its_model() {
    // Parts may be as small as the blobs.
    let server = DevServer::builder().credentials(ACCESS_KEY, SECRET_KEY).buckets([BUCKET]).min_part(0);
    let server = run(server.start()).unwrap();
    model::compare(&server, RUNS);
}
