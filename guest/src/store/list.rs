//! Listings: blobs and their versions, page by page.

use crate::answer::listing;
use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{ListOptions, ListPage, VersionPage};
use crate::request;

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn list(&mut self, options: &ListOptions) -> Result<ListPage, Failure> {
        let mut request = self.prepare_bucket(|settings| request::list(settings, options))?;
        self.ask(&mut request, "", "ListBucketResult", |page, _, settings| {
            listing::list(page, &settings.key_prefix, options.continuation.as_deref())
        })
    }

    pub(super) fn list_versions(&mut self, options: &ListOptions) -> Result<VersionPage, Failure> {
        let mut request = self.prepare_bucket(|settings| request::list_versions(settings, options))?;
        self.ask(&mut request, "", "ListVersionsResult", |page, _, settings| {
            listing::list_versions(page, &settings.key_prefix, options.continuation.as_deref())
        })
    }
}
