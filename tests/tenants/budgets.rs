//! Budgets: a call beyond one waits or is throttled with the time to wait, a call within it never is, and a dropped call gives all of it
//! back.

use std::future::IntoFuture;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use sandbucket::{Body, Budget, Error, Failure, Limits, Store, StoreOptions, Tenant, TenantOptions, Tenants};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{ROGUE, builder, dev_server, run, settings};

/// A registry with one tenant, whose store is at this endpoint.
async fn tenant(endpoint: &str, budget: Budget) -> (Tenants, Tenant) {
    let tenants = Tenants::new(builder().build().expect("an engine"));
    let store = StoreOptions::new().settings(settings(endpoint, &[("max-retries", "0")]));
    tenants.set("alice", TenantOptions::new(store).budget(budget)).await.expect("the tenant is valid");
    let tenant = tenants.get("alice").expect("the tenant exists");
    (tenants, tenant)
}

/// A registry with a tenant of the rogue plugin with this misdeed.
async fn rogue(mode: &str, target: &str, budget: Budget) -> (Tenants, Tenant) {
    let limits = Limits::default().with_cpu_time(Duration::from_millis(300));
    let engine = builder().limits(limits).plugin_file(Path::new(ROGUE)).build().expect("an engine");
    let tenants = Tenants::new(engine);
    let settings = [("mode", mode), ("endpoint", "http://127.0.0.1:9"), ("target", target)];
    let options = TenantOptions::new(StoreOptions::new().settings(settings)).budget(budget);
    tenants.set("alice", options).await.expect("the tenant is valid");
    let tenant = tenants.get("alice").expect("the tenant exists");
    (tenants, tenant)
}

/// The failure of a call that exceeds the budget of this name.
#[track_caller]
fn throttled<T: std::fmt::Debug>(outcome: Result<T, Error>, budget: &str) -> Failure {
    let error = outcome.expect_err("the call exceeds the budget");
    assert!(error.is_retryable(), "{error:?}");
    let after = error.retry_after().expect("the time to wait");
    assert!(after > Duration::ZERO && after <= Duration::from_secs(60), "{after:?}");
    let Error::Throttled(failure) = error else { panic!("expected Throttled, not {error:?}") };
    assert_eq!((failure.subject.as_deref(), failure.attempts), (Some(budget), 0), "{failure:?}");
    let named = failure.message.contains("\"alice\"") && failure.message.contains(&format!("`{budget}`"));
    assert!(named && failure.message.contains("try again in"), "{failure:?}");
    *failure
}

/// Waits until this holds.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn calls_in_flight_wait_in_the_tenants_queue_and_beyond_it_are_throttled() {
    run(async {
        let server = Faulty::always(Act::silent().then_stall()).await;
        let budget = Budget::default().with_calls_in_flight(2).with_queue_length(2);
        let (_tenants, alice) = tenant(&server.endpoint(), budget).await;
        let store = alice.store().await.unwrap();
        let head = |n: usize| tokio::spawn(store.head(format!("k{n}")).into_future());
        let in_flight = [head(0), head(1)];
        until(|| alice.status().calls_in_flight == 2).await;
        let third = head(2);
        until(|| alice.status().calls_queued == 1).await;
        let fourth = head(3);
        until(|| alice.status().calls_queued == 2).await;
        let failure = throttled(store.head("k").await, "calls-in-flight");
        assert!(failure.message.starts_with("head: the tenant"), "{failure:?}");
        assert_eq!(alice.status().calls_throttled, 1);
        assert_eq!(server.seen().len(), 2);
        // A queued call that is dropped leaves its place; a call in flight that is dropped lets the next one begin.
        fourth.abort();
        until(|| alice.status().calls_queued == 1).await;
        server.recover();
        in_flight[0].abort();
        let third = third.await.unwrap();
        assert!(matches!(third, Err(Error::NotFound(_))), "{third:?}");
        in_flight[1].abort();
        until(|| alice.status().calls_in_flight == 0).await;
        assert_eq!(alice.status().connections, 0);
    });
}

