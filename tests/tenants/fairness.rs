//! Fairness: whatever some tenants do, the others finish all their calls.

use std::future::IntoFuture;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use futures::{FutureExt, StreamExt};
use sandbucket::{Budget, Engine, Error, Limits, StoreOptions, TenantOptions, Tenants};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{PATIENCE, ROGUE_SANS_IO, builder};
use tokio::task::JoinHandle;

/// Calls of each well-behaved tenant, concurrent ones, and the number of such tenants.
const CALLS: usize = 40;
const CONCURRENT: usize = 4;
const OTHERS: usize = 4;

/// Tasks that are aborted on drop.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// An engine with few instances and connections for so many tenants.
fn engine() -> Engine {
    let limits = Limits::default()
        .with_instances(24)
        .with_connections(96)
        .with_cpu_time(Duration::from_secs(2))
        .with_instance_wait(Duration::from_secs(60));
    builder().limits(limits).plugin_file(Path::new(ROGUE_SANS_IO)).build().expect("an engine")
}

async fn set(tenants: &Tenants, name: &str, mode: &str, server: &Faulty) {
    let target = server.endpoint().replace("http://", "");
    let settings = [("mode", mode), ("endpoint", &server.endpoint()), ("target", &target)];
    let options = TenantOptions::new(StoreOptions::new().settings(settings)).budget(Budget::default());
    tenants.set(name, options).await.expect("the tenant is valid");
}

/// Repeats a call whose response did not come in time: this plugin waits for a second and does not retry, and on a slow machine the
/// server of the test takes as long. Nothing else is repeated: `Throttled` and `Busy` are failures.
macro_rules! patiently {
    ($call:expr) => {{
        let mut left = 20;
        loop {
            match $call {
                Err(Error::Service(failure)) if left > 0 && failure.message.contains("HttpResponseTimeout") => {
                    left -= 1
                }
                ended => break ended?,
            }
        }
    }};
}

/// Makes the calls of the well-behaved tenants, and returns how long each took.
async fn others(tenants: &Tenants) -> Result<Vec<Duration>, Error> {
    let calls = (0..OTHERS * CONCURRENT).map(|task| {
        let (tenant, tenants) = (format!("other-{}", task % OTHERS), tenants.clone());
        // Tasks, as in a server: they do not wait for one another's polls.
        let calls = tokio::spawn(async move {
            let mut times = Vec::new();
            for call in 0..CALLS / CONCURRENT {
                let (key, body) = (format!("k{task}-{call}"), format!("{tenant} {call}"));
                let began = Instant::now();
                let store = tenants.get(&tenant).expect("the tenant exists").store().await?;
                patiently!(store.put(key.as_str(), body.clone()).await);
                let blob = patiently!(store.get(key.as_str()).await);
                let read = blob.bytes().await?;
                times.push(began.elapsed());
                assert_eq!(read, body);
            }
            Ok::<_, Error>(times)
        });
        async move { calls.await.expect("the calls do not panic") }
    });
    Ok(try_join_all(calls).await?.concat())
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

/// Runs the well-behaved tenants alone, then beside those that `noisy` starts.
fn beside(name: &str, noisy: impl AsyncFnOnce(&Tenants, &Faulty) -> Tasks) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let test = async {
        let (server, tenants) = (Faulty::start([]).await, Tenants::new(engine()));
        for n in 0..OTHERS {
            set(&tenants, &format!("other-{n}"), "", &server).await;
        }
        let mut alone = others(&tenants).await.expect("alone, no call fails");
        let noise = noisy(&tenants, &server).await;
        // Until the noise is at its height.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let beside = others(&tenants).await;
        let status = tenants.status();
        let mut beside = beside.unwrap_or_else(|error| panic!("{name}: {error}\n{status:#?}"));
        println!(
            "{name}: p50 {:?}, p99 {:?} alone; p50 {:?}, p99 {:?} beside it",
            percentile(&mut alone, 50),
            percentile(&mut alone, 99),
            percentile(&mut beside, 50),
            percentile(&mut beside, 99)
        );
        for tenant in &status {
            // The noise is what it is to be.
            match tenant.name.as_str() {
                "queued" => assert!(tenant.calls_throttled > 1000 && tenant.calls_in_flight > 0, "{tenant:?}"),
                "spinning" => assert!(tenant.cpu_time > Duration::from_millis(50), "{tenant:?}"),
                "unanswered" => assert!(tenant.calls_in_flight == 64 && tenant.connections > 16, "{tenant:?}"),
                "reader" => assert!(tenant.connections > 16, "{tenant:?}"),
                _ => assert_eq!(tenant.calls_throttled, 0, "{tenant:?}"),
            }
        }
        drop(noise);
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test hangs") });
    runtime.shutdown_background();
}

/// Repeats calls of a tenant, so many at once.
fn repeat(tenants: &Tenants, name: &str, at_once: usize) -> Tasks {
    Tasks(
        (0..at_once)
            .map(|n| {
                let (tenants, name) = (tenants.clone(), name.to_owned());
                tokio::spawn(async move {
                    loop {
                        let Some(tenant) = tenants.get(&name) else { return };
                        let Ok(store) = tenant.store().await else { continue };
                        if let Err(error) = store.put(format!("n{n}"), "noise").await {
                            tokio::time::sleep(error.retry_after().unwrap_or(Duration::from_millis(1))).await;
                        }
                    }
                })
            })
            .collect(),
    )
}

async fn queued(tenants: &Tenants, server: &Faulty) -> Tasks {
    set(tenants, "queued", "", server).await;
    let tasks = repeat(tenants, "queued", 10_000);
    let tenant = tenants.get("queued").expect("the tenant exists");
    while tenant.status().calls_queued < 900 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tasks
}

async fn spinning(tenants: &Tenants, server: &Faulty) -> Tasks {
    set(tenants, "spinning", "begin-loop", server).await;
    repeat(tenants, "spinning", 64)
}

async fn unanswered(tenants: &Tenants) -> (Tasks, Faulty) {
    let server = Faulty::always(Act::silent().then_stall()).await;
    set(tenants, "unanswered", "", &server).await;
    (repeat(tenants, "unanswered", 200), server)
}

/// Holds bodies that it hardly reads: a byte a second each.
async fn slow_reader(tenants: &Tenants, server: &Faulty) -> Tasks {
    set(tenants, "reader", "", server).await;
    let store = tenants.get("reader").expect("the tenant exists").store().await.expect("it opens");
    store.put("large", vec![7u8; 1 << 20]).await.expect("a large blob");
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let Ok(mut blob) = store.get("large").into_future().await else { return };
            // Pieces have thousands of bytes: one each hour is less than a byte a second.
            while blob.next().await.is_some() {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
        }));
    }
    Tasks(tasks)
}

