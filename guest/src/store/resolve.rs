//! Writes whose answers were lost.

use std::time::Duration;

use crate::attributes::to_look;
use crate::env::{Clock, Transport};
use crate::error::{Failure, Kind};
use crate::model::{BlobInfo, CallOptions, HeadOptions, WriteCondition, Written};
use crate::request;

use super::call::Call;
use super::outcome::{self, Outcome};

impl<E: Transport + Clock> Call<'_, E> {
    /// Finds out what became of a write of which an answer was lost, and whose last try ended in `failure`. `began` is
    /// the instant at which the call began to write; `same` says whether a blob is what was to be written.
    ///
    /// Such a write is sent again, for its condition holds it back where the first one took effect (or the upload that it
    /// completes is then gone); what it then fails with says nothing about the first. So it is looked at what is there
    /// now.
    pub(super) fn resolve(
        &mut self,
        condition: &WriteCondition,
        call: &CallOptions,
        failure: Failure,
        began: u64,
        same: &dyn Fn(&BlobInfo) -> bool,
    ) -> Result<Written, Failure> {
        let options = HeadOptions { call: to_look(call), ..HeadOptions::default() };
        let key = self.whole_key()?;
        let mut request = self.checked(request::head(&self.store.settings, &key, &options))?;
        let found = match self.head(&mut request) {
            Ok((info, date)) => {
                // The second, by the service's clock, at which this call began to write.
                let elapsed = Duration::from_nanos(self.env.now().saturating_sub(began)).as_secs();
                Ok((info, date.map(|date| date.saturating_sub(elapsed))))
            }
            Err(failed) => Err(failed),
        };
        match outcome::of(condition, &failure, &found, same) {
            Outcome::Ours(written) => Ok(written),
            Outcome::NotOurs => {
                let mut unmet = self.failure(
                    Kind::PreconditionFailed,
                    "the precondition did not hold: what is there was written by somebody else before",
                );
                unmet.answer = failure.answer;
                Err(unmet)
            }
            Outcome::NotDone => Err(failure),
            Outcome::Unknown => {
                let mut words = String::from(
                    "an answer was lost, and whether the write took effect cannot be told: read the key before writing again. ",
                );
                words.push_str("The last try: ");
                words.push_str(&failure.message);
                if let Err(looked) = &found {
                    words.push_str(". Looking at what is there: ");
                    words.push_str(&looked.message);
                }
                let mut unknown = self.failure(Kind::OutcomeUnknown, &words);
                unknown.answer = failure.answer;
                Err(unknown)
            }
        }
    }
}