#[test]
fn queued_call_is_throttled_after_the_queue_wait() {
    run(async {
        let server = Faulty::always(Act::silent().then_stall()).await;
        let budget = Budget::default().with_calls_in_flight(1).with_queue_wait(Duration::from_millis(100));
        let (_tenants, alice) = tenant(&server.endpoint(), budget).await;
        let store = alice.store().await.unwrap();
        let held = tokio::spawn(store.head("k").into_future());
        until(|| alice.status().calls_in_flight == 1).await;
        let failure = throttled(store.get("k").await, "calls-in-flight");
        assert!(failure.message.contains("this one waited 100ms"), "{failure:?}");
        held.abort();
    });
}

#[test]
fn calls_within_the_budget_are_never_throttled() {
    run(async {
        let server = dev_server().await;
        let budget = Budget::default().with_calls_in_flight(4).with_queue_length(60).with_connections(3);
        let (_tenants, alice) = tenant(&server.endpoint(), budget).await;
        let calls = (0..64).map(|task| {
            let alice = &alice;
            async move {
                for call in 0..10 {
                    let store = alice.store().await?;
                    let key = format!("k{task}");
                    store.put(key.as_str(), format!("{call}")).await?;
                    assert_eq!(store.get(key).await?.bytes().await?, format!("{call}"));
                    let status = alice.status();
                    assert!(status.calls_in_flight <= 4 && status.connections <= 3, "{status:?}");
                }
                Ok::<_, Error>(())
            }
        });
        try_join_all(calls).await.expect("no call is throttled");
        let status = alice.status();
        assert_eq!(
            (status.calls_throttled, status.calls_queued, status.calls_in_flight, status.connections),
            (0, 0, 0, 0)
        );
        assert!(status.read_bytes > 0 && status.written_bytes > 0 && status.memory > 0, "{status:?}");
        assert!(status.cpu_time > Duration::ZERO, "{status:?}");
    });
}

#[test]
fn calls_per_second_are_kept() {
    run(async {
        let server = dev_server().await;
        let budget = Budget::default().with_calls_per_second(20).with_queue_length(10);
        let (_tenants, alice) = tenant(&server.endpoint(), budget).await;
        let store = alice.store().await.unwrap();
        // A burst of one second's worth, then as many as come in.
        let began = Instant::now();
        for n in 0..30 {
            store.put(format!("k{n}"), "x").await.expect("it waits for its token");
        }
        assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
        let outcomes = join_all((0..40).map(|n| store.head(format!("k{n}")).into_future())).await;
        let excess: Vec<_> =
            outcomes.into_iter().filter(|outcome| matches!(outcome, Err(Error::Throttled(_)))).collect();
        assert!(!excess.is_empty());
        let after = excess.into_iter().map(|outcome| throttled(outcome, "calls-per-second").retry_after.unwrap());
        // Ten calls are ahead, at 20 a second.
        let after = after.max().unwrap();
        assert!(after >= Duration::from_millis(400) && after <= Duration::from_secs(1), "{after:?}");
        tokio::time::sleep(after).await;
        store.put("k", "x").await.expect("the time to wait is enough");
    });
}

#[test]
fn bytes_per_second_pause_bodies_and_fail_no_call() {
    run(async {
        let server = dev_server().await;
        const RATE: u64 = 256 << 10;
        let budget = Budget::default().with_read_bytes_per_second(RATE).with_written_bytes_per_second(RATE);
        let (_tenants, alice) = tenant(&server.endpoint(), budget).await;
        let store = alice.store().await.unwrap();
        let body = vec![7u8; 640 << 10];
        let slow = |began: Instant| assert!(began.elapsed() >= Duration::from_millis(1400), "{:?}", began.elapsed());
        // Of 2.5 seconds' worth, the first is there.
        let began = Instant::now();
        store.put("k", body.clone()).await.unwrap();
        slow(began);
        let began = Instant::now();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), body);
        slow(began);
        // So does a stream, and so do many small bodies at once.
        let began = Instant::now();
        let pieces = futures::stream::iter((0..10).map(|_| Ok::<_, std::io::Error>(vec![7u8; 64 << 10])));
        store.put("k", Body::stream(640 << 10, pieces)).await.unwrap();
        slow(began);
        let began = Instant::now();
        try_join_all((0..40).map(|n| store.put(format!("s{n}"), vec![1u8; 16 << 10]).into_future())).await.unwrap();
        slow(began);
        let status = alice.status();
        assert_eq!((status.calls_throttled, status.read_bytes), (0, 640 << 10));
        assert_eq!(status.written_bytes, 3 * (640 << 10));
        // A body that is dropped in its pause gives its connection back.
        let mut blob = store.get("k").await.unwrap();
        let first = blob.next().await.unwrap().unwrap();
        assert!(!first.is_empty());
        assert_eq!(alice.status().connections, 1);
        drop(blob);
        until(|| alice.status().connections == 0).await;
    });
}

