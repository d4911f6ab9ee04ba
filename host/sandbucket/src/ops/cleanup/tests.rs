use std::future::IntoFuture;

use super::*;
use crate::engine::Engine;
use crate::limits::Limits;
use crate::support::background::{Cleanup, MAX_CONCURRENT, MAX_QUEUED};

/// Accepts connections and never responds.
async fn silent_service() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    });
    endpoint
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_abandoned_uploads_on_a_silent_service_are_bounded() {
    let limits = Limits { call_time: Duration::from_secs(3), instances_per_store: 3, ..Limits::default() };
    let engine = Engine::builder().limits(limits).allow_private_networks().build().unwrap();
    let endpoint = silent_service().await;
    let settings = |bucket: &'static str| {
        let settings = [("bucket", bucket), ("access-key", "a"), ("secret-key", "s"), ("endpoint", &*endpoint)];
        settings.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let store = engine.store(settings("bucket-a")).await.unwrap();
    let neighbour = engine.store(settings("bucket-b")).await.unwrap();
    let calls = &store.calls;
    let call = CallOptions::default();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut most = 0;
    for upload in 0..10_000 {
        // An endless part per upload.
        let mut running = JoinSet::new();
        running.spawn(std::future::pending());
        abort_in_background(calls, "k", format!("upload-{upload}"), &call, running);
        if upload % 100 == 0 {
            tokio::task::yield_now().await;
            most = most.max(calls.pool().engine().cleanups().count());
        }
    }
    assert!(most <= MAX_CONCURRENT + MAX_QUEUED, "{most} cleanups at once");
    tokio::time::sleep(Duration::from_millis(500)).await;
    // A cleanup, and its connection.
    let alive = tasks() - before;
    assert!(alive <= 2 * (MAX_CONCURRENT + MAX_QUEUED), "{alive} tasks");
    // One of the store's three concurrent calls is left to others. The other calls hold no instance while they wait.
    assert_eq!(calls.pool().in_flight(), 2, "{:?}", store.pool());
    assert_eq!(store.pool().busy, 0, "{:?}", store.pool());
    for other in [&store, &neighbour] {
        let url = other.presign(crate::PresignedMethod::Get, "k").time_limit(Duration::from_secs(2)).into_future();
        url.await.expect("the store and its neighbour go on");
    }
    // Much longer than the deadline.
    tokio::time::timeout(Duration::from_secs(60), engine.drain()).await.expect("the count of cleanups ends");
}

#[test]
fn skipped_uploads_are_warned_of_once_a_minute() {
    let cleanup = Cleanup::new(64);
    assert_eq!(cleanup.skip(), Some(1));
    assert_eq!((0..1000).find_map(|_| cleanup.skip()), None);
    assert_eq!(cleanup.running.available_permits(), MAX_CONCURRENT);
    assert_eq!(Cleanup::new(1).running.available_permits(), 1);
    assert_eq!(Cleanup::new(3).running.available_permits(), 2);
}
