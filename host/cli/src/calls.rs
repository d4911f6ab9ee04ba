//! Timed calls for `demo` and `check`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sandbucket::{ByteRange, Error, Store};

/// Returns the outcome, and how long it took.
pub async fn timed<T>(work: impl IntoFuture<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let outcome = work.await;
    (outcome, begun.elapsed())
}

/// Reads a blob or a range of it.
pub async fn read(store: &Store, key: &str, range: Option<ByteRange>) -> Result<Bytes, Error> {
    let get = store.get(key);
    let get = match range {
        Some(range) => get.range(range),
        None => get,
    };
    get.await?.bytes().await
}
