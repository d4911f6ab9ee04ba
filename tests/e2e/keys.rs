//! Keys that clients get wrong, and keys that S3 rejects.

use std::collections::BTreeSet;

use sandbucket_tests::{keys, refused, run};

use crate::start;

#[test]
fn unusual_keys_round_trip() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        // All are written first: two keys treated as one would overwrite each other.
        for key in server.kind.odd_keys() {
            store.put(&key, key.clone()).await.unwrap_or_else(|error| panic!("putting {key:?}: {error}"));
        }
        for key in server.kind.odd_keys() {
            let blob = store.get(&key).await.unwrap_or_else(|error| panic!("getting {key:?}: {error}"));
            assert_eq!(blob.bytes().await.unwrap(), key, "{key:?}");
            assert_eq!(store.head(&key).await.unwrap().size, key.len() as u64, "{key:?}");
        }
        for key in server.kind.odd_keys() {
            store.delete(&key).await.unwrap_or_else(|error| panic!("deleting {key:?}: {error}"));
            refused!(store.head(&key).await, NotFound);
        }
    });
}

#[test]
fn unusual_keys_are_distinct() {
    let keys = keys::odd();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

#[test]
fn invalid_keys_are_rejected_before_a_request() {
    run(async {
        let server = start().await;
        let store = server.open_nowhere().await;
        for key in server.kind.invalid_keys() {
            let failure = refused!(store.put(&key, "x").await, InvalidArgument);
            assert_eq!(failure.attempts, 0, "{failure:?}");
            assert_eq!(failure.subject.as_deref(), Some("key"), "{failure:?}");
            refused!(store.get(&key).await, InvalidArgument);
            refused!(store.head(&key).await, InvalidArgument);
            refused!(store.delete(&key).await, InvalidArgument);
        }
    });
}

#[test]
fn key_prefix_separates_tenants() {
    run(async {
        let server = start().await;
        let ours = server.open(&[("key-prefix", "tenant a/")]).await;
        let theirs = server.open(&[("key-prefix", "tenant b/")]).await;
        let all = server.open(&[]).await;
        ours.put("k", "ours").await.unwrap();
        refused!(theirs.get("k").await, NotFound);
        assert_eq!(all.get("tenant a/k").await.unwrap().bytes().await.unwrap(), "ours");
        // Keys do not escape the prefix, and prefix and key together respect the service's limit.
        let put = theirs.put("../tenant a/k", "theirs").await;
        assert_eq!(put.is_ok(), server.kind.takes("../tenant a/k"));
        assert_eq!(ours.get("k").await.unwrap().bytes().await.unwrap(), "ours");
        ours.put("n".repeat(1024 - "tenant a/".len()), "x").await.unwrap();
        refused!(ours.put("n".repeat(1025 - "tenant a/".len()), "x").await, InvalidArgument);
    });
}
