//! Calls as `demo` and `check` make them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sandbucket::{ByteRange, Error, Store};

/// What comes of it, and how long that took.
pub async fn timed<T>(work: impl IntoFuture<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let outcome = work.await;
    (outcome, begun.elapsed())
}

/// All the bytes of a blob, or of a part of it.
pub async fn read(store: &Store, key: &str, range: Option<ByteRange>) -> Result<Bytes, Error> {
    let get = store.get(key);
    let get = match range {
        Some(range) => get.range(range),
        None => get,
    };
    get.await?.bytes().await
}
