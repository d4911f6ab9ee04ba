//! Credentials that a service rejects: the store asks its provider for others, and repeats the call.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use sandbucket::credentials::{self, SharedProvider};
use sandbucket::{Body, Config, Store, StoreOptions};
use sandbucket_tests::{ACCESS_KEY, SECRET_KEY, engine, refused, run};

use sandbucket_tests::child::{in_child, is_child};
use sandbucket_tests::tokens::{TokenService, token};

/// Much longer than any of this takes.
const LONG: Duration = Duration::from_secs(60);

/// A provider of the token that the service takes, and the number of its queries.
fn following(service: &Arc<TokenService>) -> (SharedProvider, Arc<AtomicUsize>) {
    let (queries, service) = (Arc::new(AtomicUsize::new(0)), service.clone());
    let counter = queries.clone();
    let provider = move || {
        counter.fetch_add(1, SeqCst);
        let credentials = TokenService::credentials(service.valid());
        async move {
            // Calls that are rejected meanwhile wait for the same query.
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<_, io::Error>(credentials)
        }
    };
    (SharedProvider::new(provider), queries)
}

async fn open(service: &TokenService, options: StoreOptions) -> Store {
    engine().open(options.settings(service.settings())).await.expect("the store opens")
}

/// Five calls.
async fn round(store: &Store, key: &str) -> sandbucket::Result<()> {
    store.put(key, "body").await?;
    assert_eq!(store.get(key).await?.bytes().await?, "body");
    assert_eq!(store.head(key).await?.size, 4);
    assert_eq!(store.list(key).await?.entries.len(), 1);
    store.delete(key).await.map(drop)
}

#[test]
fn tokens_that_expire_under_load_fail_no_call() {
    run(async {
        let service = Arc::new(TokenService::start().await);
        let (provider, queries) = following(&service);
        let store = open(&service, StoreOptions::new().credentials_provider(provider)).await;
        let rounds = Arc::new(AtomicUsize::new(0));
        // 1,000 calls; every 100 of them, the token expires at once.
        let tasks = (0..8).map(|task| {
            let (store, service, rounds) = (store.clone(), service.clone(), rounds.clone());
            tokio::spawn(async move {
                for n in 0..25 {
                    round(&store, &format!("task-{task}/{n}/")).await?;
                    if (rounds.fetch_add(1, SeqCst) + 1).is_multiple_of(20) {
                        service.rotate();
                    }
                }
                Ok::<_, sandbucket::Error>(())
            })
        });
        for ended in join_all(tasks).await {
            ended.expect("the task ends").expect("no call fails");
        }
        assert_eq!((rounds.load(SeqCst), service.valid()), (200, 10));
        assert!(service.rejected() >= 9, "the service rejected {} requests", service.rejected());
        // The last rotation may have come after the last call. None is asked for twice.
        assert!((10..=11).contains(&queries.load(SeqCst)), "{} queries", queries.load(SeqCst));
    });
}

#[test]
fn stores_that_share_a_provider_share_its_queries() {
    run(async {
        let service = Arc::new(TokenService::start().await);
        let (provider, queries) = following(&service);
        let opened = (0..20).map(|_| open(&service, StoreOptions::new().credentials_provider(provider.clone())));
        let stores = join_all(opened).await;
        assert_eq!(queries.load(SeqCst), 1);
        service.rotate();
        let rounds = stores.iter().enumerate().map(|(n, store)| async move { round(store, &format!("{n}/")).await });
        try_join_all(rounds).await.expect("no call fails");
        assert_eq!(queries.load(SeqCst), 2);
        // So do stores opened with the same options.
        let options = StoreOptions::new().credentials_provider(provider);
        let again = join_all([open(&service, options.clone()), open(&service, options)]).await;
        let rounds = again.iter().enumerate().map(|(n, store)| async move { round(store, &format!("{n}/")).await });
        try_join_all(rounds).await.expect("no call fails");
        assert_eq!(queries.load(SeqCst), 2);
    });
}

