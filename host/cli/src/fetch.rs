//! Reads large blobs over several connections.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use sandbucket::{Blob, Error, Store};

/// Minimum size for several connections.
const DOWNLOAD_FROM: u64 = 32 << 20;

/// The bytes of a blob being read: over its connection, or over several if it is large. The options of the read, except for
/// its range, need not be repeated.
pub async fn fetch(store: &Store, key: &str, blob: Blob) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let range = blob.range();
    let much = range.end - range.start >= DOWNLOAD_FROM && blob.info().known_size().is_some();
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

/// The bytes as they arrive.
pub fn one(
    blob: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, Error>> {
    blob.boxed()
}
