//! Credentials that are replaced while a store is in use.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use futures::future::join_all;
use sandbucket::{Config, Credentials, Engine, Error, Store, StoreOptions};
use sandbucket_tests::{builder, engine, refused, run};

use crate::two_keys::TwoKeys;
use sandbucket_tests::child::is_child;

async fn open(engine: &Engine, service: &TwoKeys, options: StoreOptions) -> Store {
    engine.open(options.settings(service.settings())).await.expect("the store opens")
}

/// Puts, reads, lists and deletes until it is stopped; returns the number of rounds.
async fn traffic(store: Store, task: usize, stopped: Arc<AtomicBool>) -> usize {
    let mut rounds = 0;
    while !stopped.load(SeqCst) {
        let key = format!("task-{task}/{rounds}");
        store.put(key.as_str(), "body").await.unwrap_or_else(|error| panic!("put: {error}"));
        let read = store.get(key.as_str()).await.unwrap_or_else(|error| panic!("get: {error}"));
        assert_eq!(read.bytes().await.expect("the body"), "body");
        store.head(key.as_str()).await.unwrap_or_else(|error| panic!("head: {error}"));
        let found = store.list(format!("task-{task}/")).await.unwrap_or_else(|error| panic!("list: {error}"));
        assert_eq!(found.entries.len(), 1);
        store.delete(key.as_str()).await.unwrap_or_else(|error| panic!("delete: {error}"));
        rounds += 1;
    }
    rounds
}

#[test]
fn keys_rotated_under_load_fail_no_call() {
    run(async {
        let service = TwoKeys::start().await;
        let store = open(engine(), &service, StoreOptions::new().credentials(TwoKeys::credentials(0))).await;
        let stopped = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..12).map(|task| tokio::spawn(traffic(store.clone(), task, stopped.clone()))).collect();
        for rotation in 1..=6 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let (new, old) = (rotation % 2, 1 - rotation % 2);
            service.set_valid(new, true);
            store.set_credentials(TwoKeys::credentials(new)).await.expect("the plugin takes them");
            // Immediately: requests in flight are rejected, and retried.
            service.set_valid(old, false);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        stopped.store(true, SeqCst);
        let rounds: Vec<usize> = join_all(tasks).await.into_iter().map(|ended| ended.expect("no call fails")).collect();
        assert!(rounds.iter().all(|&rounds| rounds > 0), "{rounds:?}");
        let status = store.pool();
        assert_eq!(status.discarded, 0, "{status:?}");
    });
}

#[test]
fn rejected_credentials_leave_the_old_ones_in_place() {
    run(async {
        let service = TwoKeys::start().await;
        let store = open(engine(), &service, StoreOptions::new().credentials(TwoKeys::credentials(0))).await;
        let error = store.set_credentials(Credentials::new("a\nb", "hush hush")).await.expect_err("no access key");
        assert!(matches!(error, Error::InvalidSettings(_)) && !format!("{error:?}").contains("hush"), "{error:?}");
        store.put("k", "x").await.expect("the old ones hold");
        // Credentials that the service does not know fail.
        store.set_credentials(Credentials::new("nobody", "nothing")).await.expect("they are well formed");
        refused!(store.put("k", "x").await, AccessDenied);
        store.set_credentials(TwoKeys::credentials(0)).await.expect("well formed");
        store.put("k", "x").await.expect("they are right again");
    });
}

