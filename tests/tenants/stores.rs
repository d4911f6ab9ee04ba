//! Many stores on one engine: they share its instances and connections, and affect each other in nothing else.

use std::future::IntoFuture;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use sandbucket::{Engine, Error, Limits, Store};
use sandbucket_dev_server::DevServer;
use sandbucket_tests::{ACCESS_KEY, BUCKET, PATIENCE, ROGUE, SECRET_KEY, builder, dev_server, refused, run, settings};
use tokio::task::JoinHandle;

fn engine(change: impl FnOnce(&mut Limits)) -> Engine {
    let mut limits = Limits::default();
    change(&mut limits);
    builder().limits(limits).build().expect("an engine")
}

async fn open(engine: &Engine, server: &DevServer, further: &[(&str, &str)]) -> Store {
    engine.store(settings(&server.endpoint(), further)).await.expect("the store opens")
}

#[test]
fn more_stores_than_instances_share_them() {
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
        // The blobs of the other stores exist, under their own names.
        let all = open(&engine, &server, &[]).await;
        assert_eq!(all.get("tenant-11/k5").await.unwrap().bytes().await.unwrap(), "11 5");
    });
}

#[test]
fn timeout_waiting_for_an_instance_is_a_limit_error() {
    run(async {
        let engine = rogue_engine(|limits| limits.instances = 1);
        // A plugin without sans-io holds its instance for the whole call.
        let slow = rogue(&engine, "sleep", "").await;
        let other = rogue(&engine, "", "").await;
        let holding = tokio::spawn(slow.delete("k").into_future());
        while slow.pool().busy == 0 {
            tokio::task::yield_now().await;
        }
        let outcome = other.head("k").time_limit(Duration::from_millis(200)).await;
        assert!(matches!(outcome, Err(Error::Busy { limit: 1, .. })), "{outcome:?}");
        // Aborting the call releases its instance at once.
        holding.abort();
        refused!(other.head("k").await, NotFound);
        assert_eq!((slow.pool().busy, slow.pool().discarded), (0, 1));
    });
}

