//! Options of a single store.

use std::time::Duration;

use sandbucket::{Engine, Error, Limits, Store, StoreOptions};
use sandbucket_tests::{BUCKET, builder, engine, open, refused, run, settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::two_keys::TwoKeys;
use sandbucket_tests::child::is_child;

/// A service that responds to every request with 404 after a delay.
struct Slow(String, JoinHandle<()>);

impl Slow {
    async fn start(pause: Duration) -> Slow {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while connection.read(&mut request).await.is_ok_and(|count| count > 0) {
                        tokio::time::sleep(pause).await;
                        let response = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
                        if connection.write_all(response).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Slow(endpoint, task)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.1.abort();
    }
}

fn options(endpoint: &str) -> StoreOptions {
    StoreOptions::new().settings(settings(endpoint, &[("max-retries", "0")]))
}

async fn opened(engine: &Engine, options: StoreOptions) -> Store {
    engine.open(options).await.expect("the store opens")
}

#[test]
fn store_timeout_may_exceed_the_engines_default() {
    run(async {
        let slow = Slow::start(Duration::from_millis(1_200)).await;
        let short = Duration::from_millis(300);
        let limits = Limits::default().with_first_byte_timeout(short).with_between_bytes_timeout(short);
        let engine = builder().limits(limits).build().expect("an engine");
        let capped = opened(&engine, options(&slow.0).setting("timeout", Duration::from_secs(20))).await;
        let failure = refused!(capped.head("k").await, Timeout);
        for name in ["`first-byte-timeout`", "Limits::first_byte_timeout", "StoreOptions::timeout"] {
            assert!(failure.message.contains(name), "{failure:?}");
        }
        let extended = opened(&engine, options(&slow.0).timeout(Duration::from_secs(20))).await;
        refused!(extended.head("k").await, NotFound);
    });
}

#[test]
fn store_and_call_time_limits_may_exceed_the_default_but_not_the_maximum() {
    run(async {
        let slow = Slow::start(Duration::from_millis(1_200)).await;
        let limits =
            Limits::default().with_call_time(Duration::from_millis(300)).with_max_call_time(Duration::from_secs(60));
        let engine = builder().limits(limits).build().expect("an engine");
        let usual = opened(&engine, options(&slow.0)).await;
        refused!(usual.head("k").await, Timeout);
        refused!(usual.head("k").time_limit(Duration::from_secs(20)).await, NotFound);
        let extended = opened(&engine, options(&slow.0).call_time(Duration::from_secs(20))).await;
        refused!(extended.head("k").await, NotFound);
        assert_eq!(extended.limits().call_time, Duration::from_secs(20));
        let failure = refused!(engine.open(options(&slow.0).call_time(Duration::from_secs(61))).await, InvalidArgument);
        assert!(failure.message.contains("Limits::max_call_time"), "{failure:?}");
        for zero in [options(&slow.0).call_time(Duration::ZERO), options(&slow.0).timeout(Duration::ZERO)] {
            refused!(engine.open(zero).await, InvalidArgument);
        }
    });
}

#[test]
fn error_messages_name_the_limit_as_in_code_and_configuration() {
    run(async {
        let store = opened(engine(), options("http://127.0.0.1:9")).await;
        drop(store);
        let limits = Limits::default().with_max_put(10);
        let small = builder().limits(limits).build().expect("an engine");
        let store = opened(&small, options("http://127.0.0.1:9")).await;
        let failure = refused!(store.put("k", vec![0; 11]).await, TooLarge);
        assert!(failure.message.contains("`max-put` (`Limits::max_put`, or that key in [sandbox])"), "{failure:?}");
        let error = builder().limits(Limits::default().with_cpu_time(Duration::ZERO)).build().expect_err("no time");
        assert!(error.to_string().contains("Limits::cpu_time"), "{error}");
    });
}

#[test]
fn secret_with_an_interpolation_mark_is_taken_literally() {
    run(async {
        let service = TwoKeys::start().await;
        service.set_valid(1, true);
        let options = StoreOptions::new().settings(service.settings()).credentials(TwoKeys::credentials(1));
        let store = opened(engine(), options).await;
        store.put("k", "x").await.expect("the second pair's secret has `%{` in it");
    });
}

#[test]
fn settings_accept_numbers_durations_and_booleans() {
    run(async {
        let server = sandbucket_tests::dev_server().await;
        let options = StoreOptions::new()
            .settings(settings(&server.endpoint(), &[]))
            .setting("max-retries", 5)
            .setting("timeout", Duration::from_millis(1_500))
            .setting("verify-after-write", true);
        opened(engine(), options).await.put("k", "x").await.expect("it is stored");
        drop(open(&server.endpoint(), &[]).await);
    });
}

#[test]
fn credentials_are_read_from_the_environment_or_a_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, credentials) = (folder.path().join("config"), folder.path().join("credentials"));
    std::fs::write(&config, "[profile work]\nregion = us-east-1\n").expect("a file");
    let keys = "aws_access_key_id = tester\naws_secret_access_key = a secret that must not show\n";
    std::fs::write(&credentials, format!("[work]\n{keys}")).expect("a file");
    let variables = [
        ("AWS_CONFIG_FILE", config.to_str().expect("a path")),
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().expect("a path")),
        ("AWS_ACCESS_KEY_ID", "tester"),
        ("AWS_SECRET_ACCESS_KEY", "a secret that must not show"),
        ("AWS_REGION", "us-east-1"),
        ("HOME", "/nonexistent"),
    ];
    if !is_child("options::credentials_are_read_from_the_environment_or_a_profile", None, &variables) {
        return;
    }
    run(async {
        let server = sandbucket_tests::dev_server().await;
        let bare = || StoreOptions::new().setting("bucket", BUCKET).setting("endpoint", server.endpoint());
        refused!(opened(engine(), bare()).await.put("k", "x").await, AccessDenied);
        let of_variables = opened(engine(), bare().credentials_from_environment()).await;
        of_variables.put("k", "x").await.expect("the variables' keys");
        let of_profile = opened(engine(), bare().profile("work")).await;
        of_profile.put("k", "x").await.expect("the profile's keys");
        let error = engine().open(bare().profile("play")).await.expect_err("there is none");
        assert!(matches!(error, Error::Config { .. }) && error.to_string().contains("work"), "{error}");
    });
}
