//! Lists of blobs and of their versions.

use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::{Operation, Output};
use sandbucket_plugin::machine::{Response, Step};
use sandbucket_plugin::service::{AttemptError, Outgoing};
use sandbucket_plugin::xml;

use super::{Azure, Reply, document};
use crate::documents::listing;
use crate::requests;

impl Azure {
    pub(super) fn list_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let request = match step.operation() {
            Operation::List { options } => requests::list(&self.settings, options)?,
            Operation::ListVersions { options } => requests::list_versions(&self.settings, options)?,
            _ => return Err(step.unsupported()),
        };
        Ok(self.bare(step, request).with_document())
    }

    pub(super) fn listed(&self, step: &Step<'_, Self>, response: &Response<'_>) -> Result<Reply, AttemptError> {
        let document = document!(step, response, listing::ROOT);
        let (page, prefix) = (document.root(), &self.settings.key_prefix);
        Ok(Reply::Output(match step.operation() {
            Operation::ListVersions { options } => Output::ListVersions(listing::list_versions(
                &page,
                prefix,
                options.start_after.as_deref(),
                options.continuation.as_deref(),
            )?),
            Operation::List { options } => Output::List(listing::list(
                &page,
                prefix,
                options.start_after.as_deref(),
                options.continuation.as_deref(),
            )?),
            _ => return Ok(Reply::Success),
        }))
    }
}
