//! Stages after a lost response to a write, and around conditions that a service ignores or compares in its own way.

use std::time::Duration;

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{BlobInfo, HeadOptions, ListPartsOptions, Operation, Part, WriteCondition, Written};
use crate::s3::attributes::head_call_options;
use crate::s3::headers::WRITE_ID;
use crate::s3::requests;

use super::call::{Call, Outgoing};
use super::machine::Flow;
use super::multipart::is_no_upload;
use super::outcome::{self, Outcome, opaque_tag};
use super::state::Stage;

/// The beginning of the message about a write of which nothing certain is known.
const LOST: &str =
    "a response was lost, and it is not known whether the write took effect: read the key before writing again";

/// What a HEAD found: the blob, and the service's time in seconds since 1970.
type Found = Result<(BlobInfo, Option<u64>), Failure>;

impl Call<'_> {
    /// HEAD of the key that is written, of the version that was written if that is known.
    pub(super) fn look_request(&self) -> Result<Outgoing, Failure> {
        let version = match &self.state.stage {
            Stage::Verify { written, .. } => written.version.clone(),
            _ => None,
        };
        let options =
            HeadOptions { version, call: head_call_options(self.state.operation.call()), ..HeadOptions::default() };
        Ok(Outgoing::bare(self.checked(requests::head(&self.store.settings, &self.full_key()?, &options))?))
    }

    /// ListParts of the upload that is completed.
    pub(super) fn upload_request(&self) -> Result<Outgoing, Failure> {
        let Operation::CompleteUpload { upload, options, .. } = &self.state.operation else {
            return Err(self.failure(Kind::InvalidArgument, "there is no upload"));
        };
        let options = ListPartsOptions {
            page_size: Some(1),
            call: head_call_options(&options.call),
            ..ListPartsOptions::default()
        };
        let request = requests::list_parts(&self.store.settings, &self.full_key()?, upload, &options);
        self.document_request(self.checked(request)?, String::new())
    }

    fn condition(&self) -> WriteCondition {
        match &self.state.operation {
            Operation::Put { options, .. } => options.condition.clone(),
            Operation::Copy { options, .. } => options.condition.clone(),
            Operation::CompleteUpload { options, .. } => options.condition.clone(),
            _ => WriteCondition::Always,
        }
    }

    fn parts(&self) -> &[Part] {
        if let Operation::CompleteUpload { parts, .. } = &self.state.operation { parts } else { &[] }
    }

    /// Whether the condition of a completion or copy is checked before it: Ceph ignores that of a completion.
    pub(super) fn checks(&self, condition: &WriteCondition) -> bool {
        *condition != WriteCondition::Always && self.store.settings.check_conditions
    }

    /// Checks the condition, if the arguments are in order.
    pub(super) fn condition_first(&self) -> Flow {
        let request = match &self.state.operation {
            Operation::Copy { source, options, .. } => self.copy_request(source, options),
            Operation::CompleteUpload { upload, parts, options, .. } => self.complete_request(upload, parts, options),
            _ => return Flow::to(Stage::Main),
        };
        match request {
            Ok(_) => Flow::Aside(Stage::Condition),
            Err(failure) => Flow::Failed(failure),
        }
    }

    /// Fails if the condition does not hold. A service that cannot be looked at (that takes another permission) is left to check it.
    pub(super) fn after_condition(&mut self, found: Found) -> Flow {
        self.state.began = self.state.progress.elapsed;
        let found = match found {
            Ok((info, _)) => Some(info),
            Err(failure) if failure.kind == Kind::NotFound && failure.code() != Some("NoSuchBucket") => None,
            Err(failure) if matches!(failure.kind, Kind::Network | Kind::Timeout | Kind::Throttled) => {
                return Flow::Failed(failure);
            }
            Err(_) => return Flow::to(Stage::Main),
        };
        let unmet = match (self.condition(), found.map(|info| info.etag)) {
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
        let unmet = failure.kind == Kind::PreconditionFailed && !self.state.progress.maybe_done;
        if self.state.bare_if_match {
            // It does not hold without quotes either: the next write finds out anew.
            self.store.settings.bare_if_match = !unmet;
            self.state.learned.bare_if_match = !unmet;
            return false;
        }
        unmet && !self.store.settings.endpoint.aws && tag.ends_with('"') && !self.remaining().is_zero()
    }

    pub(super) fn after_entity_tag(&mut self, failure: Failure, found: Found) -> Flow {
        let condition = self.condition();
        let there = found.ok().and_then(|(info, _)| info.etag);
        if let (WriteCondition::IfMatch(tag), Some(there)) = (&condition, there)
            && opaque_tag(&there) == opaque_tag(tag)
        {
            self.store.settings.bare_if_match = true;
            return Flow::to(Stage::Main);
        }
        match &self.state.operation {
            Operation::Copy { .. } => self.after_copy_failed(failure, &condition),
            Operation::CompleteUpload { .. } => self.after_complete_failed(failure),
            _ => self.after_put_failed(failure, &condition),
        }
    }

    /// A response to a completion was lost. The upload is this writer's own: if it is gone and a blob of its parts is there, it was
    /// completed; if it is still there, it was not.
    pub(super) fn after_upload(&self, failure: Failure, listed: Result<(), Failure>) -> Flow {
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
    pub(super) fn after_outcome(&self, failure: Failure, upload_gone: Option<bool>, found: Found) -> Flow {
        if let Operation::CompleteUpload { .. } = self.state.operation {
            return match found {
                Ok((info, _)) if upload_gone == Some(true) && outcome::matches_parts(self.parts(), &info) => {
                    self.written(Written { etag: info.etag, version: info.version })
                }
                _ => Flow::Failed(self.unknown(LOST, &failure)),
            };
        }
        let condition = self.condition();
        // The second, by the service's clock, at which this call began to write.
        let elapsed = Duration::from_nanos(self.state.progress.elapsed.saturating_sub(self.state.began)).as_secs();
        let found = found.map(|(info, date)| (info, date.map(|date| date.saturating_sub(elapsed))));
        let id = outcome::write_id(self.state.operation.call());
        match outcome::classify(&condition, &failure, &found, id) {
            Outcome::Applied(written) => self.written(written),
            Outcome::ConditionFailed => {
                let mut unmet = self.unmet("another writer wrote what is there before this write began");
                unmet.response = failure.response;
                Flow::Failed(unmet)
            }
            Outcome::NotApplied => Flow::Failed(failure),
            Outcome::Unknown => {
                let mut what = LOST.to_owned();
                match (id, &found) {
                    (Some(id), _) => what.push_str(&format!(" (it is yours if its metadata {WRITE_ID} is {id})")),
                    (None, Ok(_)) => what.push_str(" (with the attribute write-id this can be known)"),
                    (None, Err(looked)) => what.push_str(&format!(". Looking at what is there: {}", looked.message)),
                }
                Flow::Failed(self.unknown(&what, &failure))
            }
        }
    }

    /// The entity tag that a service (Ceph) leaves out of its response to a completion.
    pub(super) fn after_completed_tag(&self, written: Written, found: Found) -> Flow {
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

    /// The failure of a write of which nothing certain is known, and whose last attempt ended in `failure`.
    pub(super) fn unknown(&self, what: &str, failure: &Failure) -> Failure {
        let mut unknown = self.failure(Kind::OutcomeUnknown, &format!("{what}. The last attempt: {}", failure.message));
        unknown.response = failure.response.clone();
        unknown
    }
}

/// Whether one of the listed entity tags is this one. `*` is any.
fn matches_any(listed: &str, etag: &str) -> bool {
    listed.split(',').any(|one| one.trim() == "*" || opaque_tag(one) == opaque_tag(etag))
}
