//! `tags` and `set_tags`.

use std::future::IntoFuture;
use std::time::Duration;

use super::{awaited, every_call};
use crate::error::Result;
use crate::ops::calls::{Call, Calls};
use crate::ops::options::VersionOptions;

/// Request builder of [`Store::tags`](crate::Store::tags). Await it for names and values.
#[must_use = "a call does nothing until it is awaited"]
pub struct GetTags {
    calls: Calls,
    key: String,
    options: VersionOptions,
}

impl GetTags {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        GetTags { calls, key, options: VersionOptions::default() }
    }

    /// Selects this version instead of the current one.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    every_call!();

    async fn call(self) -> Result<Vec<(String, String)>> {
        self.calls.tags(&self.key, &self.options).await
    }
}

awaited!(GetTags => Vec<(String, String)>, call);

/// Request builder of [`Store::set_tags`](crate::Store::set_tags). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct SetTags {
    calls: Calls,
    key: String,
    tags: Vec<(String, String)>,
    options: VersionOptions,
}

impl SetTags {
    pub(crate) fn new(calls: Calls, key: String, tags: Vec<(String, String)>) -> Self {
        SetTags { calls, key, tags, options: VersionOptions::default() }
    }

    /// Selects this version instead of the current one.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    every_call!();

    async fn call(self) -> Result<()> {
        self.calls.set_tags(&self.key, self.tags, &self.options).await
    }
}

awaited!(SetTags => (), call);
