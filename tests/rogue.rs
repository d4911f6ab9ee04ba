//! Plugins that are broken or mean no good: each misdeed of `tests/rogue` ends in a typed error of its own call, and
//! nobody else notices. "Nobody else" is a store on the same engine and one of the real plugin, both at work meanwhile.

use std::future::IntoFuture;
use std::path::Path;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use sandbucket::{Engine, Error, Limits, PresignedMethod, Store};
use sandbucket_object_store::SandbucketStore;
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{CACHE, ROGUE, ROGUE_EXCHANGES, builder, dev_server, open, refused, run};
use tokio::task::JoinHandle;

const MEMORY: usize = 16 << 20;
const CPU_TIME: Duration = Duration::from_millis(300);
const CALL_TIME: Duration = Duration::from_secs(2);

static ROGUES: LazyLock<Engine> = LazyLock::new(|| engine(ROGUE));
static EXCHANGING: LazyLock<Engine> = LazyLock::new(|| engine(ROGUE_EXCHANGES));

fn engine(plugin: &str) -> Engine {
    let mut limits = Limits::default();
    limits.memory = MEMORY;
    limits.retire_memory = MEMORY / 2;
    limits.cpu_time = CPU_TIME;
    limits.call_time = CALL_TIME;
    let builder = builder().limits(limits).plugin_file(Path::new(plugin));
    builder.build().expect("an engine with the rogue plugin")
}

/// Opens a store of the rogue plugin, which may reach `endpoint`. It sends its requests itself.
async fn rogue(mode: &str, endpoint: &str, target: &str) -> Result<Store, Error> {
    ROGUES.store([("mode", mode), ("endpoint", endpoint), ("target", target)]).await
}

/// The same, where it gives its requests to the host.
async fn exchanging(mode: &str, endpoint: &str, target: &str) -> Result<Store, Error> {
    EXCHANGING.store([("mode", mode), ("endpoint", endpoint), ("target", target)]).await
}

/// Stores that do their work over and over until [`Bystanders::are_unharmed`].
struct Bystanders {
    enough: Arc<AtomicBool>,
    rounds: Arc<[AtomicUsize; 2]>,
    tasks: Vec<JoinHandle<()>>,
}

impl Bystanders {
    async fn at_work() -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let server = dev_server().await;
        let stores = [open(&server.endpoint(), &[]).await, rogue("", "http://127.0.0.1:9", "").await.unwrap()];
        let server = Arc::new(server);
        let tasks = stores.into_iter().enumerate().map(|(n, store)| {
            let (enough, rounds, server) = (enough.clone(), rounds.clone(), server.clone());
            tokio::spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    let body = format!("round {}", rounds[n].load(Ordering::Relaxed));
                    store.put("k", body.clone()).await.unwrap();
                    assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), body);
                    rounds[n].fetch_add(1, Ordering::Relaxed);
                    // The rogue plugin never waits, and must not keep this thread from everybody else.
                    tokio::task::yield_now().await;
                }
                assert_eq!(store.pool().discarded, 0);
                drop(server);
            })
        });
        Bystanders { tasks: tasks.collect(), enough, rounds }
    }

    /// They have worked on all the time, and still do.
    async fn are_unharmed(self) {
        let before: Vec<usize> = self.rounds.iter().map(|rounds| rounds.load(Ordering::Relaxed)).collect();
        while self.rounds.iter().zip(&before).any(|(rounds, before)| rounds.load(Ordering::Relaxed) < before + 2) {
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a bystander was harmed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.enough.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a bystander was harmed");
        }
    }
}

