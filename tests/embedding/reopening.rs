//! Stores that are dropped and opened again with equal options.

use sandbucket::{Credentials, Engine, PresignedMethod, Store, StoreOptions};
use sandbucket_tests::{builder, dev_server, run, settings};

fn engine() -> Engine {
    builder().build().expect("an engine")
}

async fn opened(engine: &Engine, options: &StoreOptions) -> Store {
    engine.open(options.clone()).await.expect("the store opens")
}

#[test]
fn store_opened_again_with_equal_options_has_its_instance() {
    run(async {
        let server = dev_server().await;
        let engine = engine();
        let options = StoreOptions::new().settings(settings(&server.endpoint(), &[]));
        let first = opened(&engine, &options).await;
        first.put("reopened", "text").await.expect("a write");
        let created = first.pool().created;
        drop(first);
        for _ in 0..3 {
            let again = opened(&engine, &options).await;
            assert_eq!(again.pool().created, created);
            let blob = again.get("reopened").await.expect("a blob");
            assert_eq!(blob.bytes().await.expect("its bytes"), "text");
        }
        // One is taken back, the other is new.
        let (one, other) = (opened(&engine, &options).await, opened(&engine, &options).await);
        assert!(other.pool().created == 1 && one.pool().created >= created);
        one.delete("reopened").await.expect("a deletion");
        assert!(other.get("reopened").await.is_err());
    });
}

/// A store that somebody still uses is not opened a second time, and a stream that is being read keeps it.
#[test]
fn store_in_use_is_not_taken() {
    run(async {
        let server = dev_server().await;
        let engine = engine();
        let options = StoreOptions::new().settings(settings(&server.endpoint(), &[]));
        let store = opened(&engine, &options).await;
        store.put("read", vec![7; 1 << 20]).await.expect("a write");
        let created = store.pool().created;
        let blob = store.get("read").await.expect("a blob");
        drop(store);
        let second = opened(&engine, &options).await;
        assert_eq!(second.pool().created, 1);
        assert_eq!(blob.bytes().await.expect("its bytes").len(), 1 << 20);
        let third = opened(&engine, &options).await;
        assert_eq!(third.pool().created, created, "the reader has ended");
    });
}

#[test]
fn store_with_changed_credentials_is_not_kept() {
    run(async {
        let engine = engine();
        let options = StoreOptions::new().settings(settings("http://127.0.0.1:9", &[]));
        let store = opened(&engine, &options).await;
        store.set_credentials(Credentials::new("another", "key")).await.expect("other credentials");
        let changed = store.presign(PresignedMethod::Get, "k").await.expect("a URL").url;
        assert!(changed.contains("another"), "{changed}");
        drop(store);
        let again = opened(&engine, &options).await;
        let url = again.presign(PresignedMethod::Get, "k").await.expect("a URL").url;
        assert!(url.contains("tester") && !url.contains("another"), "{url}");
    });
}