#[test]
fn tenant_with_ten_thousand_queued_calls_fails_no_call_of_others() {
    beside("10,000 queued calls", queued);
}

#[test]
fn tenant_whose_plugin_spins_fails_no_call_of_others() {
    beside("a plugin that spins", spinning);
}

#[test]
fn tenant_whose_service_never_answers_fails_no_call_of_others() {
    let mut kept = None;
    beside("a service that never answers", async |tenants, _| {
        let (tasks, server) = unanswered(tenants).await;
        kept = Some(server);
        tasks
    });
}

#[test]
fn tenant_that_reads_a_byte_a_second_fails_no_call_of_others() {
    beside("a reader of a byte a second", slow_reader);
}

#[test]
fn all_of_them_together_fail_no_call_of_others() {
    let mut kept = None;
    beside("all of them", async |tenants, server| {
        let mut all = Vec::new();
        let mut add = |mut tasks: Tasks| all.append(&mut tasks.0);
        add(queued(tenants, server).await);
        add(spinning(tenants, server).await);
        let (tasks, silent) = unanswered(tenants).await;
        add(tasks);
        kept = Some(silent);
        add(slow_reader(tenants, server).await);
        Tasks(all)
    });
}

#[test]
fn weight_decides_between_tenants_that_wait_for_cpu_time() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let test = async {
        let (server, tenants) = (Faulty::start([]).await, Tenants::new(engine()));
        let target = server.endpoint().replace("http://", "");
        let settings = [("mode", "begin-loop"), ("endpoint", &server.endpoint()), ("target", &target)];
        for (name, weight) in [("light", 1), ("heavy", 4)] {
            let options = TenantOptions::new(StoreOptions::new().settings(settings)).weight(weight);
            tenants.set(name, options).await.unwrap();
            assert_eq!(tenants.get(name).unwrap().status().weight, weight);
        }
        // Opened, so that both begin at the same time.
        join_all(["light", "heavy"].map(|name| async { tenants.get(name).unwrap().store().await.unwrap() }.boxed()))
            .await;
        let _tasks = [repeat(&tenants, "light", 16), repeat(&tenants, "heavy", 16)];
        tokio::time::sleep(Duration::from_secs(6)).await;
        let used = |name: &str| tenants.get(name).unwrap().status().cpu_time.as_secs_f64();
        let (light, heavy) = (used("light"), used("heavy"));
        println!("CPU time by weight: 1: {light:.2} s, 4: {heavy:.2} s");
        assert!(heavy > 2.0 * light && light > 0.0, "{light} and {heavy}");
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test hangs") });
    runtime.shutdown_background();
}