/// Lets a plugin do this in every operation, each ending in an error that `is_right`, and shows that its instance is
/// gone, the store is not, and nobody else was harmed.
async fn misdeed(mode: &str, is_right: impl Fn(&Error) -> bool) {
    let bystanders = Bystanders::at_work().await;
    let store = rogue(mode, "http://127.0.0.1:9", "").await.unwrap();
    // All at once, so that four of them take no longer than one.
    let (put, get, head, delete) = tokio::join!(
        store.put("k", "x").into_future(),
        store.get("k").into_future(),
        store.head("k").into_future(),
        store.delete("k").into_future(),
    );
    let endings = [put.err(), get.err(), head.err(), delete.err()];
    for ending in endings {
        let error = ending.unwrap_or_else(|| panic!("{mode}: it went well"));
        assert!(is_right(&error), "{mode}: {error:?}");
        assert!(error.failure().is_none(), "{mode}: the plugin cannot have told this: {error:?}");
        assert!(!error.to_string().is_empty());
    }
    let pool = store.pool();
    assert_eq!((pool.idle, pool.busy, pool.discarded), (0, 0, 4), "{mode}: {pool:?}");
    // Already when it is opened, it costs only its own opening.
    let error = rogue(&format!("open-{mode}"), "http://127.0.0.1:9", "").await.err();
    let error = error.unwrap_or_else(|| panic!("open-{mode}: it went well"));
    assert!(is_right(&error), "open-{mode}: {error:?}");
    bystanders.are_unharmed().await;
}

#[test]
fn a_loop_is_stopped() {
    run(misdeed("loop", |error| matches!(error, Error::OutOfTime { limit: CPU_TIME, .. })));
}

#[test]
fn memory_without_end_is_refused() {
    run(misdeed("allocate", |error| matches!(error, Error::OutOfMemory { limit: MEMORY, .. })));
}

#[test]
fn a_crash_is_contained() {
    for mode in ["unreachable", "panic", "overrun", "recurse"] {
        run(misdeed(mode, |error| matches!(error, Error::Trapped { .. })));
    }
}

#[test]
fn sleep_without_end_is_ended() {
    run(misdeed("sleep", |error| matches!(error, Error::Overdue { limit: CALL_TIME, .. })));
}

#[test]
fn what_the_host_must_keep_for_it_is_bounded() {
    for mode in ["handles", "headers"] {
        run(misdeed(mode, |error| {
            matches!(error, Error::Trapped { .. } | Error::OutOfTime { .. } | Error::OutOfMemory { .. })
        }));
    }
}

#[test]
fn another_host_is_out_of_reach() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let (own, other) = (Faulty::start([]).await, Faulty::start([]).await);
        let targets = [
            format!("127.0.0.1:{}", other.port()),
            format!("localhost:{}", other.port()),
            format!("127.1:{}", other.port()),
            format!("[::ffff:127.0.0.1]:{}", other.port()),
            format!("0.0.0.0:{}", other.port()),
            "169.254.169.254".to_owned(),
            "[fd00:ec2::254]".to_owned(),
            "metadata.google.internal".to_owned(),
            "example.com".to_owned(),
            // The same host under another port, and its own with a name before it that is no part of it.
            format!("127.0.0.1:{}", own.port() ^ 1),
            format!("user@127.0.0.1:{}", other.port()),
        ];
        for target in targets {
            let store = rogue("call", &own.endpoint(), &target).await.unwrap();
            let error = store.get("k").await.err().unwrap_or_else(|| panic!("{target} was reached"));
            let Error::Network(failure) = &error else { panic!("{target}: {error:?}") };
            let allowed = own.endpoint().replace("http://", "");
            assert!(failure.message.contains(&target), "does not name {target}: {failure:?}");
            assert!(failure.message.contains(&allowed), "does not say that {allowed} is allowed: {failure:?}");
            let pool = store.pool();
            assert_eq!((pool.busy, pool.discarded), (0, 0), "{target}: {pool:?}");
        }
        assert!(other.seen().is_empty(), "the other host was reached");
        assert!(own.seen().is_empty());
        // Its own endpoint it may call.
        let target = own.endpoint().replace("http://", "");
        let store = rogue("call", &own.endpoint(), &target).await.unwrap();
        let error = store.get("k").await.expect_err("the plugin tells the answer as an error");
        assert!(matches!(error, Error::Service(_)), "{error:?}");
        assert_eq!(own.seen().len(), 1);
        bystanders.are_unharmed().await;
    });
}

#[test]
fn calls_without_end_are_ended() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let own = Faulty::start([]).await;
        let target = own.endpoint().replace("http://", "");
        let store = rogue("calls", &own.endpoint(), &target).await.unwrap();
        let error = store.get("k").await.expect_err("it never comes back by itself");
        assert!(error.failure().is_none(), "{error:?}");
        assert_eq!((store.pool().busy, store.pool().discarded), (0, 1), "{:?}", store.pool());
        bystanders.are_unharmed().await;
    });
}

