//! Many stores on one engine: they share its instances and connections, and nothing else.

use std::future::IntoFuture;
use std::time::Duration;

use futures::future::try_join_all;
use sandbucket::dev_server::DevServer;
use sandbucket::{Engine, Error, Limits, Store};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, builder, dev_server, refused, run, settings};

fn engine(change: impl FnOnce(&mut Limits)) -> Engine {
    let mut limits = Limits::default();
    change(&mut limits);
    builder().limits(limits).build().expect("an engine")
}

async fn open(engine: &Engine, server: &DevServer, further: &[(&str, &str)]) -> Store {
    engine.store(settings(&server.endpoint(), further)).await.expect("the store opens")
}

#[test]
fn more_stores_than_instances_take_turns() {
    run(async {
        let server = dev_server().await;
        let engine = engine(|limits| {
            limits.instances = 3;
            limits.instances_per_store = 2;
        });
        let mut stores = Vec::new();
        for tenant in 0..12 {
            stores.push(open(&engine, &server, &[("key-prefix", &format!("tenant-{tenant}/"))]).await);
        }
        let calls = stores.iter().enumerate().flat_map(|(tenant, store)| (0..6).map(move |call| (tenant, call, store)));
        try_join_all(calls.map(|(tenant, call, store)| async move {
            let (key, body) = (format!("k{call}"), format!("{tenant} {call}"));
            store.put(key.as_str(), body.clone()).await?;
            assert_eq!(store.get(key).await?.bytes().await?, body);
            Ok::<_, Error>(())
        }))
        .await
        .expect("every call has its turn");
        let held: usize = stores.iter().map(|store| store.pool().idle + store.pool().busy).sum();
        assert!(held <= 3, "{held} instances where 3 are allowed");
        assert!(stores.iter().all(|store| store.pool().discarded == 0));
        // The others' blobs are there, under their own names.
        let all = open(&engine, &server, &[]).await;
        assert_eq!(all.get("tenant-11/k5").await.unwrap().bytes().await.unwrap(), "11 5");
    });
}

#[test]
fn no_instance_in_time_is_an_error_that_says_so() {
    run(async {
        let server = dev_server().await;
        let engine = engine(|limits| limits.instances = 1);
        let silent = Faulty::start([Act::silent()]).await;
        let slow = engine.store(settings(&silent.endpoint(), &[])).await.unwrap();
        let other = open(&engine, &server, &[]).await;
        // A call whose request the plugin sends itself.
        let holding = tokio::spawn(slow.delete("k").into_future());
        while slow.pool().busy == 0 {
            tokio::task::yield_now().await;
        }
        let told = other.head("k").time_limit(Duration::from_millis(200)).await;
        assert!(matches!(told, Err(Error::Busy { limit: 1, .. })), "{told:?}");
        // Giving the call up frees its instance at once.
        holding.abort();
        refused!(other.head("k").await, NotFound);
        assert_eq!((slow.pool().busy, slow.pool().discarded), (0, 1));
    });
}

#[test]
fn asking_for_the_settings_takes_its_turn() {
    run(async {
        let server = dev_server().await;
        let engine = engine(|limits| limits.instances = 1);
        let store = open(&engine, &server, &[]).await;
        assert_eq!(store.pool().idle, 1);
        assert!(!engine.settings().await.expect("the idle instance makes way").is_empty());
        refused!(store.head("k").await, NotFound);
    });
}

#[test]
fn a_store_with_wrong_keys_harms_no_other() {
    run(async {
        let server = dev_server().await;
        let engine = engine(|_| {});
        let good = open(&engine, &server, &[]).await;
        let bad = open(&engine, &server, &[("secret-key", "not it")]).await;
        for call in 0..8 {
            let (put, refused) = tokio::join!(async { good.put(format!("k{call}"), "mine").await }, async {
                bad.put(format!("k{call}"), "theirs").await
            });
            put.unwrap();
            let failure = refused!(refused, AccessDenied);
            for secret in ["not it", SECRET_KEY] {
                assert!(!format!("{failure:?}").contains(secret));
            }
            assert!(!failure.retryable && failure.message.contains(BUCKET), "{failure:?}");
            assert_eq!(good.get(format!("k{call}")).await.unwrap().bytes().await.unwrap(), "mine");
        }
        for shown in [format!("{good:?}"), format!("{engine:?}")] {
            assert!(!shown.contains(SECRET_KEY) && !shown.contains(ACCESS_KEY), "{shown}");
        }
    });
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    run(async {
        let server = dev_server().await;
        let engine = engine(|limits| limits.max_put = 1000);
        let store = open(&engine, &server, &[]).await;
        store.put("k", vec![1; 1000]).await.unwrap();
        let failure = refused!(store.put("k", vec![2; 1001]).await, TooLarge);
        assert!(failure.message.contains("1001") && failure.message.contains("max-put"), "{failure:?}");
        assert_eq!(failure.attempts, 0);
        assert_eq!(store.head("k").await.unwrap().size, 1000);
    });
}
