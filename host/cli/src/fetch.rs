//! Much is read over several connections.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use sandbucket::{Blob, Error, Store};

/// From how many bytes on.
const MUCH: u64 = 32 << 20;

/// The bytes of a blob that is being read: over this one connection, or over several where it is much. What else the read
/// was told, but for its range, it must not be told again.
pub async fn fetch(store: &Store, key: &str, blob: Blob) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let range = blob.range();
    let much = range.end - range.start >= MUCH && blob.info().known_size().is_some();
    let Some(etag) = blob.info().etag.clone().filter(|_| much) else {
        return Ok(one(blob));
    };
    let mut download = store.download(key).range(range).if_match(etag);
    if let Some(version) = blob.info().version.clone() {
        download = download.version(version);
    }
    drop(blob);
    Ok(one(download.await?))
}

/// The bytes as they come.
pub fn one(
    blob: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, Error>> {
    blob.boxed()
}
