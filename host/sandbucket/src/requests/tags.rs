//! A blob's tags.

use std::future::IntoFuture;
use std::time::Duration;

use super::{awaited, call_options, every_call};
use crate::bindings::wit;
use crate::calls::{Call, Calls};
use crate::error::Result;

/// [`Store::tags`](crate::Store::tags) in the making. Await it for names and values.
#[must_use = "a call does nothing until it is awaited"]
pub struct GetTags {
    calls: Calls,
    key: String,
    options: wit::TagOptions,
}

impl GetTags {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let call = call_options(&calls);
        GetTags { calls, key, options: wit::TagOptions { version: None, call } }
    }

    /// Of this version, not the current one.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    every_call!();

    async fn call(mut self) -> Result<Vec<(String, String)>> {
        self.calls.tags(&self.key, &mut self.options, None).await
    }
}

awaited!(GetTags => Vec<(String, String)>, call);

/// [`Store::set_tags`](crate::Store::set_tags) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct SetTags {
    calls: Calls,
    key: String,
    tags: Vec<(String, String)>,
    options: wit::TagOptions,
}

impl SetTags {
    pub(crate) fn new(calls: Calls, key: String, tags: Vec<(String, String)>) -> Self {
        let call = call_options(&calls);
        SetTags { calls, key, tags, options: wit::TagOptions { version: None, call } }
    }

    /// Of this version, not the current one.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    every_call!();

    async fn call(mut self) -> Result<()> {
        self.calls.set_tags(&self.key, &self.tags, &mut self.options, None).await
    }
}

awaited!(SetTags => (), call);
