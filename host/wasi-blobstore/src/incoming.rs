//! Values that guests read: whole, or as a stream.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use sandbucket::Blob;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

use crate::containers::on;
use crate::limits::Permit;

/// The resource `incoming-value`: an object, or a range of one, of which nothing was read yet.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct IncomingValue {
    container: String,
    blob: Blob,
    permit: Permit,
}

impl IncomingValue {
    pub(crate) fn new(container: String, blob: Blob, permit: Permit) -> Self {
        IncomingValue { container, blob, permit }
    }

    pub(crate) fn size(&self) -> u64 {
        let range = self.blob.range();
        range.end.saturating_sub(range.start)
    }

    /// Reads all of it into memory, unless it is longer than the limit.
    pub(crate) async fn bytes(mut self, limit: u64) -> Result<Vec<u8>, String> {
        let too_long = |size: &dyn std::fmt::Display| {
            format!(
                "the value has {size} bytes, and the host reads at most {limit} at once: use incoming-value-consume-async, or get \
                 a range"
            )
        };
        let known = self.blob.info().known_size().is_some();
        if known && self.size() > limit {
            return Err(too_long(&self.size()));
        }
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.blob.next().await {
            let piece = piece.map_err(|error| on(&self.container, &error))?;
            if bytes.len() as u64 + piece.len() as u64 > limit {
                return Err(too_long(&format!("more than {limit}")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    /// The stream of its bytes. The next are requested as the guest reads.
    pub(crate) fn stream(self) -> ValueReader {
        ValueReader { container: self.container, blob: Some(self.blob), next: Ok(Bytes::new()), _permit: self.permit }
    }
}

/// Time that a guest waits for the next bytes at most. The store's own timeouts end a read without progress much earlier.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// The input stream of a value.
pub(crate) struct ValueReader {
    container: String,
    /// `None` after its end or an error.
    blob: Option<Blob>,
    /// Bytes that arrived, or the error to return next.
    next: Result<Bytes, String>,
    _permit: Permit,
}

impl ValueReader {
    fn arrived(&mut self, piece: Option<sandbucket::Result<Bytes>>) {
        match piece {
            Some(Ok(piece)) => self.next = Ok(piece),
            Some(Err(error)) => self.fail(on(&self.container, &error)),
            None => self.blob = None,
        }
    }

    fn fail(&mut self, error: String) {
        self.next = Err(error);
        self.blob = None;
    }

    fn is_waiting(&self) -> bool {
        self.blob.is_some() && matches!(&self.next, Ok(bytes) if bytes.is_empty())
    }
}

#[async_trait::async_trait]
impl Pollable for ValueReader {
    async fn ready(&mut self) {
        while self.is_waiting()
            && let Some(blob) = &mut self.blob
        {
            match tokio::time::timeout(MAX_WAIT, blob.next()).await {
                Ok(piece) => self.arrived(piece),
                Err(_) => {
                    let container = crate::names::shown(&self.container);
                    self.fail(format!("container {container}: no bytes arrived within {MAX_WAIT:?}"));
                }
            }
        }
    }
}

#[async_trait::async_trait]
impl InputStream for ValueReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        // A guest may read without waiting.
        while self.is_waiting()
            && let Some(piece) = self.blob.as_mut().and_then(|blob| blob.next().now_or_never())
        {
            self.arrived(piece);
        }
        match &mut self.next {
            Ok(bytes) if !bytes.is_empty() => Ok(bytes.split_to(size.min(bytes.len()))),
            Ok(_) if self.blob.is_some() => Ok(Bytes::new()),
            Ok(_) => Err(StreamError::Closed),
            Err(error) => {
                let error = std::mem::take(error);
                self.next = Ok(Bytes::new());
                Err(StreamError::LastOperationFailed(wasmtime::Error::msg(error)))
            }
        }
    }
}
