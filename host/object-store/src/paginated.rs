//! Paginated listings.

use async_trait::async_trait;
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Path;
use object_store::{ListResult, Result};

use super::SandbucketStore;
use super::convert::{error, listed};

/// S3's maximum page size.
const MAX_PAGE: usize = 1000;

#[async_trait]
impl PaginatedListStore for SandbucketStore {
    async fn list_paginated(&self, prefix: Option<&str>, options: PaginatedListOptions) -> Result<PaginatedListResult> {
        let prefix = prefix.unwrap_or_default();
        let mut list = self.store.list(prefix);
        if let Some(offset) = options.offset {
            list = list.start_after(offset);
        }
        if let Some(delimiter) = options.delimiter {
            list = list.delimiter(delimiter);
        }
        if let Some(most) = options.max_keys {
            list = list.page_size(u32::try_from(most.clamp(1, MAX_PAGE)).unwrap_or(1));
        }
        if let Some(token) = options.page_token {
            list = list.continuation(token);
        }
        let page = list.await.map_err(|failed| error(prefix, failed))?;
        let common_prefixes = page.prefixes.into_iter().map(Path::parse).collect::<Result<_, _>>()?;
        let objects = page.entries.into_iter().map(listed).collect::<Result<_>>()?;
        let result = ListResult { common_prefixes, objects, extensions: Default::default() };
        Ok(PaginatedListResult { result, page_token: page.next })
    }
}
