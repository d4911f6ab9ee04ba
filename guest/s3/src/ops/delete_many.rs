//! Bulk delete, which falls back to single deletes.

use sandbucket_plugin::contract::error::{Error, Failure, Kind, ServiceResponse};
use sandbucket_plugin::contract::model::{BlobRef, DeleteManyOptions, DeleteOptions, Operation, Output};
use sandbucket_plugin::http::request::Method;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::machine::Response;
use sandbucket_plugin::retry::Decision;
use sandbucket_plugin::service::{AttemptError, ErrorResponse, Flow};
use sandbucket_plugin::xml;

use crate::documents::delete_many::{DeleteStatus, delete_many};
use crate::requests::{self, DeleteEntry, MAX_DELETES};
use crate::service_error;

use super::call::{Call, NextStage, Unsigned};
use super::retry;
use super::service::nothing;
use super::stage::{DeleteOutcome, Reply, Stage};

/// The root of the response.
const ROOT: &str = "DeleteResult";

/// The meaning of a 204, or of a 200 without a body: no blob is named.
const NOTHING: &str = "<DeleteResult/>";

impl Call<'_, '_> {
    fn deletes(&self) -> (&[BlobRef], Option<&DeleteManyOptions>) {
        match self.operation() {
            Operation::DeleteMany { blobs, options } => (blobs, Some(options)),
            _ => (&[], None),
        }
    }

    pub(super) fn begin_delete_many(&mut self) -> NextStage {
        let (blobs, _) = self.deletes();
        if blobs.len() > MAX_DELETES {
            let fault = Error::fault("blobs", format!("{} blobs are too many at once: at most 1,000 are", blobs.len()));
            return Flow::from(self.checked(Err(fault)));
        }
        let mut open = Vec::with_capacity(blobs.len());
        for (index, blob) in (0_u32..).zip(blobs) {
            match self.full_key_of(&blob.key) {
                // The document cannot name a key with a control character.
                Ok(key) if xml::can_hold(&key) => open.push(index),
                Ok(_) => {}
                Err(mut fault) => {
                    fault.message = self.sentence_about("delete several blobs", &blob.key, &fault.message);
                    return Flow::Failed(fault);
                }
            }
        }
        let outcomes: Vec<DeleteOutcome> = vec![None; blobs.len()];
        if open.is_empty() || self.s3.single_deletes {
            return self.singles(outcomes);
        }
        Flow::to(Stage::Bulk { open, round: 0, outcomes })
    }

    /// These of the blobs: their full keys.
    fn full_keys(&self, open: &[u32]) -> Result<Vec<String>, Failure> {
        let (blobs, _) = self.deletes();
        open.iter().filter_map(|index| blobs.get(*index as usize)).map(|blob| self.full_key_of(&blob.key)).collect()
    }

    /// These of the blobs, as the request names them.
    fn entries<'k>(&'k self, open: &[u32], keys: &'k [String]) -> Vec<DeleteEntry<'k>> {
        let (blobs, _) = self.deletes();
        let blobs = open.iter().filter_map(|index| blobs.get(*index as usize));
        blobs.zip(keys).map(|(blob, key)| DeleteEntry { key, version: blob.version.as_deref() }).collect()
    }

    pub(super) fn bulk_request(&self, open: &[u32]) -> Result<Unsigned, Failure> {
        let keys = self.full_keys(open)?;
        let entries = self.entries(open, &keys);
        let request = requests::delete_many(&self.s3.settings, &entries, self.operation().call());
        let (request, body) = request?;
        self.document_request(request, body)
    }

    pub(super) fn statuses(&self, open: &[u32], response: &Response<'_>) -> Result<Reply, AttemptError> {
        let keys = self.full_keys(open).unwrap_or_default();
        let entries = self.entries(open, &keys);
        self.document_of(response, ROOT, Some(NOTHING), |result, head, _| {
            Ok(Reply::DeleteStatuses(delete_many(result, &entries)?, head.clone().into_owned()))
        })
    }

