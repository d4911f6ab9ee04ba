//! `head` and `get`.

use std::future::IntoFuture;
use std::time::{Duration, SystemTime};

use super::{awaited, every_call, every_read};
use crate::error::Result;
use crate::ops::blob_reader::Blob;
use crate::ops::calls::{Call, Calls};
use crate::ops::options::{GetOptions, HeadOptions};
use crate::types::blob::{BlobInfo, ByteRange};

/// Request builder of [`Store::head`](crate::Store::head). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Head {
    calls: Calls,
    key: String,
    options: HeadOptions,
}

impl Head {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        Head { calls, key, options: HeadOptions::default() }
    }

    every_read!();
    every_call!();

    pub(super) async fn call(self) -> Result<BlobInfo> {
        self.calls.head(&self.key, &self.options).await
    }
}

awaited!(Head => BlobInfo, call);

/// Request builder of [`Store::get`](crate::Store::get). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Get {
    calls: Calls,
    key: String,
    options: GetOptions,
}

impl Get {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        Get { calls, key, options: GetOptions::default() }
    }

    /// Reads only this range: `0..100`, `100..`, [`ByteRange::Last(100)`](ByteRange::Last) and so on.
    pub fn range(mut self, range: impl Into<ByteRange>) -> Self {
        self.options.range = range.into();
        self
    }

    every_read!();
    every_call!();

    pub(super) async fn call(self) -> Result<Blob> {
        Blob::open(self.calls, self.key, self.options).await
    }
}

awaited!(Get => Blob, call);