#[test]
fn settings_query_waits_for_an_instance() {
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
fn store_with_wrong_keys_does_not_affect_others() {
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
fn oversized_body_is_rejected_before_a_request() {
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

/// Tasks that are aborted on drop.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Starts `calls` endless lists in each store, each of which holds an instance, and waits until no more of them get one.
async fn stall(stores: &[Store], calls: usize) -> Tasks {
    let lists = stores.iter().flat_map(|store| (0..calls).map(move |_| store.clone()));
    let tasks = Tasks(lists.map(|store| tokio::spawn(async move { drop(store.list("").await) })).collect());
    let busy = || stores.iter().map(|store| store.pool().busy).sum::<usize>();
    let mut steady = 0;
    while steady < 20 {
        let before = busy();
        tokio::time::sleep(Duration::from_millis(20)).await;
        steady = if busy() == before && before > 0 { steady + 1 } else { 0 };
    }
    tasks
}

/// Bounds a call that would finish at once without other tenants.
async fn soon<T>(call: impl IntoFuture<Output = T>) -> Result<T, tokio::time::error::Elapsed> {
    tokio::time::timeout(Duration::from_secs(5), call).await
}

#[test]
fn stalled_calls_of_sixteen_stores_leave_instances_to_neighbours_and_new_stores() {
    run(async {
        let engine = rogue_engine(|_| {});
        let neighbour = rogue(&engine, "", "").await;
        neighbour.put("k", "x").await.unwrap();
        assert_eq!(neighbour.pool().idle, 1);
        let mut stores = Vec::new();
        for _ in 0..16 {
            stores.push(rogue(&engine, "sleep", "").await);
        }
        let _stalled = stall(&stores, 64).await;
        let created = neighbour.pool().created;
        soon(neighbour.delete("k")).await.expect("the neighbour goes on").unwrap();
        assert_eq!(neighbour.pool().created, created, "the neighbour's idle instance was given up");
        let new = soon(rogue(&engine, "", "")).await.expect("a new store opens");
        soon(new.delete("k")).await.expect("the new store works").unwrap();
        assert!(!soon(engine.settings()).await.expect("the settings are given").unwrap().is_empty());
        // More than a store's guaranteed instance is available to a neighbour.
        let deletes = (0..3).map(|n| neighbour.delete(format!("k{n}")).into_future());
        soon(try_join_all(deletes)).await.expect("several calls go on").unwrap();
    });
}

#[test]
fn queue_timeout_error_names_the_limit() {
    run(async {
        let engine = rogue_engine(|limits| {
            limits.instances = 1;
            limits.instances_per_store = 1;
            limits.instance_wait = Duration::from_millis(200);
        });
        let noisy = rogue(&engine, "sleep", "").await;
        let stalled = stall(std::slice::from_ref(&noisy), 1).await;
        // Another store holds all of the engine's instances for the whole call: waiting is limited.
        let another = || engine.store([("mode", ""), ("target", ""), ("endpoint", "http://127.0.0.1:9")]);
        let error = soon(another()).await.expect("it waits briefly").unwrap_err();
        assert!(matches!(error, Error::Busy { name: "instances", limit: 1, .. }), "{error:?}");
        assert!(error.is_retryable() && error.to_string().contains("`instances`"), "{error}");
        // The store's own calls hold the instances: waiting is limited by the call's time only.
        let error = noisy.delete("k").time_limit(Duration::from_millis(500)).await.unwrap_err();
        assert!(matches!(error, Error::Busy { name: "instances-per-store", limit: 1, .. }), "{error:?}");
        assert!(error.is_retryable() && error.to_string().contains("`instances-per-store`"), "{error}");
        drop(stalled);
        soon(another()).await.expect("it goes on").unwrap();
    });
}

#[test]
fn calls_aborted_while_queued_or_running_leak_no_instance() {
    run(async {
        let engine = rogue_engine(|limits| {
            limits.instances = 5;
            limits.instances_per_store = 4;
        });
        let mut stores = Vec::new();
        for _ in 0..8 {
            stores.push(rogue(&engine, "sleep", "").await);
        }
        for round in 0..20 {
            let calls: Vec<_> = (0..64).map(|n| tokio::spawn(stores[n % 8].delete("k").into_future())).collect();
            for (n, call) in calls.iter().enumerate() {
                if n % 7 == round % 7 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                call.abort();
            }
        }
        // All five instances are available again; one store may use all but the reserve.
        let store = rogue(&engine, "", "").await;
        for _ in 0..10 {
            let deletes = (0..16).map(|n| store.delete(format!("k{n}")).into_future());
            soon(try_join_all(deletes)).await.expect("instances are left").unwrap();
        }
        let held: usize = stores.iter().map(|store| store.pool().idle + store.pool().busy).sum();
        assert!(held + store.pool().idle <= 5, "{held} and {:?}", store.pool());
        let _stalled = stall(&stores[..1], 4).await;
        assert_eq!(stores[0].pool().busy, 4);
    });
}

fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

/// Latencies of a task that puts four blobs to an in-memory store, and yields in between as if it waited for a service.
/// Measured from spawn, repeatedly until `end`. Call it from a thread that is not a worker of the runtime.
async fn latencies(store: &Store, rounds: usize, end: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while times.len() < rounds && Instant::now() < end {
        let store = store.clone();
        let began = Instant::now();
        let task = tokio::spawn(async move {
            for _ in 0..4 {
                store.put("k", "x").await.expect("the neighbour's put");
                tokio::task::yield_now().await;
            }
        });
        task.await.expect("the neighbour's task ends");
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    times
}

/// Measures a store beside `noisy` others, each with `calls` endless sequences of spinning calls: for `milliseconds`, or
/// until they are stopped. All run on a runtime with two workers.
fn neighbour_of_spinning_stores(noisy: usize, calls: usize, milliseconds: Option<u64>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let measuring = async {
        let engine = rogue_engine(|limits| limits.cpu_time = Duration::from_secs(1));
        let neighbour = rogue(&engine, "", "").await;
        let alone = latencies(&neighbour, 300, Instant::now() + Duration::from_secs(10)).await;
        let mut tasks = Tasks(Vec::new());
        for _ in 0..noisy {
            let spinning = match milliseconds {
                Some(milliseconds) => rogue(&engine, "spin", &milliseconds.to_string()).await,
                None => rogue(&engine, "loop", "").await,
            };
            tasks.0.extend((0..calls).map(|_| {
                let spinning = spinning.clone();
                tokio::spawn(async move {
                    loop {
                        drop(spinning.delete("k").await);
                    }
                })
            }));
        }
        std::thread::sleep(Duration::from_millis(500));
        let beside = latencies(&neighbour, 300, Instant::now() + Duration::from_secs(10)).await;
        (alone, beside)
    };
    let measured = runtime.block_on(async { tokio::time::timeout(PATIENCE, measuring).await });
    let (alone, beside) = measured.expect("the test hangs");
    runtime.shutdown_background();
    let shown = |times: &[Duration]| {
        format!("p50 {:?}, p99 {:?}", percentile(times.to_vec(), 50), percentile(times.to_vec(), 99))
    };
    println!(
        "{noisy} stores x {calls} calls, spinning {milliseconds:?} ms: alone {}; beside {}",
        shown(&alone),
        shown(&beside)
    );
    let (alone, beside) = (percentile(alone, 50), percentile(beside, 50));
    let bound = (alone * 50).max(Duration::from_millis(30));
    assert!(beside <= bound, "a neighbour's p50 rose from {alone:?} to {beside:?}, above {bound:?}");
}

/// A store of the rogue plugin with this misdeed.
async fn rogue(engine: &Engine, mode: &str, target: &str) -> Store {
    let settings = [("mode", mode), ("endpoint", "http://127.0.0.1:9"), ("target", target)];
    engine.store(settings).await.expect("a store of the rogue plugin")
}

fn rogue_engine(change: impl FnOnce(&mut Limits)) -> Engine {
    let mut limits = Limits::default();
    change(&mut limits);
    builder().limits(limits).plugin_file(Path::new(ROGUE)).build().expect("an engine")
}

#[test]
fn waiting_for_cpu_is_not_charged_and_ends_with_the_call() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let cpu_time = Duration::from_millis(300);
        let engine = rogue_engine(|limits| limits.cpu_time = cpu_time);
        let looping = rogue(&engine, "loop", "").await;
        let began = Instant::now();
        let calls = (0..10).map(|_| tokio::spawn(looping.delete("k").into_future()));
        for ended in futures::future::join_all(calls).await {
            let error = ended.unwrap().unwrap_err();
            assert!(matches!(error, Error::OutOfTime { .. }), "{error:?}");
        }
        // Each computed for 3 s, one at a time except for the first slices.
        assert!(began.elapsed() > cpu_time * 5, "they ended after {:?}: waiting was counted", began.elapsed());
        // Aborted while they compute or wait, they release everything.
        for _ in 0..5 {
            let calls: Vec<_> = (0..32).map(|_| tokio::spawn(looping.delete("k").into_future())).collect();
            tokio::time::sleep(Duration::from_millis(30)).await;
            calls.iter().for_each(JoinHandle::abort);
        }
        let error = soon(looping.delete("k")).await.expect("the store may compute").unwrap_err();
        assert!(matches!(error, Error::OutOfTime { .. }), "{error:?}");
        // The call's time limit applies while it waits.
        let engine = rogue_engine(|limits| {
            limits.cpu_time = Duration::from_secs(600);
            limits.call_time = Duration::from_secs(1);
        });
        let looping = rogue(&engine, "loop", "").await;
        let calls = (0..32).map(|_| tokio::spawn(looping.delete("k").into_future()));
        for ended in tokio::time::timeout(PATIENCE, futures::future::join_all(calls)).await.expect("they end") {
            let error = ended.unwrap().unwrap_err();
            assert!(matches!(error, Error::Overdue { .. }), "{error:?}");
        }
    });
    runtime.shutdown_background();
}

#[test]
fn endless_loops_of_one_store_leave_a_neighbour_its_latency() {
    neighbour_of_spinning_stores(1, 64, None);
}

#[test]
fn endless_loops_of_four_stores_leave_a_neighbour_its_latency() {
    neighbour_of_spinning_stores(4, 16, None);
}

#[test]
fn endless_short_spinning_calls_leave_a_neighbour_its_latency() {
    for milliseconds in [2, 9, 30] {
        neighbour_of_spinning_stores(1, 64, Some(milliseconds));
        neighbour_of_spinning_stores(4, 16, Some(milliseconds));
    }
}
