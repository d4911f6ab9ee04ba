//! A slow service and few instances: no instance is held while a request is in flight.

use std::future::IntoFuture;

use futures::future::{BoxFuture, join_all};
use sandbucket::Limits;
use sandbucket_tests::{builder, settings};

use super::*;

/// Delay of the service before each response.
const DELAY: Duration = Duration::from_secs(3);
/// Concurrent operations, and the instances that they share.
const OPERATIONS: usize = 200;
const INSTANCES: usize = 4;

const LIST: &str = "<?xml version=\"1.0\"?><ListBucketResult><Name>sandbucket-tests</Name><KeyCount>0</KeyCount>\
                    <MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";
const COPY: &str = "<?xml version=\"1.0\"?><CopyObjectResult><ETag>\"e\"</ETag>\
                    <LastModified>2026-01-01T00:00:00.000Z</LastModified></CopyObjectResult>";

#[test]
fn two_hundred_slow_lists_deletes_and_copies_run_concurrently_with_four_instances() {
    run(async {
        let limits = Limits::default().with_instances(INSTANCES).with_instances_per_store(OPERATIONS);
        let engine = builder().limits(limits).build().unwrap();
        // One response for each kind of operation.
        let responses = [Act::respond(200, "", LIST), Act::respond(204, "", ""), Act::respond(200, "", COPY)];
        let mut servers = Vec::new();
        let mut stores = Vec::new();
        for response in responses {
            let server = Faulty::always(response.delayed(DELAY)).await;
            stores.push(engine.store(settings(&server.endpoint(), &[("max-retries", "0")])).await.unwrap());
            servers.push(server);
        }
        let operation = |n: usize| -> BoxFuture<'static, Result<(), Error>> {
            let store = stores[n % 3].clone();
            Box::pin(async move {
                match n % 3 {
                    0 => store.list("").into_future().await.map(|page| assert!(page.entries.is_empty())),
                    1 => store.delete(format!("k{n}")).into_future().await.map(drop),
                    _ => {
                        let written = store.copy("from", format!("k{n}")).length_hint(1).into_future().await?;
                        assert_eq!(written.etag.as_deref(), Some("\"e\""));
                        Ok(())
                    }
                }
            })
        };
        let began = Instant::now();
        let outcomes = join_all((0..OPERATIONS).map(operation)).await;
        let took = began.elapsed();
        for (n, outcome) in outcomes.into_iter().enumerate() {
            outcome.unwrap_or_else(|error| panic!("operation {n}: {error}"));
        }
        // If each operation held an instance, it would take 50 times the delay.
        assert!(took >= DELAY && took < 2 * DELAY, "{took:?}");
        assert_eq!(servers.iter().map(|server| server.seen().len()).sum::<usize>(), OPERATIONS);
        for store in &stores {
            let pool = store.pool();
            assert!(pool.created as usize <= INSTANCES && pool.busy == 0 && pool.discarded == 0, "{pool:?}");
        }
    });
}
