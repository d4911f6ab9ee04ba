//! Broken and malicious plugins: each misdeed of `tests/rogue` ends in a typed error of its own call, and other tenants are
//! unharmed. The other tenants are stores on the same engines and one of the real plugin, all at work meanwhile.
//!
//! Here are misdeeds of any call, by a plugin that sends its requests over wasi:http; those over `sans-io` are in
//! `rogue_sans_io.rs`.

#[path = "rogue_sans_io.rs"]
mod sans_io;

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
use sandbucket_tests::{CACHE, ROGUE, ROGUE_SANS_IO, builder, dev_server, open, refused, run};
use tokio::task::JoinHandle;

const MEMORY: usize = 16 << 20;
const CPU_TIME: Duration = Duration::from_millis(300);
const CALL_TIME: Duration = Duration::from_secs(2);
/// Where no request goes.
const NOWHERE: &str = "http://127.0.0.1:9";

static ROGUES: LazyLock<Engine> = LazyLock::new(|| engine(ROGUE));
static SANS_IO_ROGUES: LazyLock<Engine> = LazyLock::new(|| engine(ROGUE_SANS_IO));

fn engine(plugin: &str) -> Engine {
    let mut limits = Limits::default();
    limits.memory = MEMORY;
    limits.retire_memory = MEMORY / 2;
    limits.cpu_time = CPU_TIME;
    limits.call_time = CALL_TIME;
    let builder = builder().limits(limits).plugin_file(Path::new(plugin));
    builder.build().expect("an engine with the rogue plugin")
}

/// Opens a store of the rogue plugin, which may reach `endpoint`. It sends its requests over wasi:http.
async fn rogue(mode: &str, endpoint: &str, target: &str) -> Result<Store, Error> {
    ROGUES.store([("mode", mode), ("endpoint", endpoint), ("target", target)]).await
}

/// Opens a store of the rogue plugin that implements `sans-io`.
async fn sans_io_rogue(mode: &str, endpoint: &str, target: &str) -> Result<Store, Error> {
    SANS_IO_ROGUES.store([("mode", mode), ("endpoint", endpoint), ("target", target)]).await
}

/// The host and port of a server.
fn authority(server: &Faulty) -> String {
    server.endpoint().replace("http://", "")
}

/// Characters that forge or reorder the lines of a log.
const CONTROL: [char; 6] = ['\n', '\r', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2028}'];

/// Asserts that an error with text of a plugin is short and forges nothing.
fn assert_harmless(error: &Error) {
    let shown = format!("{error} {error:?}");
    assert!(shown.len() < 10_000, "{}", shown.len());
    assert!(!shown.contains(CONTROL), "{shown}");
}

/// Tenants that write and read over and over until [`Bystanders::are_unharmed`].
struct Bystanders {
    enough: Arc<AtomicBool>,
    rounds: Arc<[AtomicUsize; 3]>,
    tasks: Vec<JoinHandle<()>>,
}

impl Bystanders {
    async fn at_work() -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new([const { AtomicUsize::new(0) }; 3]);
        let servers = Arc::new((dev_server().await, Faulty::start([]).await));
        let stores = [
            open(&servers.0.endpoint(), &[]).await,
            rogue("", NOWHERE, "").await.unwrap(),
            sans_io_rogue("", &servers.1.endpoint(), &authority(&servers.1)).await.unwrap(),
        ];
        let tasks = stores.into_iter().enumerate().map(|(n, store)| {
            let (enough, rounds, servers) = (enough.clone(), rounds.clone(), servers.clone());
            tokio::spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    let body = format!("round {}", rounds[n].load(Ordering::Relaxed));
                    store.put("k", body.clone()).await.unwrap();
                    assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), body);
                    rounds[n].fetch_add(1, Ordering::Relaxed);
                    // They are at work all the time, and leave the processor to the plugin under test.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                assert_eq!(store.pool().discarded, 0);
                drop(servers);
            })
        });
        Bystanders { tasks: tasks.collect(), enough, rounds }
    }

    /// Asserts that they have worked all the time, and still do.
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

