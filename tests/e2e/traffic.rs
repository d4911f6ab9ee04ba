//! Many concurrent calls, and many random blobs.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sandbucket_tests::{Service, run};

#[test]
fn concurrent_calls_return_their_own_blobs() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[]).await;
        let calls: Vec<_> = (0..64usize)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let (key, body) = (format!("key {n}"), vec![n as u8; n * 997]);
                    store.put(&key, body.clone()).metadata("n", n.to_string()).await.unwrap();
                    let blob = store.get(&key).await.unwrap();
                    assert_eq!(blob.info().metadata, [("n".to_owned(), n.to_string())]);
                    assert_eq!(blob.bytes().await.unwrap(), body);
                    store.delete(&key).await.unwrap();
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        let pool = store.pool();
        assert_eq!((pool.busy, pool.discarded), (0, 0), "{pool:?}");
        assert!(pool.idle >= 1 && pool.created <= 64, "{pool:?}");
    });
}

#[test]
fn sequential_calls_use_one_instance() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[]).await;
        for n in 0..20 {
            store.put("k", n.to_string()).await.unwrap();
        }
        let pool = store.pool();
        assert_eq!((pool.idle, pool.busy, pool.created, pool.discarded, pool.retired), (1, 0, 1, 0, 0), "{pool:?}");
    });
}

#[test]
fn instance_memory_does_not_grow_with_blob_size() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[]).await;
        store.put("k", "x").await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "x");
        let before = store.pool();
        // The initial linear memory.
        assert_eq!(before.memory, 448 << 10, "{before:?}");
        let body = Bytes::from(vec![7; 50 << 20]);
        store.put("large", body.clone()).await.unwrap();
        assert!(store.get("large").await.unwrap().bytes().await.unwrap() == body);
        store.upload("parts").concurrency(1).reader(&body[..]).await.unwrap();
        let after = store.pool();
        assert_eq!((after.created, after.memory), (before.created, before.memory), "{before:?} {after:?}");
    });
}

#[test]
fn instance_memory_is_stable_over_many_calls() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[]).await;
        store.put("k", "x").await.unwrap();
        // More calls than an instance may hold handles: a leaked handle per call would exhaust them.
        for _ in 0..1500 {
            store.head("k").await.unwrap();
        }
        let pool = store.pool();
        assert_eq!((pool.idle, pool.created, pool.discarded, pool.retired), (1, 1, 0, 0), "{pool:?}");
    });
}

#[test]
fn dropped_call_leaks_no_instance() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[]).await;
        let call = tokio::spawn({
            let store = store.clone();
            async move { store.put("k", vec![7; 30 << 20]).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        call.abort();
        let _ = call.await;
        store.put("after", "x").await.unwrap();
        assert_eq!(store.get("after").await.unwrap().bytes().await.unwrap(), "x");
        assert_eq!(store.pool().busy, 0, "{:?}", store.pool());
    });
}

#[test]
fn progress_callback_reaches_the_total() {
    run(async {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU64, Ordering};
        let server = Service::start().await;
        let store = server.open(&[]).await;
        let (sent, reported) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (last, times) = (sent.clone(), reported.clone());
        let put = store.put("k", vec![7; 5 << 20]).progress(move |bytes| {
            last.fetch_max(bytes, Ordering::Relaxed);
            times.fetch_add(1, Ordering::Relaxed);
        });
        put.await.unwrap();
        assert_eq!(sent.load(Ordering::Relaxed), 5 << 20);
        assert!(reported.load(Ordering::Relaxed) > 1);
    });
}

/// Any key that S3 accepts: mostly short, with more of the characters that have a meaning in URLs than by chance.
fn any_key() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::sample::select("/.+%~ &=?#:;@$,!'()*\\\"<>[]^`{|}_-".chars().collect::<Vec<_>>()),
        3 => proptest::char::range('a', 'z'),
        1 => any::<char>().prop_filter("NUL is a case of its own", |c| *c != '\0'),
    ];
    proptest::collection::vec(character, 1..40).prop_map(String::from_iter)
}

#[test]
fn any_blob_under_any_key_round_trips() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[]).await;
        let runtime = tokio::runtime::Handle::current();
        let kind = server.kind;
        // Proptest draws the cases on a thread of its own, which waits for each.
        let cases = tokio::task::spawn_blocking(move || {
            let strategy = (any_key(), proptest::collection::vec(any::<u8>(), 0..2000));
            let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
            TestRunner::new(config)
                .run(&strategy, |(key, body)| {
                    if !kind.takes(&key) {
                        return Ok(());
                    }
                    runtime.block_on(async {
                        let written =
                            store.put(&key, body.clone()).await.map_err(|e| TestCaseError::fail(e.to_string()))?;
                        let blob = store.get(&key).await.map_err(|e| TestCaseError::fail(e.to_string()))?;
                        prop_assert_eq!(blob.info().etag.clone(), written.etag);
                        prop_assert_eq!(blob.bytes().await.map_err(|e| TestCaseError::fail(e.to_string()))?, body);
                        store.delete(&key).await.map(drop).map_err(|e| TestCaseError::fail(e.to_string()))
                    })
                })
                .map_err(|error| error.to_string())
        });
        cases.await.unwrap().unwrap();
    });
}