#[test]
fn consumed_stream_is_not_sent_again() {
    run(async {
        let service = Arc::new(TokenService::start().await);
        let (provider, queries) = following(&service);
        // A body that is signed is gathered first, and not a stream.
        let options = StoreOptions::new().setting("payload-signing", "unsigned").credentials_provider(provider);
        let store = open(&service, options).await;
        store.put("k", "old").await.expect("the token is valid");
        service.rotate();
        let body = futures::stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"new"))]);
        let failure = refused!(store.put("k", Body::stream(3, body)).await, AccessDenied);
        let response = failure.response.expect("the service's response");
        assert_eq!(response.code.as_deref(), Some("ExpiredToken"));
        assert!(!failure.message.contains("session-token"), "{}", failure.message);
        // The provider was asked all the same, for later calls.
        let asked = async {
            while queries.load(SeqCst) < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, asked).await.expect("the provider is asked");
        assert_eq!(store.get("k").await.expect("the new token").bytes().await.unwrap(), "old");
        // A stream of parts in memory is repeated.
        service.rotate();
        store.upload("k").reader(&b"newer"[..]).await.expect("the upload is repeated");
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "newer");
    });
}

#[test]
fn rejection_is_an_error_if_there_are_no_other_credentials() {
    run(async {
        let service = Arc::new(TokenService::start().await);
        let without = open(&service, StoreOptions::new().credentials(TokenService::credentials(0))).await;
        let (queries, fails) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, state) = (queries.clone(), fails.clone());
        let stuck = move || {
            counter.fetch_add(1, SeqCst);
            let fails = state.load(SeqCst);
            async move { if fails { Err(io::Error::other("sealed")) } else { Ok(TokenService::credentials(0)) } }
        };
        let stuck = open(&service, StoreOptions::new().credentials_provider(stuck)).await;
        stuck.put("k", "x").await.expect("the token is valid");
        service.rotate();
        for store in [&without, &stuck] {
            let failure = refused!(store.put("k", "x").await, AccessDenied);
            assert_eq!(failure.response.and_then(|response| response.code).as_deref(), Some("ExpiredToken"));
        }
        // Fifty calls that fail do not make fifty queries.
        join_all((0..50).map(|_| async { refused!(stuck.put("k", "x").await, AccessDenied) })).await;
        fails.store(true, SeqCst);
        join_all((0..50).map(|_| async { refused!(stuck.put("k", "x").await, AccessDenied) })).await;
        assert!((2..20).contains(&queries.load(SeqCst)), "{} queries", queries.load(SeqCst));
    });
}

#[test]
fn profile_is_read_again_if_the_service_rejects_its_token() {
    const TEST: &str = "rotation::profile_is_read_again_if_the_service_rejects_its_token";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("credentials");
    let path = file.to_str().expect("a path").to_owned();
    if !in_child() {
        std::fs::write(&file, "").expect("a file");
    }
    if !is_child(TEST, None, &[("AWS_SHARED_CREDENTIALS_FILE", &path), ("AWS_CONFIG_FILE", "/dev/null")]) {
        return;
    }
    run(async {
        let service = Arc::new(TokenService::start().await);
        let path = std::env::var("AWS_SHARED_CREDENTIALS_FILE").expect("a path");
        // As tools write it that do not say when the token expires.
        let write = |n: usize| {
            let text = format!(
                "[temporary]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n\
                 aws_session_token = {}\n",
                token(n)
            );
            std::fs::write(&path, text).expect("a file");
        };
        write(0);
        let text = format!(
            "[store.blob.s3]\nbucket = '{}'\nregion = 'us-east-1'\nendpoint = '{}'\nprofile = 'temporary'\n",
            sandbucket_tests::BUCKET,
            service.endpoint
        );
        let config = Config::parse(&text).expect("a configuration");
        let stores = [
            config.open(engine()).await.expect("the store opens"),
            open(&service, StoreOptions::new().profile("temporary")).await,
            open(&service, StoreOptions::new().credentials_provider(credentials::profile("temporary"))).await,
        ];
        for (n, store) in stores.iter().enumerate() {
            round(store, &format!("{n}/")).await.expect("the first token");
        }
        service.rotate();
        write(1);
        for (n, store) in stores.iter().enumerate() {
            round(store, &format!("{n}/")).await.expect("the second token");
        }
    });
}
