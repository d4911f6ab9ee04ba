//! Egress: names resolved by a scripted name server, and addresses that a policy allows or refuses.

mod name_server;
mod names;
mod policy;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sandbucket::{Engine, Error, Limits, Store, StoreOptions};
use sandbucket_tests::{CACHE, settings};
use tokio::net::TcpListener;

use name_server::{NameServer, Reply};

/// The path of the blob `k` in requests.
const PATH: &str = "/sandbucket-tests/k";

/// An engine that uses this name server, and reaches public addresses only.
fn engine(names: &NameServer, change: impl FnOnce(&mut Limits)) -> Engine {
    let mut limits = Limits::default();
    change(&mut limits);
    let builder = Engine::builder().limits(limits).cache_dir(CACHE).name_servers([names.address]);
    builder.build().expect("an engine")
}

/// Settings for this endpoint, with one attempt per call.
fn once(endpoint: &str) -> Vec<(String, String)> {
    settings(endpoint, &[("max-retries", "0"), ("addressing-style", "path")])
}

/// A store that may reach private addresses.
async fn open_private(engine: &Engine, endpoint: &str) -> Store {
    engine.open(StoreOptions::new().settings(once(endpoint)).allow_private()).await.expect("the store opens")
}

/// The error message of a call that reaches no server.
async fn unreached(store: &Store) -> String {
    match store.head("k").await {
        Err(Error::Network(failure) | Error::Timeout(failure)) => failure.message,
        other => panic!("expected a network error, not {other:?}"),
    }
}

/// A listener on loopback, and the number of its connections.
async fn listener() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counting.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}