#[test]
fn one_instance_takes_but_a_few_connections() {
    run(async {
        let own = Faulty::start([]).await;
        let target = own.endpoint().replace("http://", "");
        let store = rogue("crowd", &own.endpoint(), &target).await.unwrap();
        // What it kept is gone with the call: the next one has as many.
        for calls in 1..=2 {
            let failure = refused!(store.get("k").await, Service);
            assert_eq!(failure.message, "8 answers");
            assert_eq!(own.seen().len(), 8 * calls);
        }
        assert_eq!(store.pool().discarded, 0);
    });
}

#[test]
fn a_blob_that_cannot_be_is_not_passed_on() {
    run(async {
        let modes = ["backward-range", "short-body", "long-body", "past-the-end", "another-range", "endless-size"];
        for mode in modes {
            let store = rogue(mode, "http://127.0.0.1:9", "").await.unwrap();
            let got = match store.get("k").range(0..10).await {
                Ok(blob) => blob.bytes().await.map(|bytes| bytes.len()),
                Err(error) => Err(error),
            };
            // As far as the answer is only larger than it says, the ten bytes asked for are there.
            match got {
                Err(Error::Plugin { .. } | Error::Integrity(_)) => {}
                Ok(10) if mode == "endless-size" => {}
                other => panic!("{mode}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_body_is_held_against_what_is_said_of_it() {
    run(async {
        // Which bytes it has cannot be, or are not those that were asked for.
        for mode in ["body-of-another-range", "body-that-gives-less", "backward-body", "body-past-the-end"] {
            let service = Faulty::start([Act::answer(200, "", "0123456789")]).await;
            let store =
                exchanging(mode, &service.endpoint(), &service.endpoint().replace("http://", "")).await.unwrap();
            let failure = refused!(store.get("k").await, Integrity);
            assert!(failure.message.contains("the plugin gives"), "{mode}: {failure:?}");
        }
    });
}

#[test]
fn a_request_that_it_prepared_goes_nowhere_else() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let (own, other) = (Faulty::start([]).await, Faulty::start([]).await);
        let (at_own, at_other) = (own.endpoint().replace("http://", ""), other.endpoint().replace("http://", ""));
        for target in [at_other.clone(), format!("user@{at_own}"), "169.254.169.254".to_owned()] {
            let store = exchanging("step-elsewhere", &own.endpoint(), &target).await.unwrap();
            let failure = refused!(store.get("k").await, Network);
            assert!(failure.message.contains("may only reach"), "{target}: {failure:?}");
        }
        // What frames a message, or leads it elsewhere, is the host's to say.
        for (mode, words) in [("step-host", "host"), ("step-length", "content-length"), ("step-smuggles", "header")] {
            let store = exchanging(mode, &own.endpoint(), &at_own).await.unwrap();
            let failure = refused!(store.put("k", "x").await, Network);
            assert!(failure.message.contains(words), "{mode}: {failure:?}");
        }
        assert!(own.seen().is_empty() && other.seen().is_empty());
        bystanders.are_unharmed().await;
    });
}

#[test]
fn steps_that_make_no_sense_end_the_call() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let ok = || Act::answer(200, "", "");
        for mode in ["step-done", "step-backwards"] {
            let own = Faulty::start([ok()]).await;
            let store = exchanging(mode, &own.endpoint(), &own.endpoint().replace("http://", "")).await.unwrap();
            let error = store.head("k").await.expect_err("it is not done");
            assert!(matches!(error, Error::Plugin { .. }), "{mode}: {error:?}");
        }
        // Again and again is as often as the time allows.
        let own = Faulty::start((0..100_000).map(|_| ok())).await;
        let store = exchanging("step-for-ever", &own.endpoint(), &own.endpoint().replace("http://", "")).await.unwrap();
        let began = std::time::Instant::now();
        refused!(store.put("k", "x").time_limit(Duration::from_millis(200)).await, Network);
        assert!(began.elapsed() < CALL_TIME * 5);
        bystanders.are_unharmed().await;
    });
}