/// Asserts that this misdeed ends every operation in an error that `is_right`, and the instance with it, and that the store
/// and all others go on.
async fn misdeed(mode: &str, is_right: impl Fn(&Error) -> bool) {
    let bystanders = Bystanders::at_work().await;
    let store = rogue(mode, NOWHERE, "").await.unwrap();
    // All at once, so that four of them take no longer than one.
    let (put, get, head, delete) = tokio::join!(
        store.put("k", "x").into_future(),
        store.get("k").into_future(),
        store.head("k").into_future(),
        store.delete("k").into_future(),
    );
    let outcomes = [put.err(), get.err(), head.err(), delete.err()];
    for outcome in outcomes {
        let error = outcome.unwrap_or_else(|| panic!("{mode}: it succeeded"));
        assert!(is_right(&error), "{mode}: {error:?}");
        assert!(error.failure().is_none(), "{mode}: this cannot be an error of the plugin: {error:?}");
        assert!(!error.to_string().is_empty());
    }
    let pool = store.pool();
    assert_eq!((pool.idle, pool.busy, pool.discarded), (0, 0, 4), "{mode}: {pool:?}");
    // While a store is opened, the misdeed costs only that store.
    let error = rogue(&format!("open-{mode}"), NOWHERE, "").await.err();
    let error = error.unwrap_or_else(|| panic!("open-{mode}: it succeeded"));
    assert!(is_right(&error), "open-{mode}: {error:?}");
    bystanders.are_unharmed().await;
}

#[test]
fn endless_loop_is_stopped() {
    run(misdeed("loop", |error| matches!(error, Error::OutOfTime { limit: CPU_TIME, .. })));
}

#[test]
fn unbounded_memory_is_refused() {
    run(misdeed("allocate", |error| matches!(error, Error::OutOfMemory { limit: MEMORY, .. })));
}

#[test]
fn trap_is_contained() {
    for mode in ["unreachable", "panic", "overrun", "recurse"] {
        run(misdeed(mode, |error| matches!(error, Error::Trapped { .. })));
    }
}

#[test]
fn endless_sleep_is_stopped() {
    run(misdeed("sleep", |error| matches!(error, Error::Overdue { limit: CALL_TIME, .. })));
}

#[test]
fn host_resources_are_bounded() {
    for mode in ["handles", "headers"] {
        run(misdeed(mode, |error| {
            matches!(error, Error::Trapped { .. } | Error::OutOfTime { .. } | Error::OutOfMemory { .. })
        }));
    }
}

#[test]
fn foreign_authorities_are_denied_over_wasi_http() {
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
            // The same host with another port, and with user information.
            format!("127.0.0.1:{}", own.port() ^ 1),
            format!("user@127.0.0.1:{}", other.port()),
        ];
        for target in targets {
            let store = rogue("call", &own.endpoint(), &target).await.unwrap();
            let error = store.get("k").await.err().unwrap_or_else(|| panic!("{target} was reached"));
            let Error::Network(failure) = &error else { panic!("{target}: {error:?}") };
            let allowed = authority(&own);
            assert!(failure.message.contains(&target), "does not name {target}: {failure:?}");
            assert!(failure.message.contains(&allowed), "does not say that {allowed} is allowed: {failure:?}");
            let pool = store.pool();
            assert_eq!((pool.busy, pool.discarded), (0, 0), "{target}: {pool:?}");
        }
        assert!(other.seen().is_empty(), "the other host was reached");
        assert!(own.seen().is_empty());
        // The own endpoint is allowed.
        let target = authority(&own);
        let store = rogue("call", &own.endpoint(), &target).await.unwrap();
        let error = store.get("k").await.expect_err("the plugin reports the response as an error");
        assert!(matches!(error, Error::Service(_)), "{error:?}");
        assert_eq!(own.seen().len(), 1);
        bystanders.are_unharmed().await;
    });
}

