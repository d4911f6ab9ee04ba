//! Listings: blobs and their versions, page by page.

use crate::answer::listing;
use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{ListOptions, ListPage, VersionPage};
use crate::request;
use crate::sigv4::PayloadHash;

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn list(&mut self, options: &ListOptions) -> Result<ListPage, Failure> {
        let mut request = self.prepare_bucket(|settings| request::list(settings, options))?;
        let method = request.method;
        self.run(&mut request, &[], &PayloadHash::Empty, |call, head, body| {
            let page = call.document(method, &head, body, "ListBucketResult")?;
            let prefix = &call.store.settings.key_prefix;
            listing::list(&page, prefix, options.continuation.as_deref()).map_err(|garbled| call.garbled(garbled))
        })
    }

    pub(super) fn list_versions(&mut self, options: &ListOptions) -> Result<VersionPage, Failure> {
        let mut request = self.prepare_bucket(|settings| request::list_versions(settings, options))?;
        let method = request.method;
        self.run(&mut request, &[], &PayloadHash::Empty, |call, head, body| {
            let page = call.document(method, &head, body, "ListVersionsResult")?;
            let (prefix, asked) = (&call.store.settings.key_prefix, options.continuation.as_deref());
            listing::list_versions(&page, prefix, asked).map_err(|garbled| call.garbled(garbled))
        })
    }
}
