//! Bulk deletes: how many requests they take.

use futures::TryStreamExt;
use sandbucket::BuiltIn;
use sandbucket::telemetry::AuditQueue;
use sandbucket_tests::{builder, run};

use crate::start;

#[test]
fn many_blobs_are_deleted_in_few_requests() {
    run(async {
        let server = start().await;
        let (queue, mut records) = AuditQueue::new(1000);
        let engine = builder().built_in(BuiltIn::Azure).audit(queue).build().unwrap();
        let store = engine.store(server.settings(&[("key-prefix", "t/")])).await.unwrap();
        let keys: Vec<String> = (0..300).map(|n| format!("é {n}")).collect();
        let writes = keys[..299].iter().map(|key| store.put(key, "x").into_future());
        futures::future::try_join_all(writes).await.unwrap();
        // The last one does not exist.
        let outcomes = store.delete_many(&keys).await.unwrap();
        assert!(outcomes.len() == 300 && outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        let left: Vec<_> = store.list("").entries().try_collect().await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        drop(store);
        drop(engine);
        let record = loop {
            let record = records.next().await.expect("a record of the deletion");
            if record.operation == "delete_many" {
                break record;
            }
        };
        assert_eq!((record.requests, record.bucket.as_deref()), (2, Some(server.bucket())), "{record:?}");
    });
}
