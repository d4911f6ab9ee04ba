//! Listings: blobs and their versions, page by page.

use crate::answer::listing;
use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{ListOptions, ListPage, VersionPage};
use crate::request;

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn list(&mut self, options: &ListOptions) -> Result<ListPage, Failure> {
        let mut request = self.checked(request::list(&self.store.settings, options))?;
        let mut found = ListPage::default();
        self.ask(&mut request, "", "ListBucketResult", &mut |page, _, settings| {
            found = listing::list(page, &settings.key_prefix, options.continuation.as_deref())?;
            Ok(())
        })?;
        if let Some(after) = options.start_after.as_deref().filter(|after| !after.is_empty()) {
            listing::only_after(&mut found, after);
        }
        Ok(found)
    }

    pub(super) fn list_versions(&mut self, options: &ListOptions) -> Result<VersionPage, Failure> {
        let mut request = self.checked(request::list_versions(&self.store.settings, options))?;
        let mut found = VersionPage::default();
        self.ask(&mut request, "", "ListVersionsResult", &mut |page, _, settings| {
            found = listing::list_versions(page, &settings.key_prefix, options.continuation.as_deref())?;
            Ok(())
        })?;
        Ok(found)
    }
}
