//! Concurrent parts, as an application implements them for a client that transfers one part at a time.

use std::future::Future;

use anyhow::Result;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};

/// Runs the futures with bounded concurrency, each in its own task, and returns their outputs in order.
pub fn side_by_side<F, T>(at_once: usize, work: impl Iterator<Item = F> + Send) -> impl Stream<Item = Result<T>> + Send
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    futures::stream::iter(work.map(tokio::spawn)).buffered(at_once).map(|done| done?)
}

/// Fetches ranges concurrently, and counts their bytes in the order of the blob. A range waits in the chunks that it
/// arrived in, without a copy.
pub async fn fetch<F>(at_once: usize, ranges: impl Iterator<Item = F> + Send) -> Result<u64>
where
    F: Future<Output = Result<Vec<Bytes>>> + Send + 'static,
{
    let mut fetched = std::pin::pin!(side_by_side(at_once, ranges));
    let mut count = 0;
    while let Some(pieces) = fetched.try_next().await? {
        count += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    }
    Ok(count)
}
