//! Deleting one blob, or many.

use std::future::IntoFuture;
use std::time::Duration;

use futures::StreamExt;

use super::{awaited, call_options, every_call};
use crate::bindings::wit;
use crate::blob::{BlobName, Deleted};
use crate::calls::{Call, Calls};
use crate::error::Result;

/// How many blobs are deleted in one call of the plugin: what the contract and S3 take.
const BATCH: usize = 1000;

/// How many such calls are under way at once.
const AT_ONCE: usize = 4;

/// [`Store::delete`](crate::Store::delete) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Delete {
    calls: Calls,
    key: String,
    options: wit::DeleteOptions,
}

impl Delete {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let call = call_options(&calls);
        Delete { calls, key, options: wit::DeleteOptions { version: None, call } }
    }

    /// This version, for good.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    every_call!();

    pub(super) async fn call(mut self) -> Result<Deleted> {
        let existed = self.calls.delete(&self.key, &mut self.options, None).await?;
        Ok(Deleted { existed })
    }
}

awaited!(Delete => Deleted, call);

/// [`Store::delete_many`](crate::Store::delete_many) in the making. Await it for an outcome of each blob, in their order.
///
/// A failure of a whole batch of them is the outcome of each in it.
#[must_use = "a call does nothing until it is awaited"]
pub struct DeleteMany {
    calls: Calls,
    blobs: Vec<BlobName>,
    options: wit::DeleteManyOptions,
}

impl DeleteMany {
    pub(crate) fn new(calls: Calls, blobs: Vec<BlobName>) -> Self {
        let call = call_options(&calls);
        DeleteMany { calls, blobs, options: wit::DeleteManyOptions { call } }
    }

    every_call!();

    pub(super) async fn call(self) -> Result<Vec<Result<()>>> {
        let DeleteMany { calls, blobs, options } = self;
        let total = blobs.len();
        let mut blobs = blobs.into_iter().map(wit::BlobName::from);
        let batches = std::iter::from_fn(move || {
            let batch: Vec<_> = blobs.by_ref().take(BATCH).collect();
            (!batch.is_empty()).then_some(batch)
        });
        let asked = batches.map(|batch| {
            let (calls, mut options) = (calls.clone(), options.clone());
            async move {
                match calls.delete_many(&batch, &mut options).await {
                    Ok(outcomes) => outcomes,
                    Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
                }
            }
        });
        let mut outcomes = Vec::with_capacity(total);
        let mut answers = futures::stream::iter(asked).buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            outcomes.extend(answer);
        }
        Ok(outcomes)
    }
}

awaited!(DeleteMany => Vec<Result<()>>, call);
