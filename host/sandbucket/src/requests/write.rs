//! Writing a blob in one call.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::{awaited, call_options, every_call, every_write, write_condition};
use crate::bindings::wit;
use crate::blob::Written;
use crate::body::{Body, Cause, Kind, Pieces};
use crate::calls::{Call, Calls};
use crate::error::{Error, Failure, Result};
use crate::limits::named;
use crate::transport::Progress;
use crate::uploading::Upload;

/// A write of which nothing is said.
pub(crate) fn write_options(calls: &Calls) -> wit::WriteOptions {
    unsaid(call_options(calls))
}

/// The same, but for what is said of its call.
pub(crate) fn unsaid(call: wit::CallOptions) -> wit::WriteOptions {
    let condition = wit::WriteCondition::Always;
    wit::WriteOptions { content_type: None, metadata: Vec::new(), condition, digests: Vec::new(), call }
}

/// [`Store::put`](crate::Store::put) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Put {
    calls: Calls,
    key: String,
    body: Body,
    options: wit::WriteOptions,
    progress: Option<Progress>,
}

impl Put {
    pub(crate) fn new(calls: Calls, key: String, body: Body) -> Self {
        let options = write_options(&calls);
        Put { calls, key, body, options, progress: None }
    }

    every_write!();
    write_condition!(options.condition);

    /// Is told how many bytes of the body have gone out, as they go; from 0 again with each further try.
    pub fn progress(mut self, told: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(told));
        self
    }

    every_call!();

    pub(super) async fn call(mut self) -> Result<Written> {
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
            Kind::Here(body) => self.calls.put(&self.key, &body, &mut self.options, self.progress).await,
            Kind::Stream(length, pieces) => {
                // The digests of the bytes must be known before the first is sent; a write on a condition can be sent again where
                // its response is lost; and where no byte is announced, it would not show that there are some.
                let first = length == 0
                    || !self.calls.pool().prepares_requests()
                    || !self.calls.wanted_digests().is_empty()
                    || !matches!(self.options.condition, wit::WriteCondition::Always);
                if first {
                    let upload = Upload::of(self.calls, self.key, self.options, self.progress);
                    return Box::pin(upload.length_hint(length).stream(exactly(length, pieces))).await;
                }
                let put = self.calls.put_stream(&self.key, (length, pieces), &mut self.options, self.progress);
                Box::pin(put).await
            }
        }
    }
}

/// These pieces, if they are so many bytes.
fn exactly(length: u64, pieces: Pieces) -> impl Stream<Item = Result<Bytes, Cause>> + Send {
    let wrong = move |came: u64| Some(Err(format!("it has {came} bytes, and {length} were announced").into()));
    futures::stream::unfold((pieces, 0), move |(mut pieces, before)| async move {
        let piece = match pieces.next().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Some((Err(error), (pieces, before))),
            None if before == length => return None,
            None => return wrong(before).map(|wrong| (wrong, (pieces, length))),
        };
        let came = before + piece.len() as u64;
        if came > length {
            return wrong(came).map(|wrong| (wrong, (pieces, length)));
        }
        Some((Ok(piece), (pieces, came)))
    })
}

awaited!(Put => Written, call);