#[test]
fn a_crash_ends_the_one_call_that_it_is_of() {
    run(async {
        // All are asked for in one call into the plugin, which crashes at one of them.
        let service = Faulty::start((0..7).map(|_| Act::answer(200, "", "0123456789"))).await;
        let store =
            exchanging("one-crashes", &service.endpoint(), &service.endpoint().replace("http://", "")).await.unwrap();
        let keys = ["a", "b", "c", "crash", "d", "e", "f", "g"];
        let calls = keys.map(|key| store.get(key).into_future());
        for (key, got) in keys.iter().zip(futures::future::join_all(calls).await) {
            match got {
                Ok(blob) if *key != "crash" => assert_eq!(blob.bytes().await.unwrap(), "0123456789"),
                Err(Error::Trapped { .. }) if *key == "crash" => {}
                other => panic!("{key}: {other:?}"),
            }
        }
        assert_eq!(store.pool().busy, 0);
    });
}

#[test]
fn a_plugin_that_cannot_count_is_told_so() {
    run(async {
        let store = exchanging("miscounts", "http://127.0.0.1:9", "").await.unwrap();
        let error = store.get("k").await.expect_err("there is no request");
        assert!(error.to_string().contains("fewer answers"), "{error}");
    });
}

#[test]
fn a_crash_in_a_step_is_contained() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        for mode in ["step-loop", "step-unreachable", "step-sleep", "step-allocate"] {
            let store = exchanging(mode, "http://127.0.0.1:9", "").await.unwrap();
            let error = store.get("k").await.expect_err("it does not come back");
            assert!(error.failure().is_none(), "{mode}: {error:?}");
            assert_eq!((store.pool().busy, store.pool().discarded), (0, 1), "{mode}: {:?}", store.pool());
        }
        bystanders.are_unharmed().await;
    });
}

#[test]
fn a_prepared_request_of_any_size_is_refused_and_panics_nobody() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let own = Faulty::start([]).await;
        let target = own.endpoint().replace("http://", "");
        for mode in ["many-lines", "tiny-lines", "some-lines", "long-line", "long-path"] {
            let store = exchanging(mode, &own.endpoint(), &target).await.unwrap();
            for error in [store.put("k", "x").await.err(), store.get("k").await.err(), store.head("k").await.err()] {
                let error = error.unwrap_or_else(|| panic!("{mode}: it went well"));
                assert!(
                    matches!(error, Error::Network(_) | Error::Trapped { .. } | Error::OutOfMemory { .. }),
                    "{mode}: {error:?}"
                );
                assert!(error.to_string().len() < 5000, "{mode}: {}", error.to_string().len());
            }
        }
        assert!(own.seen().is_empty(), "{:?}", own.seen());
        bystanders.are_unharmed().await;
    });
}

#[test]
fn a_prepared_request_has_only_fields_and_the_method_of_its_operation() {
    run(async {
        let own = Faulty::start([]).await;
        let target = own.endpoint().replace("http://", "");
        let fields = [
            "expect",
            "te",
            "trailer",
            "upgrade",
            "connection",
            "transfer-encoding",
            "content-length",
            "host",
            "cookie",
            "proxy-authorization",
            "x-forwarded-for",
            "keep-alive",
            "via",
            "http2-settings",
            "accept-encoding",
            "x-other",
        ];
        for name in fields {
            let store = exchanging(&format!("field-{name}"), &own.endpoint(), &target).await.unwrap();
            for failure in [
                refused!(store.put("k", "x").await, Network),
                refused!(store.get("k").await, Network),
                refused!(store.head("k").await, Network),
            ] {
                assert!(failure.message.contains(name), "{name}: {failure:?}");
            }
        }
        for method in ["get", "head", "post", "put", "delete"] {
            let store = exchanging(&format!("method-{method}"), &own.endpoint(), &target).await.unwrap();
            let name = method.to_uppercase();
            let calls = [
                ("put", store.put("k", "x").into_future().await.err()),
                ("get", store.get("k").into_future().await.err()),
                ("head", store.head("k").into_future().await.err()),
            ];
            for (operation, error) in calls {
                let message = error.unwrap().to_string();
                assert_eq!(message.contains(&format!("the method {name}")), operation != method, "{message}");
            }
        }
        // Those that were allowed are all that was sent.
        let mut seen: Vec<String> = own.seen().into_iter().map(|seen| seen.method).collect();
        seen.sort();
        assert_eq!(seen, ["GET", "HEAD", "PUT"]);
    });
}

