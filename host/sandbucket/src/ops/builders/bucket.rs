//! Operations on buckets.

use std::future::IntoFuture;
use std::time::Duration;

use futures::{Stream, TryStreamExt};

use super::{awaited, every_call, pages};
use crate::error::Result;
use crate::ops::calls::{Call, Calls};
use crate::ops::options::{CallOptions, PageOptions};
use crate::types::bucket::{Bucket, BucketPage};

/// Options of an operation without options of its own.
#[derive(Default)]
struct OnlyCall {
    call: CallOptions,
}

/// Defines the builder of an operation on one bucket.
macro_rules! on_bucket {
    ($(#[$doc:meta])* $builder:ident => $output:ty, $call:ident) => {
        $(#[$doc])*
        #[must_use = "a call does nothing until it is awaited"]
        pub struct $builder {
            calls: Calls,
            name: String,
            options: OnlyCall,
        }

        impl $builder {
            pub(crate) fn new(calls: Calls, name: String) -> Self {
                $builder { calls, name, options: OnlyCall::default() }
            }

            every_call!();

            async fn call(self) -> Result<$output> {
                self.calls.$call(&self.name, &self.options.call).await
            }
        }

        awaited!($builder => $output, call);
    };
}

on_bucket!(
    /// Request builder of [`Store::create_bucket`](crate::Store::create_bucket). Await it.
    CreateBucket => (), create_bucket
);

on_bucket!(
    /// Request builder of [`Store::delete_bucket`](crate::Store::delete_bucket). Await it.
    DeleteBucket => (), delete_bucket
);

on_bucket!(
    /// Request builder of [`Store::bucket_exists`](crate::Store::bucket_exists). Await it.
    BucketExists => bool, bucket_exists
);

/// Request builder of [`Store::list_buckets`](crate::Store::list_buckets). Await it for one page;
/// [`buckets`](ListBuckets::buckets) streams all of them.
#[must_use = "a call does nothing until it is awaited"]
pub struct ListBuckets {
    calls: Calls,
    options: PageOptions,
}

impl ListBuckets {
    pub(crate) fn new(calls: Calls, prefix: String) -> Self {
        ListBuckets { calls, options: PageOptions { prefix, ..PageOptions::default() } }
    }

    /// Maximum number of buckets per page: 1 to 1,000. Default: 1,000. A service without pagination returns all.
    pub fn page_size(mut self, size: u32) -> Self {
        self.options.page_size = Some(size);
        self
    }

    /// Continues after a previous page, given its `next`.
    pub fn continuation(mut self, next: impl Into<String>) -> Self {
        self.options.continuation = Some(next.into());
        self
    }

    every_call!();

    /// Streams the buckets of all pages, by name.
    pub fn buckets(self) -> impl Stream<Item = Result<Bucket>> + Send + Unpin + use<> {
        let ListBuckets { calls, options } = self;
        let pages = pages(options, move |options| {
            let calls = calls.clone();
            async move {
                let page = calls.list_buckets(&options).await?;
                let next = page.next.map(|next| PageOptions { continuation: Some(next), ..options });
                Ok((page.buckets, next))
            }
        });
        pages.map_ok(|buckets| futures::stream::iter(buckets.into_iter().map(Ok))).try_flatten()
    }

    async fn call(self) -> Result<BucketPage> {
        self.calls.list_buckets(&self.options).await
    }
}

awaited!(ListBuckets => BucketPage, call);
