//! `list` and `list_versions`.

use std::future::IntoFuture;
use std::time::Duration;

use futures::{Stream, TryStreamExt};

use super::{awaited, every_call, pages};
use crate::error::Result;
use crate::ops::calls::{Call, Calls};
use crate::ops::options::ListOptions;
use crate::types::listing::{Entry, ListPage, VersionEntry, VersionPage};

/// Setters and streams of both listings.
macro_rules! every_list {
    ($page:ty, $entry:ty, $call:ident) => {
        pub(crate) fn new(calls: Calls, prefix: String) -> Self {
            let options = ListOptions { prefix, ..ListOptions::default() };
            Self { calls, options }
        }

        /// Folds keys that contain this text after the prefix into one of the page's `prefixes`, which ends with it.
        pub fn delimiter(mut self, delimiter: impl Into<String>) -> Self {
            self.options.delimiter = Some(delimiter.into());
            self
        }

        /// Lists only keys after this one, which need not exist.
        pub fn start_after(mut self, key: impl Into<String>) -> Self {
            self.options.start_after = Some(key.into());
            self
        }

        /// Maximum number of entries and prefixes per page: 1 to 1,000. Default: 1,000. A service may return fewer.
        pub fn page_size(mut self, size: u32) -> Self {
            self.options.page_size = Some(size);
            self
        }

        /// Continues after a previous page, given its `next`. All other options must be the same.
        pub fn continuation(mut self, next: impl Into<String>) -> Self {
            self.options.continuation = Some(next.into());
            self
        }

        every_call!();

        /// Streams all pages, each requested on demand. The stream ends after an error.
        pub fn pages(self) -> impl Stream<Item = Result<$page>> + Send + Unpin + use<> {
            let Self { calls, options } = self;
            pages(options, move |options| {
                let calls = calls.clone();
                async move {
                    let page: $page = calls.$call(&options).await?;
                    let next = page.next.clone();
                    let next = next.map(|next| ListOptions { continuation: Some(next), ..options });
                    Ok((page, next))
                }
            })
        }

        /// Streams the entries of all pages, without the prefixes that a delimiter folds.
        pub fn entries(self) -> impl Stream<Item = Result<$entry>> + Send + Unpin + use<> {
            let entries = |page: $page| futures::stream::iter(page.entries.into_iter().map(Ok));
            self.pages().map_ok(entries).try_flatten()
        }

        async fn call(self) -> Result<$page> {
            self.calls.$call(&self.options).await
        }
    };
}

/// Request builder of [`Store::list`](crate::Store::list). Await it for one page; [`entries`](List::entries) and
/// [`pages`](List::pages) stream all of them.
#[must_use = "a call does nothing until it is awaited"]
pub struct List {
    calls: Calls,
    options: ListOptions,
}

impl List {
    every_list!(ListPage, Entry, list);
}

awaited!(List => ListPage, call);

/// Request builder of [`Store::list_versions`](crate::Store::list_versions). Await it for one page;
/// [`entries`](ListVersions::entries) and [`pages`](ListVersions::pages) stream all of them.
#[must_use = "a call does nothing until it is awaited"]
pub struct ListVersions {
    calls: Calls,
    options: ListOptions,
}

impl ListVersions {
    every_list!(VersionPage, VersionEntry, list_versions);
}

awaited!(ListVersions => VersionPage, call);