#[test]
fn connections_count_bodies_that_are_being_read() {
    run(async {
        let server = dev_server().await;
        let budget = Budget::default().with_connections(2).with_queue_wait(Duration::from_millis(100));
        let (_tenants, alice) = tenant(&server.endpoint(), budget).await;
        let store = alice.store().await.unwrap();
        store.put("k", vec![1u8; 4 << 20]).await.unwrap();
        let open = || async { store.get("k").await.unwrap() };
        let (one, two) = (open().await, open().await);
        until(|| alice.status().connections == 2).await;
        throttled(store.head("k").await, "connections");
        drop(one);
        store.head("k").await.expect("a connection is left");
        assert_eq!(two.bytes().await.unwrap().len(), 4 << 20);
        until(|| alice.status().connections == 0).await;
    });
}

#[test]
fn connections_of_the_engine_are_shared_fairly() {
    run(async {
        let server = dev_server().await;
        let limits = Limits::default().with_connections(8).with_instance_wait(Duration::from_millis(200));
        let engine = builder().limits(limits).build().unwrap();
        let open = || async { engine.store(settings(&server.endpoint(), &[("max-retries", "0")])).await.unwrap() };
        let (noisy, other): (Store, Store) = (open().await, open().await);
        noisy.put("k", vec![1u8; 4 << 20]).await.unwrap();
        // One store may hold all but the reserve of a quarter, and one for the next store.
        let mut held = Vec::new();
        let refused = loop {
            match noisy.get("k").await {
                Ok(blob) => held.push(blob),
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, Error::Busy { name: "connections", limit: 8, .. }), "{refused:?}");
        assert!(refused.is_retryable() && refused.to_string().contains("`connections`"), "{refused}");
        assert!(held.len() >= 4 && held.len() < 8, "{}", held.len());
        for _ in 0..20 {
            other.head("k").await.expect("another store has connections");
        }
        drop(held);
        assert_eq!(noisy.get("k").await.unwrap().bytes().await.unwrap().len(), 4 << 20);
    });
}

#[test]
fn cpu_time_per_second_is_kept_within_calls_and_between_them() {
    run(async {
        // A tenth of a processor, for a call that loops until its limit of 300 ms.
        let budget = Budget::default().with_cpu_per_second(Duration::from_millis(100)).with_queue_length(0);
        let (tenants, alice) = rogue("loop", "", budget.clone()).await;
        let store = alice.store().await.unwrap();
        let began = Instant::now();
        let outcome = store.delete("k").await;
        assert!(matches!(outcome, Err(Error::OutOfTime { .. })), "it is paused, and goes on: {outcome:?}");
        assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
        let used = alice.status().cpu_time;
        assert!(used >= Duration::from_millis(280), "{used:?}");
        // The last slice is owed, and no call begins before that is paid.
        let mut refused = store.delete("k").await;
        for _ in 0..5 {
            if matches!(refused, Err(Error::Throttled(_))) {
                break;
            }
            // It was paid before the call began.
            refused = store.delete("k").await;
        }
        throttled(refused, "cpu-per-second");
        let settings = [("mode", "loop"), ("endpoint", "http://127.0.0.1:9"), ("target", "")];
        let options = StoreOptions::new().settings(settings);
        tenants.set("alice", TenantOptions::new(options)).await.unwrap();
        let outcome = store.delete("k").await;
        assert!(matches!(outcome, Err(Error::OutOfTime { .. })), "without that budget, it begins: {outcome:?}");
    });
}

