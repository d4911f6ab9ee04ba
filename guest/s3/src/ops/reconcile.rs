//! Stages after a lost response to a write, and around conditions that a service ignores or compares in its own way.

use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{
    BlobInfo, HeadOptions, ListPartsOptions, Operation, Part, WriteCondition, Written,
};
use sandbucket_plugin::reconcile::{self, LOST, Outcome, matches_any, opaque_tag, write_id};
use sandbucket_plugin::service::Flow;

use crate::attributes::head_call_options;
use crate::headers::WRITE_ID;
use crate::requests;

use super::call::{Call, NextStage, Unsigned};
use super::multipart::is_no_upload;
use super::outcome::{self, is_dated};
use super::service::nothing;
use super::stage::Stage;

/// What a HEAD found: the blob, and the service's time in seconds since 1970.
type Found = Result<(BlobInfo, Option<u64>), Failure>;

impl Call<'_, '_> {
    /// HEAD of the key that is written, of the version that was written if that is known.
    pub(super) fn look_request(&self) -> Result<Unsigned, Failure> {
        let version = match self.stage() {
            Stage::Verify { written, .. } => written.version.clone(),
            _ => None,
        };
        let options =
            HeadOptions { version, call: head_call_options(self.operation().call()), ..HeadOptions::default() };
        Ok(Unsigned::bare(requests::head(&self.s3.settings, &self.full_key()?, &options)?))
    }

    /// ListParts of the upload that is completed.
    pub(super) fn upload_request(&self) -> Result<Unsigned, Failure> {
        let Operation::CompleteUpload { upload, options, .. } = self.operation() else {
            return Err(nothing("upload"));
        };
        let options = ListPartsOptions {
            page_size: Some(1),
            call: head_call_options(&options.call),
            ..ListPartsOptions::default()
        };
        let request = requests::list_parts(&self.s3.settings, &self.full_key()?, upload, &options);
        self.document_request(request?, String::new())
    }

    fn parts(&self) -> &[Part] {
        if let Operation::CompleteUpload { parts, .. } = self.operation() { parts } else { &[] }
    }

    /// Whether the condition of a completion or copy is checked before it: Ceph ignores that of a completion.
    pub(super) fn checks(&self, condition: &WriteCondition) -> bool {
        *condition != WriteCondition::Always && self.s3.settings.check_conditions
    }

    /// Checks the condition, if the arguments are in order.
    pub(super) fn condition_first(&self) -> NextStage {
        let request = match self.operation() {
            Operation::Copy { source, options, .. } => self.copy_request(source, options),
            Operation::CompleteUpload { upload, parts, options, .. } => self.complete_request(upload, parts, options),
            _ => return Flow::to(Stage::Main),
        };
        match request {
            Ok(_) => Flow::Aside(Stage::Condition),
            Err(fault) => Flow::from(self.checked(Err(fault))),
        }
    }

    /// Fails if the condition does not hold. A service that cannot be looked at (that takes another permission) is left to check it.
    pub(super) fn after_condition(&mut self, found: Found) -> NextStage {
        self.own_request_begins();
        let found = match found {
            Ok((info, _)) => Some(info),
            Err(failure) if failure.kind == Kind::NotFound && failure.code() != Some("NoSuchBucket") => None,
            Err(failure) if matches!(failure.kind, Kind::Network | Kind::Timeout | Kind::Throttled) => {
                return Flow::Failed(failure);
            }
            Err(_) => return Flow::to(Stage::Main),
        };
        let unmet = match (self.operation().write_condition().clone(), found.map(|info| info.etag)) {
            (WriteCondition::IfAbsent, Some(_)) => "a blob is there already",
            (WriteCondition::IfMatch(_), None) => "no blob is there",
            (WriteCondition::IfMatch(wanted), Some(Some(etag))) if !matches_any(&wanted, &etag) => {
                "what is there has another entity tag"
            }
            _ => return Flow::to(Stage::Main),
        };
        Flow::Failed(self.unmet(unmet))
    }