#[test]
fn a_request_of_its_own_has_only_methods_and_fields_of_a_blob_store() {
    run(async {
        let own = Faulty::start([]).await;
        let target = own.endpoint().replace("http://", "");
        for mode in [
            "method-connect",
            "method-trace",
            "method-options",
            "method-patch",
            "method-PROPFIND",
            "method-get",
            "method-Put",
            "field-expect",
            "field-te",
            "field-trailer",
            "field-upgrade",
            "field-connection",
            "field-transfer-encoding",
            "field-host",
            "field-cookie",
            "field-x-forwarded-for",
            "body-with-get",
            "body-without-length",
            "length-without-body",
        ] {
            let store = rogue(&format!("wasi-{mode}"), &own.endpoint(), &target).await.unwrap();
            let error = store.get("k").await.expect_err("it is not sent");
            assert!(matches!(error, Error::Network(_)), "{mode}: {error:?}");
        }
        assert!(own.seen().is_empty(), "{:?}", own.seen());
        // What is right for one operation is not for another.
        let store = rogue("wasi-field-range", &own.endpoint(), &target).await.unwrap();
        refused!(store.get("k").await, Service);
        let failure = refused!(store.delete("k").await, Network);
        assert!(failure.message.contains("the method GET"), "{failure:?}");
        assert_eq!(own.seen().len(), 1);
        // Nor does an error say more of it than is of use.
        let store = rogue(&format!("wasi-method-{}", "X".repeat(60_000)), &own.endpoint(), &target).await.unwrap();
        let failure = refused!(store.get("k").await, Network);
        assert!(failure.message.len() < 5000, "{} bytes", failure.message.len());
    });
}

#[test]
fn cpu_time_is_limited_per_call_not_per_step() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let own = Faulty::start((0..1000).map(|_| Act::answer(200, "", ""))).await;
        let target = own.endpoint().replace("http://", "");
        // Each step takes some 100 ms of CPU time, and each ends in another attempt.
        let store = exchanging("spins-200", &own.endpoint(), &target).await.unwrap();
        let error = store.get("k").await.expect_err("it is stopped");
        assert!(matches!(error, Error::OutOfTime { limit: CPU_TIME, .. }), "{error:?}");
        assert!(own.seen().len() <= 8, "{} requests in a call of 300 ms", own.seen().len());
        // Several at once are batched: each is charged its share. On a slow machine the time of the call runs out first.
        let calls = (0..8).map(|n| store.get(format!("k{n}")).into_future());
        for outcome in futures::future::join_all(calls).await {
            let error = outcome.expect_err("it is stopped");
            assert!(matches!(error, Error::OutOfTime { .. } | Error::Network(_) | Error::Overdue { .. }), "{error:?}");
        }
        bystanders.are_unharmed().await;
    });
}

#[test]
fn a_batch_that_comes_to_nothing_is_not_made_again_and_again() {
    run(async {
        let own = Faulty::start((0..1000).map(|_| Act::answer(200, "", ""))).await;
        let target = own.endpoint().replace("http://", "");
        // It computes and then miscounts for as long as several are asked for at once.
        let store = exchanging("miscounts-together", &own.endpoint(), &target).await.unwrap();
        let calls = (0..8).map(|n| store.get(format!("k{n}")).into_future());
        for outcome in futures::future::join_all(calls).await {
            let error = outcome.expect_err("it asks for another attempt for ever");
            assert!(matches!(error, Error::OutOfTime { .. } | Error::Network(_) | Error::Overdue { .. }), "{error:?}");
        }
        // Each miscount costs its instance, and each call is in one such batch at most.
        assert!(store.pool().discarded <= 8, "{:?}", store.pool());
    });
}

