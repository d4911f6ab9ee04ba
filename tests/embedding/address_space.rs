//! Limited address space: fewer instances fit, and calls wait for them.

use std::future::IntoFuture;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use sandbucket::{Engine, Error, Limits, Result};
use sandbucket_tests::{PATIENCE, ROGUE, builder, dev_server, run, settings};

use sandbucket_tests::child::is_child;

fn engine(limits: Limits) -> Result<Engine> {
    builder().limits(limits).build()
}

/// 2,000 concurrent calls of 40 stores, each of which needs an instance for its steps.
async fn two_thousand_calls(engine: &Engine) {
    let server = dev_server().await;
    let mut stores = Vec::new();
    for _ in 0..40 {
        stores.push(engine.store(settings(&server.endpoint(), &[])).await.expect("the store opens"));
    }
    let calls = |delete: bool| {
        let calls = (0..2_000).map(|n| {
            let (store, key) = (stores[n % 40].clone(), format!("k{n}"));
            tokio::spawn(async move {
                if delete { store.delete(key).await.map(drop) } else { store.put(key, "x").await.map(drop) }
            })
        });
        calls.collect::<Vec<_>>()
    };
    for delete in [false, true] {
        let mut failed = Vec::new();
        let mut ended = futures::stream::iter(calls(delete)).buffer_unordered(2_000);
        while let Some(call) = ended.next().await {
            failed.extend(call.expect("no panic").err());
        }
        assert!(failed.is_empty(), "{} calls failed, the first: {}", failed.len(), failed[0]);
    }
    // There are as many instances as fit.
    let held: usize = stores.iter().map(|store| store.pool().idle).sum();
    assert!((1..40).contains(&held), "{held} instances");
}

#[test]
fn two_thousand_calls_wait_for_instances_under_ulimit() {
    let name = "address_space::two_thousand_calls_wait_for_instances_under_ulimit";
    if is_child(name, Some("-v 3000000"), &[]) {
        run(async {
            two_thousand_calls(&engine(Limits::default().with_instance_wait(PATIENCE)).expect("an engine")).await
        });
    }
}

#[test]
fn two_thousand_calls_wait_for_instances_within_a_set_address_space() {
    let limits = Limits::default().with_address_space(700 << 20).with_instance_wait(PATIENCE);
    run(async { two_thousand_calls(&engine(limits).expect("an engine")).await });
}

#[test]
fn no_room_for_one_instance_under_ulimit_is_an_error_that_names_what_to_set() {
    let name = "address_space::no_room_for_one_instance_under_ulimit_is_an_error_that_names_what_to_set";
    if is_child(name, Some("-v 4000000"), &[]) {
        let error = engine(Limits::default().with_memory(4 << 30)).expect_err("it does not fit");
        assert!(matches!(error, Error::NoMemory { .. }), "{error:?}");
        let error = error.to_string();
        for what in ["ulimit -v", "`memory`", "Limits::memory", "Limits::address_space", "MiB"] {
            assert!(error.contains(what), "{error}");
        }
        assert!(!error.contains("crashed"), "{error}");
    }
}

#[test]
fn timeout_waiting_for_an_instance_names_the_address_space() {
    run(async {
        let limits = Limits::default().with_address_space(100 << 20).with_instance_wait(Duration::from_millis(300));
        // A plugin without sans-io holds its instance for the whole call.
        let engine = builder().limits(limits).plugin_file(Path::new(ROGUE)).build().expect("an engine");
        let open = || engine.store([("mode", "sleep"), ("endpoint", "http://127.0.0.1:9")]);
        let slow = open().await.expect("the store opens");
        let stalled = tokio::spawn(slow.delete("k").into_future());
        while slow.pool().busy == 0 {
            tokio::task::yield_now().await;
        }
        let error = open().await.expect_err("there is one instance");
        assert!(matches!(error, Error::Busy { name: "address-space", limit: 1, .. }), "{error:?}");
        assert!(error.is_retryable() && error.to_string().contains("ulimit -v"), "{error}");
        stalled.abort();
    });
}

#[test]
fn two_thousand_calls_wait_for_instances_where_private_memory_is_limited() {
    let name = "address_space::two_thousand_calls_wait_for_instances_where_private_memory_is_limited";
    if is_child(name, Some("-d 2000000"), &[]) {
        run(async {
            two_thousand_calls(&engine(Limits::default().with_instance_wait(PATIENCE)).expect("an engine")).await
        });
    }
}