    /// Whether the service may have refused a write for the quotes around the entity tag in `if-match`, as Ceph and services built on
    /// it do. The store then leaves the quotes out. The condition still holds the write back if the blob changes in between.
    pub(super) fn may_want_bare_tag(&mut self, failure: &Failure, condition: &WriteCondition) -> bool {
        let WriteCondition::IfMatch(tag) = condition else { return false };
        // If a response was lost, the blob that is there may be this write's.
        let unmet = failure.kind == Kind::PreconditionFailed && !self.maybe_applied();
        if self.notes().sent_bare {
            // It does not hold without quotes either: the next write finds out anew.
            self.s3.settings.bare_if_match = !unmet;
            self.step.notes_mut().bare_if_match = !unmet;
            return false;
        }
        unmet && !self.s3.settings.endpoint.aws && tag.ends_with('"') && !self.remaining().is_zero()
    }

    pub(super) fn after_entity_tag(&mut self, failure: Failure, found: Found) -> NextStage {
        let condition = self.operation().write_condition().clone();
        let there = found.ok().and_then(|(info, _)| info.etag);
        if let (WriteCondition::IfMatch(tag), Some(there)) = (&condition, there)
            && opaque_tag(&there) == opaque_tag(tag)
        {
            self.s3.settings.bare_if_match = true;
            return Flow::to(Stage::Main);
        }
        match self.operation() {
            Operation::Copy { .. } => self.after_copy_failed(failure, &condition),
            Operation::CompleteUpload { .. } => self.after_complete_failed(failure),
            _ => self.after_put_failed(failure, &condition),
        }
    }

    /// A response to a completion was lost. The upload is this writer's own: if it is gone and a blob of its parts is there, it was
    /// completed; if it is still there, it was not.
    pub(super) fn after_upload(&self, failure: Failure, listed: Result<(), Failure>) -> NextStage {
        let upload_gone = match listed {
            Ok(()) => Some(false),
            Err(failure) if is_no_upload(&failure) => Some(true),
            Err(_) => None,
        };
        if upload_gone != Some(false) {
            return Flow::to(Stage::Outcome { failure, upload_gone });
        }
        if failure.kind == Kind::PreconditionFailed {
            return Flow::Failed(failure);
        }
        let what = format!("{LOST}. The upload is still there, so that it can be completed again");
        let mut unknown = self.unknown(&what, &failure);
        unknown.retryable = true;
        Flow::Failed(unknown)
    }

    /// A response to a conditional write, or to a completion, was lost. The blob that is there shows the outcome.
    ///
    /// Such a write is retried, as its condition holds it back if the first one took effect; the failure of the retry says nothing
    /// about the first one.
    pub(super) fn after_outcome(&self, failure: Failure, upload_gone: Option<bool>, found: Found) -> NextStage {
        if let Operation::CompleteUpload { .. } = self.operation() {
            return match found {
                Ok((info, _)) if upload_gone == Some(true) && outcome::matches_parts(self.parts(), &info) => {
                    self.written(Written { etag: info.etag, version: info.version })
                }
                _ => Flow::Failed(self.unknown(LOST, &failure)),
            };
        }
        let condition = self.operation().write_condition().clone();
        // The second, by the service's clock, at which this call began to write.
        let elapsed = self.since_own_request().as_secs();
        let found = found.map(|(info, date)| {
            let began = date.filter(|_| is_dated(&info)).map(|date| date.saturating_sub(elapsed));
            (info, began)
        });
        let id = write_id(self.operation().call()).map(|id| (WRITE_ID, id));
        match reconcile::classify(&condition, &failure, &found, id) {
            Outcome::Applied(written) => self.written(written),
            Outcome::ConditionFailed => {
                let mut unmet = self.unmet("another writer wrote what is there before this write began");
                unmet.response = failure.response;
                Flow::Failed(unmet)
            }
            Outcome::NotApplied => Flow::Failed(failure),
            Outcome::Unknown => Flow::Failed(self.unknown(&reconcile::unknown(&found, id), &failure)),
        }
    }

    /// The entity tag that a service (Ceph) leaves out of its response to a completion.
    pub(super) fn after_completed_tag(&self, written: Written, found: Found) -> NextStage {
        match found {
            Ok((info, _)) if outcome::matches_parts(self.parts(), &info) => {
                self.written(Written { etag: info.etag, ..written })
            }
            _ => self.written(written),
        }
    }

    fn unmet(&self, why: &str) -> Failure {
        self.failure(Kind::PreconditionFailed, &format!("the precondition did not hold: {why}"))
    }
}
