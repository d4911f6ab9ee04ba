//! Listing blobs, and versions of them.

use std::future::IntoFuture;
use std::time::Duration;

use futures::{Stream, TryStreamExt};

use super::{awaited, every_call, pages};
use crate::error::Result;
use crate::ops::calls::{Call, Calls};
use crate::ops::options::ListOptions;
use crate::types::listing::{Entry, ListPage, VersionEntry, VersionPage};

/// The setters and streams that both listings share.
macro_rules! every_list {
    ($page:ty, $entry:ty, $call:ident) => {
        pub(crate) fn new(calls: Calls, prefix: String) -> Self {
            let options = ListOptions { prefix, ..ListOptions::default() };
            Self { calls, options }
        }

        /// Keys that have this text after the prefix are told as one, up to and with it, among the page's `prefixes`.
        pub fn delimiter(mut self, delimiter: impl Into<String>) -> Self {
            self.options.delimiter = Some(delimiter.into());
            self
        }

        /// Only keys after this one, which need not be there.
        pub fn start_after(mut self, key: impl Into<String>) -> Self {
            self.options.start_after = Some(key.into());
            self
        }

        /// The most entries and prefixes in one page: 1 to 1,000, which is the default. A service may give fewer.
        pub fn page_size(mut self, size: u32) -> Self {
            self.options.page_size = Some(size);
            self
        }

        /// Goes on where a page before ended: with its `next`, and all else as it was then.
        pub fn continuation(mut self, next: impl Into<String>) -> Self {
            self.options.continuation = Some(next.into());
            self
        }

        every_call!();

        /// All pages, each asked for when it is wanted. After an error there is none.
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

        /// All entries of all pages. What a delimiter cuts to prefixes is not among them.
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
/// [`pages`](List::pages) give all there is.
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
/// [`entries`](ListVersions::entries) and [`pages`](ListVersions::pages) give all there is.
#[must_use = "a call does nothing until it is awaited"]
pub struct ListVersions {
    calls: Calls,
    options: ListOptions,
}

impl ListVersions {
    every_list!(VersionPage, VersionEntry, list_versions);
}

awaited!(ListVersions => VersionPage, call);