#[test]
fn expiring_credentials_are_renewed_once_before_they_expire() {
    run(async {
        let service = TwoKeys::start().await;
        service.set_valid(1, true);
        let renewals = Arc::new(AtomicUsize::new(0));
        let counter = renewals.clone();
        let provider = move || {
            let n = counter.fetch_add(1, SeqCst);
            async move {
                // Other calls do not wait for the renewal.
                tokio::time::sleep(Duration::from_millis(if n > 0 { 200 } else { 0 })).await;
                let life = if n == 0 { Duration::from_secs(2) } else { Duration::from_secs(3600) };
                Ok::<_, io::Error>(TwoKeys::credentials(n.min(1)).expires_at(SystemTime::now() + life))
            }
        };
        let store = open(engine(), &service, StoreOptions::new().credentials_provider(provider)).await;
        let stopped = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..8).map(|task| tokio::spawn(traffic(store.clone(), task, stopped.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(1_800)).await;
        service.set_valid(0, false);
        tokio::time::sleep(Duration::from_millis(700)).await;
        stopped.store(true, SeqCst);
        assert!(join_all(tasks).await.into_iter().all(|ended| ended.is_ok()), "a call failed");
        assert_eq!(renewals.load(SeqCst), 2, "one renewal, whatever the number of calls");
    });
}

#[test]
fn failed_renewal_keeps_the_old_credentials_until_they_expire() {
    run(async {
        let service = TwoKeys::start().await;
        let broken = Arc::new(AtomicBool::new(false));
        let (renewals, state) = (Arc::new(AtomicUsize::new(0)), broken.clone());
        let counter = renewals.clone();
        let provider = move || {
            counter.fetch_add(1, SeqCst);
            let broken = state.load(SeqCst);
            async move {
                if broken {
                    return Err(io::Error::other("the vault is sealed"));
                }
                Ok(TwoKeys::credentials(0).expires_at(SystemTime::now() + Duration::from_secs(2)))
            }
        };
        let store = open(engine(), &service, StoreOptions::new().credentials_provider(provider)).await;
        broken.store(true, SeqCst);
        // Renewal is due after one second.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        store.put("k", "x").await.expect("the old ones hold");
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let calls = join_all((0..20).map(|_| async { store.put("k", "x").await })).await;
        for call in calls {
            let failure = refused!(call, AccessDenied);
            assert!(
                failure.message.contains("expired") && failure.message.contains("the vault is sealed"),
                "{failure:?}"
            );
            assert!(failure.retryable && failure.attempts == 0, "{failure:?}");
        }
        assert!(renewals.load(SeqCst) < 8, "it was asked {} times", renewals.load(SeqCst));
        broken.store(false, SeqCst);
        tokio::time::sleep(Duration::from_millis(500)).await;
        store.put("k", "x").await.expect("there are others");
    });
}

#[test]
fn instances_with_former_credentials_are_not_reused() {
    run(async {
        let service = TwoKeys::start().await;
        service.set_valid(1, true);
        let limits = sandbucket::Limits::default().with_instances(2);
        let engine = builder().limits(limits).build().expect("an engine");
        let store = open(&engine, &service, StoreOptions::new().credentials(TwoKeys::credentials(0))).await;
        store.put("k", "x").await.expect("the first pair");
        store.set_credentials(TwoKeys::credentials(1)).await.expect("the second pair");
        service.set_valid(0, false);
        assert_eq!((store.pool().idle, store.pool().retired), (1, 1), "{:?}", store.pool());
        let entries: Vec<_> = store.list("").entries().collect().await;
        assert_eq!(entries.len(), 1);
        store.delete("k").await.expect("the second pair");
        assert_eq!(store.pool().created, 2);
    });
}

#[test]
fn credential_process_is_run_again_before_its_credentials_expire() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, script) = (folder.path().join("config"), folder.path().join("keys.sh"));
    // The first pair is valid for three seconds.
    let text = r#"
cd "$1"
if [ -e ran ]; then key=second-key; secret='the %{second} secret'; life='1 hour'
else key=first-key; secret='the first secret'; life='3 seconds'; fi
echo run >> ran
printf '{"Version": 1, "AccessKeyId": "%s", "SecretAccessKey": "%s", "Expiration": "%s"}' \
    "$key" "$secret" "$(date -u -d "$life" +%Y-%m-%dT%H:%M:%SZ)"
"#;
    std::fs::write(&script, text).expect("a file");
    let command = format!("sh {} {}", script.display(), folder.path().display());
    std::fs::write(&config, format!("[default]\nregion = us-east-1\ncredential_process = {command}\n"))
        .expect("a file");
    let variables = [
        ("AWS_CONFIG_FILE", config.to_str().expect("a path")),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("RAN", folder.path().to_str().expect("a path")),
    ];
    if !is_child("credentials::credential_process_is_run_again_before_its_credentials_expire", None, &variables) {
        return;
    }
    run(async {
        let service = TwoKeys::start().await;
        service.set_valid(1, true);
        let text = format!(
            "[store.blob.s3]\nbucket = \"{}\"\nendpoint = \"{}\"\n",
            sandbucket_tests::BUCKET,
            service.endpoint
        );
        let store = Config::parse(&text).expect("a configuration").open(engine()).await.expect("the store opens");
        let stopped = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..4).map(|task| tokio::spawn(traffic(store.clone(), task, stopped.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(2_900)).await;
        service.set_valid(0, false);
        tokio::time::sleep(Duration::from_millis(500)).await;
        stopped.store(true, SeqCst);
        assert!(join_all(tasks).await.into_iter().all(|ended| ended.is_ok()), "a call failed");
        let ran = std::path::Path::new(&std::env::var("RAN").expect("a folder")).join("ran");
        assert_eq!(std::fs::read_to_string(ran).expect("it ran"), "run\nrun\n");
    });
}
