//! Operations on containers, the contract's buckets.

use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{Operation, Output};
use sandbucket_plugin::machine::{Response, Step};
use sandbucket_plugin::service::{AttemptError, Flow, Outgoing};
use sandbucket_plugin::xml;

use super::{Azure, Reply, Stage, document};
use crate::documents::{container, listing};
use crate::requests;

impl Azure {
    pub(super) fn container_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let settings = &self.settings;
        match step.operation() {
            Operation::CreateBucket { name, options } => {
                Ok(self.bare(step, requests::create_container(settings, name, options)?))
            }
            Operation::DeleteBucket { name, options } => {
                Ok(self.bare(step, requests::delete_container(settings, name, options)?))
            }
            Operation::BucketExists { name, options } => {
                Ok(self.bare(step, requests::container_exists(settings, name, options)?))
            }
            Operation::ListBuckets { options } => {
                Ok(self.bare(step, requests::list_containers(settings, options)?).with_document())
            }
            _ => Err(step.unsupported()),
        }
    }

    /// Asks whether there is a blob or a version of one: Azure deletes containers with all that is in them.
    pub(super) fn empty_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let (Operation::DeleteBucket { name, options }, Stage::Empty { marker, current_only }) =
            (step.operation(), step.stage())
        else {
            return Err(step.unsupported());
        };
        let request = requests::first_blob(&self.settings, name, marker.as_deref(), *current_only, &options.call)?;
        Ok(self.bare(step, request).with_document())
    }

    pub(super) fn after_empty(
        &self,
        step: &mut Step<'_, Self>,
        is_first: bool,
        current_only: bool,
        result: Result<Reply, Failure>,
    ) -> Flow<Stage> {
        match result {
            Ok(Reply::Empty(true, None)) => {
                step.own_request_begins();
                Flow::own()
            }
            Ok(Reply::Empty(true, marker)) => Flow::to(Stage::Empty { marker, current_only }),
            Ok(_) => {
                let what = "the container is not empty: delete its blobs first, and their versions and snapshots";
                Flow::Failed(step.failure(Kind::Conflict, what))
            }
            Err(failure) if is_first && !current_only && has_no_versions(&failure) => {
                Flow::to(Stage::Empty { marker: None, current_only: true })
            }
            Err(failure) => Flow::Failed(failure),
        }
    }
}

/// Whether the account has no versions or snapshots to list, such as one with a hierarchical namespace.
fn has_no_versions(failure: &Failure) -> bool {
    let codes = [
        "APINotImplemented",
        "FeatureNotYetSupportedForHierarchicalNamespaceAccounts",
        "FeatureVersionMismatch",
        "InvalidQueryParameterValue",
        "UnsupportedQueryParameter",
    ];
    failure.code().is_some_and(|code| codes.contains(&code))
}

/// Whether the container is empty, by the first page of a list.
pub(super) fn emptiness(step: &Step<'_, Azure>, response: &Response<'_>) -> Result<Reply, AttemptError> {
    let (empty, marker) = listing::is_empty(&document!(step, response, listing::ROOT).root())?;
    Ok(Reply::Empty(empty, marker))
}

/// A page of containers.
pub(super) fn containers(step: &Step<'_, Azure>, response: &Response<'_>) -> Result<Reply, AttemptError> {
    let Operation::ListBuckets { options } = step.operation() else { return Ok(Reply::Success) };
    let document = document!(step, response, listing::ROOT);
    let page = container::containers(&document.root(), options.continuation.as_deref())?;
    Ok(Reply::Output(Output::ListBuckets(page)))
}

/// After a lost response to a request, that the container exists already, or is gone, is this call's doing.
pub(super) fn after_container(step: &Step<'_, Azure>, result: Result<Output, Failure>) -> Result<Output, Failure> {
    let maybe_applied = step.maybe_applied();
    match (step.operation(), result) {
        (Operation::CreateBucket { .. }, Err(failure))
            if maybe_applied && failure.code() == Some("ContainerAlreadyExists") =>
        {
            Ok(Output::CreateBucket)
        }
        (Operation::DeleteBucket { .. }, Err(failure))
            if maybe_applied && matches!(failure.code(), Some("ContainerNotFound" | "ContainerBeingDeleted")) =>
        {
            Ok(Output::DeleteBucket)
        }
        (Operation::BucketExists { .. }, Err(failure)) if failure.code() == Some("ContainerNotFound") => {
            Ok(Output::BucketExists(false))
        }
        (_, result) => result,
    }
}