    pub(super) fn after_bulk(
        &mut self,
        open: Vec<u32>,
        round: u32,
        mut outcomes: Vec<DeleteOutcome>,
        result: Result<Reply, Failure>,
    ) -> NextStage {
        let (fates, head) = match result {
            Ok(Reply::DeleteStatuses(fates, head)) => (fates, head),
            Ok(_) => return Flow::Failed(self.failure(Kind::Integrity, "the response is not the operation's")),
            Err(failure) if failure.kind == Kind::Unsupported => {
                self.s3.single_deletes = true;
                self.step.notes_mut().single_deletes = true;
                set(&mut outcomes, &open, || None);
                return self.singles(outcomes);
            }
            // The outcome of the others is known.
            Err(failure) if round > 0 => {
                set(&mut outcomes, &open, || Some(Err(failure.clone())));
                return self.singles(outcomes);
            }
            Err(failure) => return Flow::Failed(failure),
        };
        // A service that names no blob does not name any the next time. Those that it does not name are deleted singly: then it is
        // certain that they are gone.
        if fates.iter().all(|fate| *fate == DeleteStatus::NotReported) {
            self.s3.single_deletes = true;
            self.step.notes_mut().single_deletes = true;
        }
        let mut again = Vec::new();
        for (&index, fate) in open.iter().zip(fates) {
            let outcome = match fate {
                DeleteStatus::Deleted => Some(Ok(())),
                DeleteStatus::NotReported => None,
                DeleteStatus::Failed(response) => {
                    let (failure, decision) = self.failed_delete(index, &head, response);
                    if matches!(decision, Decision::Retry { .. }) {
                        again.push(index);
                    }
                    Some(Err(failure))
                }
            };
            if let Some(place) = outcomes.get_mut(index as usize) {
                *place = outcome;
            }
        }
        let pause = self.step.backoff(round);
        if again.is_empty() || round == self.max_retries() || pause >= self.remaining() {
            return self.singles(outcomes);
        }
        Flow::Send(Stage::Bulk { open: again, round: round + 1, outcomes }, pause)
    }

    /// The failure of one of several deletions, and what to do about it.
    fn failed_delete(&self, index: u32, head: &Head, response: ServiceResponse) -> (Failure, Decision) {
        let decision = retry::decide(head, &response, self.time(), false);
        let (blobs, _) = self.deletes();
        let key = blobs.get(index as usize).map_or("", |blob| blob.key.as_str());
        let anonymous = self.s3.settings.credentials.is_none();
        let classification = service_error::classify(Method::Post, head, &response, anonymous);
        let error = ErrorResponse::new(response, classification, decision);
        let mut failure = self.response_failure("delete", key, error);
        failure.retryable = matches!(decision, Decision::Retry { .. });
        (failure, decision)
    }

    /// Deletes singly those whose outcome is open, the first of them first.
    fn singles(&mut self, outcomes: Vec<DeleteOutcome>) -> NextStage {
        match outcomes.iter().position(Option::is_none) {
            Some(index) => Flow::to(Stage::Single { index: index as u32, outcomes }),
            None => Flow::Done(Output::DeleteMany(outcomes.into_iter().flatten().collect())),
        }
    }

    pub(super) fn single_request(&self, index: u32) -> Result<Unsigned, Failure> {
        let (blobs, options) = self.deletes();
        let Some((blob, options)) = blobs.get(index as usize).zip(options) else {
            return Err(nothing("such blob"));
        };
        let options = DeleteOptions { version: blob.version.clone(), call: options.call.clone() };
        let key = self.full_key_of(&blob.key)?;
        Ok(Unsigned::bare(requests::delete(&self.s3.settings, &key, &options)?))
    }

    pub(super) fn after_single(
        &mut self,
        index: u32,
        mut outcomes: Vec<DeleteOutcome>,
        result: Result<(), Failure>,
    ) -> NextStage {
        match outcomes.get_mut(index as usize) {
            Some(outcome) => *outcome = Some(super::blob::absent_is_done(result)),
            None => return Flow::Failed(self.failure(Kind::InvalidArgument, "there is no such blob")),
        }
        self.singles(outcomes)
    }
}

fn set(outcomes: &mut [DeleteOutcome], open: &[u32], outcome: impl Fn() -> DeleteOutcome) {
    for index in open {
        if let Some(place) = outcomes.get_mut(*index as usize) {
            *place = outcome();
        }
    }
}