#[test]
fn instances_are_bounded_and_calls_wait_for_the_tenants_own() {
    run(async {
        // This plugin holds its instance for the whole call.
        let budget = Budget::default().with_instances(2).with_queue_wait(Duration::from_millis(300));
        let (_tenants, alice) = rogue("spin", "50", budget).await;
        let store = alice.store().await.unwrap();
        try_join_all((0..4).map(|_| store.delete("k").into_future())).await.expect("they wait for instances");
        let pool = alice.status().pool;
        assert!(pool.created <= 2 && pool.idle + pool.busy <= 2, "{pool:?}");

        let budget = Budget::default().with_instances(2).with_queue_wait(Duration::from_millis(300));
        let (_tenants, alice) = rogue("sleep", "", budget).await;
        let store = alice.store().await.unwrap();
        let held: Vec<_> = (0..2).map(|_| tokio::spawn(store.delete("k").into_future())).collect();
        until(|| alice.status().pool.busy == 2).await;
        throttled(store.delete("k").await, "instances");
        held.iter().for_each(|call| call.abort());
        until(|| alice.status().pool.busy == 0).await;
        assert_eq!(alice.status().memory, 0, "discarded instances are still charged");
    });
}

#[test]
fn memory_of_all_instances_is_bounded() {
    run(async {
        let (_tenants, alice) = rogue("sleep", "", Budget::default()).await;
        let store = alice.store().await.unwrap();
        let one = alice.status().memory;
        assert!(one > 0);
        drop(store);
        // Room for two, and not for three.
        let budget = Budget::default().with_memory(one * 5 / 2).with_queue_wait(Duration::from_millis(300));
        let (_tenants, alice) = rogue("sleep", "", budget).await;
        let store = alice.store().await.unwrap();
        let held: Vec<_> = (0..2).map(|_| tokio::spawn(store.delete("k").into_future())).collect();
        until(|| alice.status().pool.busy == 2).await;
        throttled(store.delete("k").await, "memory");
        held.iter().for_each(|call| call.abort());
        until(|| alice.status().memory == 0).await;

        // An instance that grows beyond the budget alone fails for good; others are not affected.
        let (_tenants, alice) = rogue("allocate", "", Budget::default().with_memory(8 << 20)).await;
        let outcome = alice.store().await.unwrap().delete("k").await;
        assert!(matches!(outcome, Err(Error::OutOfMemory { limit: 8_388_608, .. })), "{outcome:?}");
        assert_eq!(alice.status().memory, 0);
    });
}

#[test]
fn instances_are_bounded_over_all_stores_of_a_tenant() {
    run(async {
        let server = dev_server().await;
        let budget = Budget::default().with_instances(1).with_queue_wait(Duration::from_secs(5));
        let (tenants, alice) = tenant(&server.endpoint(), budget.clone()).await;
        let options = |retries: &str| {
            let store = StoreOptions::new().settings(settings(&server.endpoint(), &[("max-retries", retries)]));
            TenantOptions::new(store).budget(budget.clone())
        };
        let mut stores = vec![alice.store().await.unwrap()];
        stores[0].put("k", "x").await.unwrap();
        let one = alice.status().memory;
        // The program holds each store, whose idle instance makes way for calls on the next; calls on all of them share the one.
        for retries in ["1", "2", "3"] {
            tenants.set("alice", options(retries)).await.unwrap();
            stores.push(alice.store().await.unwrap());
            let calls = (0..40).map(|n| stores[n % stores.len()].get("k").into_future());
            for blob in try_join_all(calls).await.unwrap() {
                assert_eq!(blob.bytes().await.unwrap(), "x");
            }
            let busy: usize = stores.iter().map(|store| store.pool().busy + store.pool().idle).sum();
            assert_eq!(busy, 1);
            assert!(alice.status().memory < 2 * one, "{} bytes, of {one} each", alice.status().memory);
        }
        assert_eq!(alice.status().calls_throttled, 0);
    });
}

#[test]
fn budget_outlives_a_change_of_the_store_and_changes_at_run_time() {
    run(async {
        let server = dev_server().await;
        let budget = Budget::default().with_calls_per_second(3).with_queue_length(0);
        let (tenants, alice) = tenant(&server.endpoint(), budget.clone()).await;
        for n in 0..3 {
            alice.store().await.unwrap().put(format!("k{n}"), "x").await.unwrap();
        }
        // Another store of the same tenant has no tokens of its own.
        let other = StoreOptions::new().settings(settings(&server.endpoint(), &[("max-retries", "1")]));
        tenants.set("alice", TenantOptions::new(other.clone()).budget(budget)).await.unwrap();
        throttled(alice.store().await.unwrap().head("k0").await, "calls-per-second");
        tenants.set("alice", TenantOptions::new(other)).await.unwrap();
        for _ in 0..20 {
            alice.store().await.unwrap().head("k0").await.unwrap();
        }
    });
}