#[test]
fn endless_requests_over_wasi_http_are_stopped() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let own = Faulty::start([]).await;
        let target = authority(&own);
        let store = rogue("calls", &own.endpoint(), &target).await.unwrap();
        let error = store.get("k").await.expect_err("it never returns");
        assert!(error.failure().is_none(), "{error:?}");
        assert_eq!((store.pool().busy, store.pool().discarded), (0, 1), "{:?}", store.pool());
        bystanders.are_unharmed().await;
    });
}

#[test]
fn connections_of_an_instance_are_limited() {
    run(async {
        let own = Faulty::start([]).await;
        let target = authority(&own);
        let store = rogue("crowd", &own.endpoint(), &target).await.unwrap();
        // Responses it keeps are dropped with the call: the next one may send as many.
        for calls in 1..=2 {
            let failure = refused!(store.get("k").await, Service);
            assert_eq!(failure.message, "8 responses");
            assert_eq!(own.seen().len(), 8 * calls);
        }
        assert_eq!(store.pool().discarded, 0);
    });
}

#[test]
fn impossible_blobs_are_refused() {
    run(async {
        let modes = ["backward-range", "short-body", "long-body", "past-the-end", "another-range", "maximal-size"];
        for mode in modes {
            let store = rogue(mode, NOWHERE, "").await.unwrap();
            let got = match store.get("k").range(0..10).await {
                Ok(blob) => blob.bytes().await.map(|bytes| bytes.len()),
                Err(error) => Err(error),
            };
            // The requested ten bytes are there if only the size is impossible.
            match got {
                Err(Error::Plugin { .. } | Error::Integrity(_)) => {}
                Ok(10) if mode == "maximal-size" => {}
                other => panic!("{mode}: {other:?}"),
            }
        }
    });
}

#[test]
fn headers_and_methods_are_limited_over_wasi_http() {
    run(async {
        let own = Faulty::start([]).await;
        let target = authority(&own);
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
        // A method of one operation is refused for another.
        let store = rogue("wasi-field-range", &own.endpoint(), &target).await.unwrap();
        refused!(store.get("k").await, Service);
        let failure = refused!(store.delete("k").await, Network);
        assert!(failure.message.contains("the method GET"), "{failure:?}");
        assert_eq!(own.seen().len(), 1);
        // The error is short, whatever the plugin sends.
        let store = rogue(&format!("wasi-method-{}", "X".repeat(60_000)), &own.endpoint(), &target).await.unwrap();
        let failure = refused!(store.get("k").await, Network);
        assert!(failure.message.len() < 5000, "{} bytes", failure.message.len());
    });
}

#[test]
fn requests_without_backoff_are_delayed_over_wasi_http() {
    run(async {
        let own = Faulty::start((0..100_000).map(|_| Act::respond(200, "", ""))).await;
        let target = authority(&own);
        let store = rogue("asks", &own.endpoint(), &target).await.unwrap();
        let error = store.get("k").await.expect_err("it never returns");
        assert!(matches!(error, Error::Overdue { .. }), "{error:?}");
        let sent = own.seen().len();
        assert!((16..100).contains(&sent), "{sent} requests in a call of {CALL_TIME:?}");
    });
}

#[test]
fn oversized_settings_are_refused() {
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
        ROGUES.store(long(64 << 10)).await.expect("the maximum length");
    });
}

#[test]
fn oversized_results_are_refused() {
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
            let store = rogue(mode, NOWHERE, "").await.unwrap();
            let error = store.head("k").await.expect_err(mode);
            assert!(matches!(error, Error::Plugin { .. } | Error::Trapped { .. }), "{mode}: {error:?}");
        }
        for mode in ["long-key", "many-entries", "most-entries", "many-prefixes", "long-token", "aliased-keys"] {
            let store = rogue(mode, NOWHERE, "").await.unwrap();
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
            let store = rogue(&format!("presigned-{url}"), NOWHERE, "").await.unwrap();
            let error = store.presign(PresignedMethod::Get, "k").await.expect_err(url);
            assert!(matches!(error, Error::Plugin { .. }), "{url}: {error:?}");
        }
        let store = rogue("presigned-http://127.0.0.1:9/k?x", NOWHERE, "").await.unwrap();
        store.presign(PresignedMethod::Get, "k").await.expect("its own endpoint");
        bystanders.are_unharmed().await;
    });
}

