//! Writing a blob in one call.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{awaited, call_options, every_call, every_write, write_condition};
use crate::bindings::wit;
use crate::blob::Written;
use crate::calls::{Call, Calls};
use crate::error::{Error, Failure, Result};
use crate::transport::Progress;

/// A write of which nothing is said.
pub(crate) fn write_options(calls: &Calls) -> wit::WriteOptions {
    wit::WriteOptions {
        content_type: None,
        metadata: Vec::new(),
        condition: wit::WriteCondition::Always,
        call: call_options(calls),
    }
}

/// [`Store::put`](crate::Store::put) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Put {
    calls: Calls,
    key: String,
    body: Bytes,
    options: wit::WriteOptions,
    progress: Option<Progress>,
}

impl Put {
    pub(crate) fn new(calls: Calls, key: String, body: Bytes) -> Self {
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

    async fn call(mut self) -> Result<Written> {
        let most = self.calls.limits().max_put;
        if self.body.len() > most {
            let message = format!(
                "put \"{}\": the body has {} bytes; `max-put` allows {most} at once: `upload` writes it in parts",
                self.key,
                self.body.len()
            );
            return Err(Error::TooLarge(Failure::ours("body", message)));
        }
        self.calls.put(&self.key, &self.body, &mut self.options, self.progress).await
    }
}

awaited!(Put => Written, call);
