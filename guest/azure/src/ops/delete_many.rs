//! Deletion of several blobs: in batches, and singly where the outcome is open.

use sandbucket_plugin::contract::error::{Error, Failure, Kind};
use sandbucket_plugin::contract::model::{BlobRef, DeleteOptions, Operation, Output};
use sandbucket_plugin::machine::{RequestBody, Response, Step};
use sandbucket_plugin::retry::Decision;
use sandbucket_plugin::service::{AttemptError, Flow, Outgoing};

use super::blob::is_absent;
use super::{Azure, DeleteOutcome, Reply, Stage};
use crate::documents::batch;
use crate::requests::{self, DeleteEntry, MAX_BATCH};
use crate::response;
use crate::service_error;

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
        let outcomes = vec![None; blobs.len()];
        if self.single_deletes || blobs.len() < 2 {
            return singles(outcomes);
        }
        batches(0, outcomes)
    }

    /// The blobs of a batch that begins with this one.
    fn batch<'b>(&self, step: &'b Step<'_, Self>, start: u32) -> &'b [BlobRef] {
        let Operation::DeleteMany { blobs, .. } = step.operation() else { return &[] };
        let rest = blobs.get(start as usize..).unwrap_or_default();
        &rest[..rest.len().min(MAX_BATCH)]
    }

    pub(super) fn batch_request(&self, step: &Step<'_, Self>, start: u32) -> Result<Outgoing, Failure> {
        let Operation::DeleteMany { options, .. } = step.operation() else { return Err(step.unsupported()) };
        let blobs = self.batch(step, start);
        let keys: Vec<String> = blobs.iter().map(|blob| self.full_key_of(step, &blob.key)).collect::<Result<_, _>>()?;
        let mut entries = Vec::with_capacity(blobs.len());
        for (blob, key) in blobs.iter().zip(&keys) {
            entries.push(DeleteEntry { key, version: blob.version.as_deref() });
        }
        let (request, body) = requests::delete_many(&self.settings, &entries, &options.call, step.time())?;
        Ok(self.authorized(step, request, RequestBody::Bytes(body.into_bytes())).with_document())
    }

    /// The outcomes in a response to a batch. Those of a passing cause, and those that it does not name, stay open.
    pub(super) fn batch_reply(
        &self,
        step: &Step<'_, Self>,
        start: u32,
        response: &Response<'_>,
    ) -> Result<Reply, AttemptError> {
        response::confirmed(&response.head)?;
        let blobs = self.batch(step, start);
        let text = String::from_utf8_lossy(step.document(response)?);
        let mut outcomes: Vec<DeleteOutcome> = vec![None; blobs.len()];
        for part in batch::parts(&response.head, &text)? {
            let Some((index, blob)) = part.index.and_then(|index| Some((index, blobs.get(index)?))) else { continue };
            let error = match part.head.status {
                200..=299 => {
                    outcomes[index] = Some(Ok(()));
                    continue;
                }
                _ => service_error::error_response(&part.head, part.body.as_bytes(), self.authorization(), step.time()),
            };
            if error.decision != Decision::Fail {
                continue;
            }
            let failure = step.response_failure("delete", &blob.key, error);
            outcomes[index] = Some(if is_absent(&failure) { Ok(()) } else { Err(failure) });
        }
        Ok(Reply::Deleted(outcomes))
    }

    pub(super) fn after_batch(
        &mut self,
        step: &mut Step<'_, Self>,
        start: u32,
        mut outcomes: Vec<DeleteOutcome>,
        result: Result<Reply, Failure>,
    ) -> Flow<Stage> {
        match result {
            Ok(Reply::Deleted(known)) => {
                // A service that names no blob does not name any the next time.
                if known.iter().all(Option::is_none) {
                    return self.without_batches(step, outcomes);
                }
                let count = known.len();
                let places = outcomes.iter_mut().skip(start as usize);
                places.zip(known).for_each(|(place, outcome)| *place = outcome);
                batches(start + count as u32, outcomes)
            }
            Err(failure) if matches!(failure.kind, Kind::Unsupported | Kind::Integrity) => {
                self.without_batches(step, outcomes)
            }
            // The outcome of others is known.
            Err(_) if start > 0 => singles(outcomes),
            Err(failure) => Flow::Failed(failure),
            Ok(_) => Flow::Failed(step.failure(Kind::Integrity, "the response is not the operation's")),
        }
    }

    fn without_batches(&mut self, step: &mut Step<'_, Self>, outcomes: Vec<DeleteOutcome>) -> Flow<Stage> {
        self.single_deletes = true;
        step.notes_mut().single_deletes = true;
        singles(outcomes)
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

/// Goes on with the batch that begins with this blob.
fn batches(start: u32, outcomes: Vec<DeleteOutcome>) -> Flow<Stage> {
    if (start as usize) < outcomes.len() { Flow::to(Stage::Batch { start, outcomes }) } else { singles(outcomes) }
}

/// Deletes those whose outcome is open, the first of them first.
fn singles(outcomes: Vec<DeleteOutcome>) -> Flow<Stage> {
    match outcomes.iter().position(Option::is_none) {
        Some(index) => Flow::to(Stage::Single { index: index as u32, outcomes }),
        None => Flow::Done(Output::DeleteMany(outcomes.into_iter().flatten().collect())),
    }
}