#[test]
fn dates_beyond_year_9999_are_absent() {
    run(async {
        let store = rogue("far-date", NOWHERE, "").await.unwrap();
        assert_eq!(store.head("k").await.unwrap().last_modified, None);
        let adapter = SandbucketStore::from(store);
        adapter.head(&"k".into()).await.unwrap();
        let store = rogue("far-dates", NOWHERE, "").await.unwrap();
        assert!(store.list("").await.unwrap().entries.iter().all(|entry| entry.last_modified.is_none()));
        let adapter = SandbucketStore::from(store);
        let listed: Vec<_> = adapter.list(None).collect().await;
        assert_eq!(listed.len(), 2);
        assert!(listed.into_iter().all(|meta| meta.unwrap().size == u64::MAX));
    });
}

#[test]
fn error_text_is_escaped_and_truncated() {
    run(async {
        for mode in ["huge-error", "forged-error"] {
            let store = rogue(mode, NOWHERE, "").await.unwrap();
            assert_harmless(&store.head("k").await.expect_err("it fails"));
        }
    });
}

#[test]
fn instance_with_leaked_resources_is_retired() {
    run(async {
        let store = rogue("kept-resources", NOWHERE, "").await.unwrap();
        for calls in 1..=3 {
            store.put("k", "x").await.unwrap();
            let pool = store.pool();
            assert_eq!((pool.idle, pool.retired, pool.discarded), (0, calls, 0), "{pool:?}");
        }
    });
}

#[test]
fn instance_with_grown_memory_is_retired() {
    run(async {
        let store = rogue("", NOWHERE, "").await.unwrap();
        store.put("k", "x").await.unwrap();
        // The plugin keeps the body in its memory.
        store.put("large", vec![0; 9 << 20]).await.unwrap();
        let pool = store.pool();
        assert_eq!((pool.idle, pool.busy, pool.discarded, pool.retired), (0, 0, 0, 1), "{pool:?}");
        store.put("k", "and on").await.unwrap();
    });
}

#[test]
fn components_with_other_imports_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, import) in [
        ("files", "wasi:filesystem/types@0.2.0"),
        ("environment", "wasi:cli/environment@0.2.0"),
        ("sockets", "wasi:sockets/tcp@0.2.0"),
        ("random", "wasi:random/random@0.2.0"),
        ("unknown", "acme:rocket/launch@1.0.0"),
    ] {
        let text = format!("(component (import \"{import}\" (instance (export \"do\" (func)))))");
        let path = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
        let error = Engine::builder().plugin_file(&path).cache_dir(Path::new(CACHE)).build().err();
        let Some(Error::Plugin { message, .. }) = error else { panic!("{import}: {error:?}") };
        assert!(message.contains(import), "{import}: {message}");
    }
}

#[test]
fn files_without_a_plugin_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files: [(&str, Vec<u8>); 5] = [
        ("no-exports.wasm", wat::parse_str("(component)").unwrap()),
        ("a-module.wasm", wat::parse_str("(module)").unwrap()),
        ("empty.wasm", Vec::new()),
        ("text.wasm", b"not a component at all".to_vec()),
        ("half.wasm", std::fs::read(ROGUE).unwrap()[..10_000].to_vec()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Engine::builder().plugin_file(&path).cache_dir(Path::new(CACHE)).build().err();
        let Some(Error::Plugin { message, .. }) = error else { panic!("{name}: {error:?}") };
        assert!(message.contains(name), "does not name the file {name}: {message}");
    }
    let error = Engine::builder().plugin_file(folder.path().join("nowhere.wasm")).build().err();
    assert!(matches!(error, Some(Error::Io { .. } | Error::Plugin { .. })), "{error:?}");
}
