//! Stages after a lost response to a write.

use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{HeadOptions, Operation, Output, WriteCondition, Written};
use sandbucket_plugin::machine::Step;
use sandbucket_plugin::reconcile::{self, LOST, Outcome, write_id};
use sandbucket_plugin::service::{Flow, Outgoing};

use super::{Azure, Found, Reply, Stage};
use crate::documents::block_list::{Block, state_of};
use crate::headers::WRITE_ID;
use crate::requests;
use crate::upload_id::UploadId;

impl Azure {
    /// HEAD of the key that is written.
    pub(super) fn look_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let request = requests::head(&self.settings, &self.full_key(step)?, &HeadOptions::default())?;
        Ok(self.bare(step, request))
    }

    /// A response to a conditional put or copy was lost. The blob that is there shows the outcome.
    ///
    /// Such a write is retried, as its condition holds it back if the first one took effect; the failure of the retry says nothing
    /// about the first one.
    pub(super) fn after_outcome(&self, step: &Step<'_, Self>, failure: Failure, found: Found) -> Flow<Stage> {
        let (condition, call) = (step.operation().write_condition(), step.operation().call());
        // The second, by the service's clock, at which this call began to write.
        let elapsed = step.since_own_request().as_secs();
        let found = found.map(|(info, date)| (info, date.map(|date| date.saturating_sub(elapsed))));
        let id = write_id(call).map(|id| (WRITE_ID, id));
        match reconcile::classify(condition, &failure, &found, id) {
            Outcome::Applied(written) => Flow::Done(self.written(step, written)),
            Outcome::ConditionFailed => {
                let what = "the precondition did not hold: another writer wrote what is there before this write began";
                let mut unmet = step.failure(Kind::PreconditionFailed, what);
                unmet.response = failure.response;
                Flow::Failed(unmet)
            }
            Outcome::NotApplied => Flow::Failed(failure),
            Outcome::Unknown => Flow::Failed(step.unknown(&reconcile::unknown(&found, id), &failure)),
        }
    }

    /// A response to a completion was lost. The blocks carry the id of their upload: if they are the blob's, it was completed; if they
    /// are still uncommitted, it was not.
    pub(super) fn after_committed(
        &self,
        step: &Step<'_, Self>,
        failure: Failure,
        result: Result<Reply, Failure>,
    ) -> Flow<Stage> {
        let Operation::CompleteUpload { upload, parts, options, .. } = step.operation() else {
            return Flow::Failed(failure);
        };
        let Ok(upload) = UploadId::read(upload) else { return Flow::Failed(failure) };
        let mut wanted = Vec::with_capacity(parts.len());
        for part in parts {
            wanted.extend(upload.part_block(part.number, &part.etag).ok().flatten());
        }
        match result {
            Ok(Reply::Blocks(committed, _, written)) if !wanted.is_empty() && is_made_of(&committed, &wanted) => {
                Flow::Done(Output::CompleteUpload(written))
            }
            Ok(Reply::Blocks(_, uncommitted, _)) if state_of(&upload, &uncommitted).0 => {
                if failure.kind == Kind::PreconditionFailed && options.condition != WriteCondition::Always {
                    return Flow::Failed(failure);
                }
                let what = format!("{LOST}. The parts are still there, so that the upload can be completed again");
                let mut unknown = step.unknown(&what, &failure);
                unknown.retryable = true;
                Flow::Failed(unknown)
            }
            _ => Flow::Failed(step.unknown(LOST, &failure)),
        }
    }

    /// The result of the operation, which is a write.
    fn written(&self, step: &Step<'_, Self>, written: Written) -> Output {
        match step.operation() {
            Operation::Copy { .. } => Output::Copy(written),
            _ => Output::Put(written),
        }
    }
}

fn is_made_of(committed: &[Block], wanted: &[String]) -> bool {
    committed.len() == wanted.len() && committed.iter().zip(wanted).all(|(block, id)| block.id == *id)
}