#[test]
fn requests_of_its_own_are_counted_over_all_steps_of_a_call() {
    run(async {
        let own = Faulty::start([]).await;
        let target = own.endpoint().replace("http://", "");
        let store = exchanging("asks-in-steps", &own.endpoint(), &target).await.unwrap();
        refused!(store.get("k").time_limit(Duration::from_secs(1)).await, Network);
        let sent = own.seen().len();
        assert!((15..60).contains(&sent), "{sent} requests in a second");
    });
}

#[test]
fn settings_without_bound_are_refused_before_the_plugin_sees_them() {
    run(async {
        let mode = || ("mode".to_owned(), String::new());
        let many = (0..300).map(|n| (format!("s{n}"), String::new())).collect::<Vec<_>>();
        let long = |length: usize| vec![mode(), ("target".to_owned(), "x".repeat(length))];
        let name = vec![mode(), ("x".repeat(1000), String::new())];
        for settings in [many, long(20 << 20), long((64 << 10) + 1), name] {
            let error = ROGUES.store(settings).await.expect_err("it is refused");
            assert!(matches!(error, Error::InvalidSettings(_)), "{error:?}");
            assert!(error.to_string().len() < 1000);
        }
        ROGUES.store(long(64 << 10)).await.expect("as long as it may be");
    });
}

#[test]
fn attempts_without_backoff_are_slowed_down_and_counted() {
    run(async {
        let own = Faulty::start((0..100_000).map(|_| Act::answer(200, "", ""))).await;
        let target = own.endpoint().replace("http://", "");
        let store = exchanging("step-for-ever", &own.endpoint(), &target).await.unwrap();
        refused!(store.get("k").time_limit(Duration::from_secs(1)).await, Network);
        let sent = own.seen().len();
        assert!((5..20).contains(&sent), "{sent} requests in a second");
        // So are those that it sends itself.
        let store = rogue("asks", &own.endpoint(), &target).await.unwrap();
        let error = store.get("k").await.expect_err("it never comes back by itself");
        assert!(matches!(error, Error::Overdue { .. }), "{error:?}");
        let sent = own.seen().len() - sent;
        assert!((16..100).contains(&sent), "{sent} requests in a call of {CALL_TIME:?}");
    });
}

#[test]
fn results_that_no_blob_store_gives_are_refused() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        for mode in [
            "long-etag",
            "forged-etag",
            "long-version",
            "forged-type",
            "many-metadata",
            "most-metadata",
            "many-attributes",
        ] {
            let store = rogue(mode, "http://127.0.0.1:9", "").await.unwrap();
            let error = store.head("k").await.expect_err(mode);
            assert!(matches!(error, Error::Plugin { .. } | Error::Trapped { .. }), "{mode}: {error:?}");
        }
        for mode in ["long-key", "many-entries", "most-entries", "many-prefixes", "long-token", "aliased-keys"] {
            let store = rogue(mode, "http://127.0.0.1:9", "").await.unwrap();
            let error = store.list("").await.expect_err(mode);
            assert!(
                matches!(error, Error::Plugin { .. } | Error::Trapped { .. } | Error::OutOfMemory { .. }),
                "{mode}: {error:?}"
            );
        }
        for url in [
            "http://evil.test/k",
            "http://127.0.0.1:10/k",
            "https://127.0.0.1:9/k",
            "javascript:alert(1)",
            "no URL",
            "",
        ] {
            let store = rogue(&format!("presigned-{url}"), "http://127.0.0.1:9", "").await.unwrap();
            let error = store.presign(PresignedMethod::Get, "k").await.expect_err(url);
            assert!(matches!(error, Error::Plugin { .. }), "{url}: {error:?}");
        }
        let store = rogue("presigned-http://127.0.0.1:9/k?x", "http://127.0.0.1:9", "").await.unwrap();
        store.presign(PresignedMethod::Get, "k").await.expect("its own endpoint");
        bystanders.are_unharmed().await;
    });
}

#[test]
fn dates_beyond_any_calendar_are_absent_and_panic_nobody() {
    run(async {
        let store = rogue("far-date", "http://127.0.0.1:9", "").await.unwrap();
        assert_eq!(store.head("k").await.unwrap().last_modified, None);
        let adapter = SandbucketStore::from(store);
        adapter.head(&"k".into()).await.unwrap();
        let store = rogue("far-dates", "http://127.0.0.1:9", "").await.unwrap();
        assert!(store.list("").await.unwrap().entries.iter().all(|entry| entry.last_modified.is_none()));
        let adapter = SandbucketStore::from(store);
        let listed: Vec<_> = adapter.list(None).collect().await;
        assert_eq!(listed.len(), 2);
        assert!(listed.into_iter().all(|meta| meta.unwrap().size == u64::MAX));
    });
}

