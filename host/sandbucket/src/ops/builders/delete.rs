//! `delete` and `delete_many`.

use std::future::IntoFuture;
use std::time::Duration;

use futures::StreamExt;

use super::{awaited, every_call};
use crate::error::Result;
use crate::ops::calls::{Call, Calls};
use crate::ops::options::{CallOptions, VersionOptions};
use crate::sandbox::bindings::wit;
use crate::types::blob::{BlobName, Deleted};

/// Blobs per call of the plugin: the limit of the contract and of S3.
const BATCH: usize = 1000;

/// Concurrent calls of the plugin.
const MAX_CONCURRENCY: usize = 4;

/// Request builder of [`Store::delete`](crate::Store::delete). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Delete {
    calls: Calls,
    key: String,
    options: VersionOptions,
}

impl Delete {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        Delete { calls, key, options: VersionOptions::default() }
    }

    /// Permanently deletes this version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    every_call!();

    pub(super) async fn call(self) -> Result<Deleted> {
        let existed = self.calls.delete(&self.key, &self.options).await?;
        Ok(Deleted { existed })
    }
}

awaited!(Delete => Deleted, call);

/// Request builder of [`Store::delete_many`](crate::Store::delete_many). Await it for an outcome per blob, in order.
///
/// If a whole batch fails, its error is the outcome of each blob in it.
#[must_use = "a call does nothing until it is awaited"]
pub struct DeleteMany {
    calls: Calls,
    blobs: Vec<BlobName>,
    options: DeleteManyOptions,
}

#[derive(Default)]
struct DeleteManyOptions {
    call: CallOptions,
}

impl DeleteMany {
    pub(crate) fn new(calls: Calls, blobs: Vec<BlobName>) -> Self {
        DeleteMany { calls, blobs, options: DeleteManyOptions::default() }
    }

    every_call!();

    pub(super) async fn call(self) -> Result<Vec<Result<()>>> {
        let DeleteMany { calls, blobs, options } = self;
        let total = blobs.len();
        let mut blobs = blobs.into_iter().map(wit::BlobRef::from);
        let batches = std::iter::from_fn(move || {
            let batch: Vec<_> = blobs.by_ref().take(BATCH).collect();
            (!batch.is_empty()).then_some(batch)
        });
        let requests = batches.map(|batch| {
            let (calls, call, count) = (calls.clone(), options.call.clone(), batch.len());
            async move {
                match calls.delete_many(batch, &call).await {
                    Ok(outcomes) => outcomes,
                    Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
                }
            }
        });
        let mut outcomes = Vec::with_capacity(total);
        let mut results = futures::stream::iter(requests).buffered(MAX_CONCURRENCY);
        while let Some(result) = results.next().await {
            outcomes.extend(result);
        }
        Ok(outcomes)
    }
}

awaited!(DeleteMany => Vec<Result<()>>, call);
