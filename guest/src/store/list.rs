//! Listings: blobs and their versions, page by page.

use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{ListOptions, ListPage, VersionPage};

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn list(&mut self, options: &ListOptions) -> Result<ListPage, Failure> {
        let _ = options;
        todo!("LIST")
    }

    pub(super) fn list_versions(&mut self, options: &ListOptions) -> Result<VersionPage, Failure> {
        let _ = options;
        todo!("LIST")
    }
}