#[test]
fn text_of_a_plugin_forges_no_line_of_a_log() {
    run(async {
        let store = rogue("huge-error", "http://127.0.0.1:9", "").await.unwrap();
        let error = store.head("k").await.expect_err("it fails");
        let shown = format!("{error} {error:?}");
        assert!(shown.len() < 10_000, "{}", shown.len());
        assert!(!shown.contains(['\n', '\r', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2028}']), "{shown}");
    });
}

#[test]
fn an_instance_that_keeps_resources_of_the_host_is_not_used_again() {
    run(async {
        let store = rogue("kept-resources", "http://127.0.0.1:9", "").await.unwrap();
        for calls in 1..=3 {
            store.put("k", "x").await.unwrap();
            let pool = store.pool();
            assert_eq!((pool.idle, pool.retired, pool.discarded), (0, calls, 0), "{pool:?}");
        }
    });
}

#[test]
fn an_instance_that_has_grown_is_not_used_again() {
    run(async {
        let store = rogue("", "http://127.0.0.1:9", "").await.unwrap();
        store.put("k", "x").await.unwrap();
        // It keeps what it is given in its own memory.
        store.put("large", vec![0; 9 << 20]).await.unwrap();
        let pool = store.pool();
        assert_eq!((pool.idle, pool.busy, pool.discarded, pool.retired), (0, 0, 0, 1), "{pool:?}");
        store.put("k", "and on").await.unwrap();
    });
}

#[test]
fn a_blob_larger_than_all_memory_does_not_fit() {
    run(async {
        let open = async |mode| {
            let service = Faulty::start([Act::answer(200, "", "a few bytes")]).await;
            let store =
                exchanging(mode, &service.endpoint(), &service.endpoint().replace("http://", "")).await.unwrap();
            (service, store)
        };
        let (_service, store) = open("vast-blob").await;
        let failure = refused!(store.get("k").await.unwrap().bytes().await, TooLarge);
        assert!(failure.message.contains("memory"), "{failure:?}");
        // The largest size of all is that of a blob whose size is unknown: it ends where the response does.
        let (_service, store) = open("endless-blob").await;
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "a few bytes");
    });
}

#[test]
fn a_component_that_asks_for_more_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, import) in [
        ("files", "wasi:filesystem/types@0.2.0"),
        ("environment", "wasi:cli/environment@0.2.0"),
        ("sockets", "wasi:sockets/tcp@0.2.0"),
        ("random", "wasi:random/random@0.2.0"),
        ("unheard-of", "acme:rocket/launch@1.0.0"),
    ] {
        let text = format!("(component (import \"{import}\" (instance (export \"do\" (func)))))");
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
        let error = Engine::builder().plugin_file(&path).cache_dir(Path::new(CACHE)).build().err();
        let Some(Error::Plugin { message }) = error else { panic!("{import}: {error:?}") };
        assert!(message.contains(import), "{import}: {message}");
    }
}

#[test]
fn what_is_no_plugin_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files: [(&str, Vec<u8>); 5] = [
        ("no-exports.wasm", wat::parse_str("(component)").unwrap()),
        ("a-module.wasm", wat::parse_str("(module)").unwrap()),
        ("empty.wasm", Vec::new()),
        ("words.wasm", b"not a component at all".to_vec()),
        ("half.wasm", std::fs::read(ROGUE).unwrap()[..10_000].to_vec()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Engine::builder().plugin_file(&path).cache_dir(Path::new(CACHE)).build().err();
        let Some(Error::Plugin { message }) = error else { panic!("{name}: {error:?}") };
        assert!(message.contains(name), "does not name the file {name}: {message}");
    }
    let error = Engine::builder().plugin_file(folder.path().join("nowhere.wasm")).build().err();
    assert!(matches!(error, Some(Error::Io { .. } | Error::Plugin { .. })), "{error:?}");
}
