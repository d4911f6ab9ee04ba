//! Deletion of several blobs, one request each.
//!
//! Azure's batches take 256 deletions in a multipart body with a signature for each; they cost as many transactions.

use sandbucket_plugin::contract::error::{Error, Failure, Kind};
use sandbucket_plugin::contract::model::{DeleteOptions, Operation, Output};
use sandbucket_plugin::machine::Step;
use sandbucket_plugin::service::{Flow, Outgoing};

use super::blob::is_absent;
use super::{Azure, DeleteOutcome, Stage};
use crate::requests;

/// Maximum number of blobs.
const MAX_DELETES: usize = 1000;

impl Azure {
    pub(super) fn begin_delete_many(&self, step: &Step<'_, Self>) -> Flow<Stage> {
        let Operation::DeleteMany { blobs, .. } = step.operation() else { return Flow::own() };
        if blobs.len() > MAX_DELETES {
            let why = format!("{} blobs are too many at once: at most 1,000 are", blobs.len());
            return step.checked(Err(Error::fault("blobs", why))).into();
        }
        for blob in blobs {
            if let Err(mut fault) = self.full_key_of(step, &blob.key) {
                fault.message = step.sentence_about("delete several blobs", &blob.key, &fault.message);
                return Flow::Failed(fault);
            }
        }
        singles(vec![None; blobs.len()])
    }

    pub(super) fn single_request(&self, step: &Step<'_, Self>, index: u32) -> Result<Outgoing, Failure> {
        let Operation::DeleteMany { blobs, options } = step.operation() else { return Err(step.unsupported()) };
        let Some(blob) = blobs.get(index as usize) else { return Err(step.unsupported()) };
        let options = DeleteOptions { version: blob.version.clone(), call: options.call.clone() };
        Ok(self.bare(step, requests::delete(&self.settings, &self.full_key_of(step, &blob.key)?, &options)?))
    }

    pub(super) fn after_single(
        &self,
        step: &Step<'_, Self>,
        index: u32,
        mut outcomes: Vec<DeleteOutcome>,
        result: Result<(), Failure>,
    ) -> Flow<Stage> {
        let Some(outcome) = outcomes.get_mut(index as usize) else {
            return Flow::Failed(step.failure(Kind::InvalidArgument, "there is no such blob"));
        };
        *outcome = Some(match result {
            Err(failure) if is_absent(&failure) => Ok(()),
            result => result,
        });
        singles(outcomes)
    }
}

/// Deletes those whose outcome is open, the first of them first.
fn singles(outcomes: Vec<DeleteOutcome>) -> Flow<Stage> {
    match outcomes.iter().position(Option::is_none) {
        Some(index) => Flow::to(Stage::Single { index: index as u32, outcomes }),
        None => Flow::Done(Output::DeleteMany(outcomes.into_iter().flatten().collect())),
    }
}
