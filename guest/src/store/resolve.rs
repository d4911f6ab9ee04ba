//! Writes whose responses were lost, and conditions that the service may not know.

use std::time::Duration;

use crate::attributes::to_look;
use crate::env::{Clock, Transport};
use crate::error::{Failure, Kind};
use crate::model::{BlobInfo, CallOptions, HeadOptions, ListPartsOptions, Part, WriteCondition, Written};
use crate::request;

use super::call::{Call, Tries, Wait};
use super::complete::is_no_upload;
use super::outcome::{self, Outcome, bare};

/// The beginning of what is said of a write of which nothing certain is known.
const LOST: &str =
    "a response was lost, and it is not known whether the write took effect: read the key before writing again";

impl<E: Transport + Clock> Call<'_, E> {
    /// Finds out what became of a conditional write of which a response was lost, and whose last attempt ended in `failure`.
    /// `began` is the instant at which the call began to write.
    ///
    /// Such a write is sent again, for its condition holds it back where the first one took effect; what it then fails with
    /// says nothing about the first. So what is at the key decides.
    pub(super) fn resolve(
        &mut self,
        condition: &WriteCondition,
        call: &CallOptions,
        failure: Failure,
        began: u64,
    ) -> Result<Written, Failure> {
        let found = match self.look(call) {
            Ok((info, date)) => {
                // The second, by the service's clock, at which this call began to write.
                let elapsed = Duration::from_nanos(self.env.now().saturating_sub(began)).as_secs();
                Ok((info, date.map(|date| date.saturating_sub(elapsed))))
            }
            Err(failed) => Err(failed),
        };
        let id = outcome::write_id(call);
        match outcome::of(condition, &failure, &found, id) {
            Outcome::Ours(written) => Ok(written),
            Outcome::NotOurs => {
                let mut unmet = self.unmet("another writer wrote what is there before this write began");
                unmet.answer = failure.answer;
                Err(unmet)
            }
            Outcome::NotDone => Err(failure),
            Outcome::Unknown => {
                let mut what = LOST.to_owned();
                match (id, &found) {
                    (Some(id), _) => {
                        what.push_str(&format!(" (it is yours if its metadata {} is {id})", crate::headers::WRITE_ID))
                    }
                    (None, Ok(_)) => what.push_str(" (with the attribute write-id this can be known)"),
                    (None, Err(looked)) => what.push_str(&format!(". Looking at what is there: {}", looked.message)),
                }
                Err(self.unknown(&what, &failure))
            }
        }
    }

    /// Finds out what became of a completion of which a response was lost. The upload is this writer's own: where it is gone, and
    /// a blob of its parts is there, it was completed; where it is still there, it was not.
    pub(super) fn resolve_completion(
        &mut self,
        upload: &str,
        parts: &[Part],
        call: &CallOptions,
        failure: Failure,
    ) -> Result<Written, Failure> {
        let gone = if is_no_upload(&failure) { Some(true) } else { self.is_gone(upload, call) };
        match gone {
            Some(false) if failure.kind == Kind::PreconditionFailed => Err(failure),
            Some(false) => {
                let what = format!("{LOST}. The upload is still there, so that it can be completed again");
                let mut unknown = self.unknown(&what, &failure);
                unknown.retryable = true;
                Err(unknown)
            }
            _ => match self.look(call) {
                Ok((info, _)) if gone == Some(true) && outcome::is_of_parts(parts, &info) => {
                    Ok(Written { etag: info.etag, version: info.version })
                }
                _ => Err(self.unknown(LOST, &failure)),
            },
        }
    }

    /// What was written, with the entity tag that a service (Ceph) leaves out of its response to a completion.
    pub(super) fn found_etag(&mut self, written: Written, parts: &[Part], call: &CallOptions) -> Written {
        match self.aside(|this| this.look(call)) {
            Ok((info, _)) if outcome::is_of_parts(parts, &info) => Written { etag: info.etag, ..written },
            _ => written,
        }
    }

    /// Whether the upload is no longer there; none where the service does not say.
    fn is_gone(&mut self, upload: &str, call: &CallOptions) -> Option<bool> {
        let options = ListPartsOptions { page_size: Some(1), call: to_look(call), ..ListPartsOptions::default() };
        match self.aside(|call| call.list_parts(upload, &options)) {
            Ok(_) => Some(false),
            Err(failure) if is_no_upload(&failure) => Some(true),
            Err(_) => None,
        }
    }

    /// Fails where the condition of a write does not hold already, for services that ignore it: Ceph does in a completion. A
    /// service that cannot be looked at (that takes another permission) is left to check by itself.
    pub(super) fn check_condition(&mut self, condition: &WriteCondition, call: &CallOptions) -> Result<(), Failure> {
        if *condition == WriteCondition::Always || !self.store.settings.check_conditions {
            return Ok(());
        }
        let found = match self.aside(|this| this.look(call)) {
            Ok((info, _)) => Some(info),
            Err(failure) if failure.kind == Kind::NotFound && failure.code() != Some("NoSuchBucket") => None,
            Err(failure) if matches!(failure.kind, Kind::Network | Kind::Timeout | Kind::Throttled) => {
                return Err(failure);
            }
            Err(_) => return Ok(()),
        };
        let unmet = match (condition, found.map(|info| info.etag)) {
            (WriteCondition::IfAbsent, Some(_)) => "a blob is there already",
            (WriteCondition::IfMatch(_), None) => "no blob is there",
            (WriteCondition::IfMatch(wanted), Some(Some(etag))) if !matches_any(wanted, &etag) => {
                "what is there has another entity tag"
            }
            _ => return Ok(()),
        };
        Err(self.unmet(unmet))
    }

    /// What is at the key, and the second by the service's clock.
    pub(super) fn look(&mut self, call: &CallOptions) -> Result<(BlobInfo, Option<u64>), Failure> {
        let options = HeadOptions { call: to_look(call), ..HeadOptions::default() };
        let key = self.whole_key()?;
        let mut request = self.checked(request::head(&self.store.settings, &key, &options))?;
        self.waiting(Wait::Usual, |call| call.head(&mut request))
    }

    /// Does this beside the operation: its retries are not the operation's.
    pub(super) fn aside<T>(&mut self, requests: impl FnOnce(&mut Self) -> T) -> T {
        let tries = self.tries.clone();
        let done = self.waiting(Wait::Usual, requests);
        self.tries = Tries { attempts: self.tries.attempts, now: self.tries.now, ..tries };
        done
    }

    fn unmet(&self, why: &str) -> Failure {
        self.failure(Kind::PreconditionFailed, &format!("the precondition did not hold: {why}"))
    }

    /// The failure of a write of which nothing certain is known, and whose last attempt ended in `failure`.
    pub(super) fn unknown(&self, what: &str, failure: &Failure) -> Failure {
        let mut unknown = self.failure(Kind::OutcomeUnknown, &format!("{what}. The last attempt: {}", failure.message));
        unknown.answer = failure.answer.clone();
        unknown
    }
}

/// Whether one of the listed entity tags is this one. `*` is any.
fn matches_any(listed: &str, etag: &str) -> bool {
    listed.split(',').any(|one| one.trim() == "*" || bare(one) == bare(etag))
}
