//! Looking at a blob, and reading it.

use std::future::IntoFuture;
use std::time::{Duration, SystemTime};

use super::{awaited, call_options, every_call, every_read};
use crate::bindings::{datetime, wit};
use crate::blob::{BlobInfo, ByteRange};
use crate::calls::{Call, Calls, no_conditions};
use crate::error::Result;
use crate::reading::Blob;

/// [`Store::head`](crate::Store::head) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Head {
    calls: Calls,
    key: String,
    options: wit::HeadOptions,
}

impl Head {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let call = call_options(&calls);
        Head { calls, key, options: wit::HeadOptions { conditions: no_conditions(), version: None, call } }
    }

    every_read!();
    every_call!();

    pub(super) async fn call(mut self) -> Result<BlobInfo> {
        self.calls.head(&self.key, &mut self.options).await
    }
}

awaited!(Head => BlobInfo, call);

/// A read of all of a blob, of which nothing else is said.
pub(crate) fn read_options(calls: &Calls) -> wit::ReadOptions {
    let (range, conditions) = (wit::ByteRange::Whole, no_conditions());
    wit::ReadOptions { range, conditions, version: None, max_bytes: None, call: call_options(calls) }
}

/// [`Store::get`](crate::Store::get) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Get {
    calls: Calls,
    key: String,
    options: wit::ReadOptions,
}

impl Get {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let options = read_options(&calls);
        Get { calls, key, options }
    }

    /// Only this part of it: `0..100`, `100..`, [`ByteRange::Last(100)`](ByteRange::Last) and so on.
    pub fn range(mut self, range: impl Into<ByteRange>) -> Self {
        self.options.range = range.into().into();
        self
    }

    every_read!();
    every_call!();

    pub(super) async fn call(self) -> Result<Blob> {
        Blob::open(self.calls, self.key, self.options).await
    }
}

awaited!(Get => Blob, call);
