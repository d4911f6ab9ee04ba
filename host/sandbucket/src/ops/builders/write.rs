//! `put`.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::{awaited, every_call, every_write, write_condition};
use crate::error::{Error, Failure, Result};
use crate::http::Progress;
use crate::limits::named;
use crate::ops::calls::{Call, Calls};
use crate::ops::options::{PutOptions, WriteCondition};
use crate::ops::upload::Upload;
use crate::types::blob::Written;
use crate::types::body::{Body, Cause, Kind, Pieces};

/// Request builder of [`Store::put`](crate::Store::put). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Put {
    calls: Calls,
    key: String,
    body: Body,
    options: PutOptions,
    progress: Option<Progress>,
}

impl Put {
    pub(crate) fn new(calls: Calls, key: String, body: Body) -> Self {
        Put { calls, key, body, options: PutOptions::default(), progress: None }
    }

    every_write!();
    write_condition!(options.condition);

    /// Sets a callback invoked with the number of bytes of the body sent so far. It restarts at 0 with each retry.
    pub fn progress(mut self, callback: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    every_call!();

    pub(super) async fn call(self) -> Result<Written> {
        let most = self.calls.limits().max_put;
        let length = self.body.length();
        if length > most as u64 {
            let message = format!(
                "put \"{}\": the body has {length} bytes; {} allows {most} at once: `upload` writes it in parts",
                self.key,
                named("max-put")
            );
            return Err(Error::TooLarge(Failure::ours("body", message)));
        }
        match self.body.0 {
            Kind::Here(body) => self.calls.put(&self.key, &body, &self.options, self.progress).await,
            Kind::Stream(length, pieces) => {
                // A stream is gathered first if the digests must precede the body, if a conditional write may have to be
                // retried after a lost response, or if the announced length is 0, which would hide excess bytes.
                let first = length == 0
                    || !self.calls.sends_streams()
                    || !matches!(self.options.condition, WriteCondition::Always);
                if first {
                    let upload = Upload::of(self.calls, self.key, self.options, self.progress);
                    return Box::pin(upload.length_hint(length).stream(exactly(length, pieces))).await;
                }
                let put = self.calls.put_stream(&self.key, (length, pieces), &self.options, self.progress);
                Box::pin(put).await
            }
        }
    }
}

/// Passes on the chunks, and fails if they do not have `length` bytes in total.
pub(super) fn exactly(length: u64, pieces: Pieces) -> impl Stream<Item = Result<Bytes, Cause>> + Send {
    let wrong = move |received: u64| Some(Err(format!("it has {received} bytes, and {length} were announced").into()));
    futures::stream::unfold((pieces, 0), move |(mut pieces, before)| async move {
        let piece = match pieces.next().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Some((Err(error), (pieces, before))),
            None if before == length => return None,
            None => return wrong(before).map(|wrong| (wrong, (pieces, length))),
        };
        let received = before + piece.len() as u64;
        if received > length {
            return wrong(received).map(|wrong| (wrong, (pieces, length)));
        }
        Some((Ok(piece), (pieces, received)))
    })
}

awaited!(Put => Written, call);
