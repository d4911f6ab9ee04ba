//! One step of an operation: what a service knows of the operation, and how failed attempts are retried and worded.

use std::time::Duration;

use crate::contract::error::{Error, Failure, Kind, ServiceResponse};
use crate::contract::model::{Operation, Output, WriteCondition};
use crate::http::response::MalformedResponse;
use crate::key;
use crate::machine::service::{AttemptError, Config, ErrorResponse, Flow, MAX_DOCUMENT, Service, Wait};
use crate::reconcile::LOST;
use crate::retry::{self, Decision};

use super::state::StateOf;
use super::{Response, Session, TransportError};

/// How much of a key is shown in messages, in bytes.
const SHOWN_KEY: usize = 200;

/// A step of an operation at the service `S`.
pub struct Step<'a, S: Service> {
    pub(super) config: &'a Config,
    pub(super) session: &'a mut Session,
    pub(super) state: StateOf<S>,
    /// Seconds since 1970 by this machine's clock.
    pub(super) wall: u64,
    /// How long after `wall` the request is sent that is being made.
    pub(super) delay: Duration,
}

/// A failed attempt, and what follows it.
pub(super) struct FailedAttempt {
    failure: Failure,
    next: Decision,
}

impl<S: Service> Step<'_, S> {
    /// The operation and its arguments.
    pub fn operation(&self) -> &Operation {
        &self.state.operation
    }

    /// The request that the operation is at.
    pub fn stage(&self) -> &S::Stage {
        &self.state.stage
    }

    /// What the operation found out about the service.
    pub fn notes(&self) -> &S::Notes {
        &self.state.notes
    }

    /// What the operation found out about the service, to add to it.
    pub fn notes_mut(&mut self) -> &mut S::Notes {
        &mut self.state.notes
    }

    /// What [`Service::open`] returned.
    pub fn config(&self) -> &Config {
        self.config
    }

    /// The service's time in seconds since 1970, as well as it is known; in [`Service::request`], when the request is sent.
    pub fn time(&self) -> u64 {
        self.wall.saturating_add(self.delay.as_secs()).saturating_add_signed(self.session.skew)
    }

    /// The full key of the operation's subject: the setting `key-prefix` and the key.
    ///
    /// # Errors
    /// A fault of `key` if it is empty or longer than [`Config::max_key`].
    pub fn full_key(&self) -> Result<String, Failure> {
        self.full_key_of(self.subject().1)
    }

    /// The full key of this key: the setting `key-prefix` and the key.
    ///
    /// # Errors
    /// A fault of `key` if it is empty or longer than [`Config::max_key`].
    pub fn full_key_of(&self, key: &str) -> Result<String, Failure> {
        key::check(key, &self.config.key_prefix, self.config.max_key)
    }

    /// What is left of the call's time.
    pub fn remaining(&self) -> Duration {
        self.state.progress.remaining()
    }

    /// Time since the operation's own request was first made.
    pub fn since_own_request(&self) -> Duration {
        Duration::from_nanos(self.state.progress.elapsed.saturating_sub(self.state.began))
    }

    /// Lets [`Step::since_own_request`] begin now: after a stage that precedes the operation's own request.
    pub fn own_request_begins(&mut self) {
        self.state.began = self.state.progress.elapsed;
    }

    /// Whether an attempt that failed may have taken effect. The failure of a later attempt then says nothing about the first one.
    pub fn maybe_applied(&self) -> bool {
        self.state.progress.maybe_done
    }

    /// Maximum number of retries.
    pub fn max_retries(&self) -> u32 {
        self.config.max_retries.min(self.state.progress.max_retries)
    }

    /// The backoff before retry number `retry`, from 0, for a stage that a service repeats by itself ([`Flow::Send`]).
    pub fn backoff(&mut self, retry: u32) -> Duration {
        retry::backoff(retry, None, &mut self.session.rng)
    }

    /// A random number for names that must differ. Not for secrets: it follows from the clocks, in nanoseconds, when the store was
    /// opened and when the operation began ([`Store::stir`](super::Store::stir)).
    pub fn random(&mut self) -> u64 {
        self.session.rng.u64(..)
    }

    /// Makes the fault of an argument a sentence that says what was attempted. What [`Service::request`] returns needs it not.
    pub fn checked<T>(&self, made: Result<T, Failure>) -> Result<T, Failure> {
        made.map_err(|fault| self.attempted(fault))
    }

    /// The fault of an argument, as a sentence that says what was attempted.
    pub(super) fn attempted(&self, mut fault: Failure) -> Failure {
        fault.message = self.sentence(&fault.message);
        fault
    }

    /// A failure of this operation, as a sentence that says what was attempted: for [`Flow::Failed`].
    pub fn failure(&self, kind: Kind, what: &str) -> Failure {
        let mut failure = Error::failure(kind, self.sentence(what));
        failure.attempts = self.state.progress.attempts;
        failure
    }

    /// The end of an operation after its own request.
    ///
    /// What a deletion did not find is deleted. If a response was lost, the failure of a later attempt says nothing about the first
    /// one: a conditional write then has an unknown outcome. A service that can look at what is there overrides
    /// [`Service::next`] and uses [`crate::reconcile`].
    pub fn end(&self, result: Result<S::Reply, Failure>) -> Flow<S::Stage> {
        let failure = match result.map(TryInto::try_into) {
            Ok(Ok(output)) => return Flow::Done(output),
            Ok(Err(_)) => self.failure(Kind::Integrity, "the response is not the operation's"),
            Err(failure) => failure,
        };
        match &self.state.operation {
            Operation::Delete { .. } if failure.kind == Kind::NotFound => {
                // After a lost response, that it is gone may be this call's doing.
                Flow::Done(Output::Delete((!self.maybe_applied()).then_some(false)))
            }
            operation if self.maybe_applied() && operation.write_condition() != &WriteCondition::Always => {
                Flow::Failed(self.unknown(LOST, &failure))
            }
            _ => Flow::Failed(failure),
        }
    }

    /// The failure of a write of which nothing certain is known ([`LOST`]), and whose last attempt ended in `failure`.
    pub fn unknown(&self, what: &str, failure: &Failure) -> Failure {
        let mut unknown = self.failure(Kind::OutcomeUnknown, &format!("{what}. The last attempt: {}", failure.message));
        unknown.response = failure.response.clone();
        unknown
    }

    /// The failure of an operation that the plugin does not have, for [`Service::request`].
    pub fn unsupported(&self) -> Failure {
        Error::failure(Kind::Unsupported, "this plugin does not have the operation")
    }

    /// The body of a response that is a document as a whole: not longer than [`MAX_DOCUMENT`], and as long as announced.
    ///
    /// # Errors
    /// [`Kind::TooLarge`], or a malformed response.
    pub fn document<'r>(&self, response: &Response<'r>) -> Result<&'r [u8], AttemptError> {
        let Response { head, body, truncated } = response;
        if *truncated || body.len() > MAX_DOCUMENT {
            let what = format!("its document is larger than {MAX_DOCUMENT} bytes");
            return Err(AttemptError::Stop(Kind::TooLarge, what));
        }
        if let Some(length) = head.content_length()?.filter(|length| *length != body.len() as u64) {
            let what = format!("its document has {} bytes where {length} were announced", body.len());
            return Err(MalformedResponse(what).into());
        }
        Ok(body)
    }

    /// The failure that an error response about this subject is: `VERB "SUBJECT" … the service responded …`. The machine makes those
    /// of whole responses; this is for one of several in a response, as of a bulk delete.
    pub fn response_failure(&self, verb: &str, subject: &str, error: ErrorResponse) -> Failure {
        let ErrorResponse { response, classification, .. } = error;
        let mut what = String::from("the service responded ");
        what.push_str(&described(&response));
        if !classification.advice.is_empty() {
            what.push_str(": ");
            what.push_str(&classification.advice);
        }
        let mut failure = Error::failure(classification.kind, self.sentence_about(verb, subject, &what));
        failure.attempts = self.state.progress.attempts;
        failure.subject = classification.subject.map(Into::into);
        failure.response = Some(response);
        failure
    }

    /// A sentence that says what was attempted, where, and what happened.
    pub fn sentence_about(&self, verb: &str, subject: &str, what: &str) -> String {
        let Config { container, endpoint, key_prefix, .. } = self.config;
        if self.state.operation.is_of_buckets() {
            let name = if subject.is_empty() { String::new() } else { format!(" \"{}\"", shown(subject)) };
            return format!("{verb}{name} at {endpoint}: {what}");
        }
        let key = if subject.is_empty() && key_prefix.is_empty() {
            String::new()
        } else {
            format!(" \"{}{}\"", shown(key_prefix), shown(subject))
        };
        let place = if container.is_empty() { String::new() } else { format!(" in {container}") };
        format!("{verb}{key}{place} at {endpoint}: {what}")
    }

    fn sentence(&self, what: &str) -> String {
        let (verb, subject) = self.subject();
        self.sentence_about(verb, subject, what)
    }

    fn subject(&self) -> (&'static str, &str) {
        S::subject(&self.state.operation, &self.state.stage)
    }

    fn wait(&self) -> Wait {
        S::wait(&self.state.operation, &self.state.stage)
    }

    /// The longest wait for progress, and the name of its setting; and whether it is longer than usual.
    pub(super) fn timeout(&self) -> (&'static str, Duration, bool) {
        match self.config.long_timeout {
            Some((name, time)) if self.wait() != Wait::Default && time > self.config.timeout => (name, time, true),
            _ => ("timeout", self.config.timeout, false),
        }
    }

    /// What follows a failed attempt: a retry after a pause, or a failure.
    pub(super) fn after(&mut self, failed: FailedAttempt) -> Result<(Failure, Duration), Failure> {
        let FailedAttempt { mut failure, next } = failed;
        let after = match next {
            Decision::Fail => return Err(self.finish(failure, "")),
            Decision::CorrectClock(date) => {
                match retry::correction(date, self.wall, self.config.https) {
                    Ok(skew) => {
                        self.session.skew = skew;
                        self.state.skew = Some(skew);
                    }
                    Err(apart) => return Err(self.finish(failure, &self.clocks_differ(apart, date > self.wall))),
                }
                if self.state.progress.skewed {
                    return Err(self.finish(failure, ""));
                }
                self.state.progress.skewed = true;
                return Ok((self.finish(failure, ""), Duration::ZERO));
            }
            Decision::Retry { after, not_applied } => {
                self.state.progress.maybe_done |= !not_applied;
                after
            }
        };
        failure.retryable = true;
        let may_be_at_work = failure.kind == Kind::Timeout && self.state.progress.maybe_done;
        if self.wait() == Wait::LongOnce && may_be_at_work || self.state.progress.retries >= self.max_retries() {
            return Err(self.finish(failure, ""));
        }
        if let Some(after) = after.filter(|after| *after > retry::MAX_RETRY_AFTER) {
            let (asked, longest) = (after.as_secs(), retry::MAX_RETRY_AFTER.as_secs());
            let note = format!("it asks to wait {asked} s, and no call waits more than {longest} s: try again later");
            return Err(self.finish(failure, &note));
        }
        let pause = retry::backoff(self.state.progress.retries, after, &mut self.session.rng);
        if pause >= self.remaining() {
            let over = self.remaining().is_zero();
            let note = if over { "" } else { "the call's time limit leaves no time for another try" };
            return Err(self.finish(failure, note));
        }
        self.state.progress.retries += 1;
        Ok((self.finish(failure, ""), pause))
    }

    /// How an attempt failed whose response the service could not make sense of, or does not accept.
    pub(super) fn failed_attempt(&self, error: AttemptError) -> FailedAttempt {
        match error {
            AttemptError::Malformed(what) => {
                let failure = self.failure(Kind::Integrity, &format!("the response cannot be trusted: {what}"));
                // The cause may pass.
                FailedAttempt { failure, next: Decision::Retry { after: None, not_applied: false } }
            }
            AttemptError::ErrorResponse(error) => {
                let next = error.decision;
                let (verb, subject) = self.subject();
                FailedAttempt { failure: self.response_failure(verb, subject, *error), next }
            }
            AttemptError::Stop(kind, what) => {
                FailedAttempt { failure: self.failure(kind, &what), next: Decision::Fail }
            }
        }
    }

    /// A request without a response.
    pub(super) fn not_responded(&self, error: TransportError) -> FailedAttempt {
        let TransportError { kind, mut message, not_sent, retryable } = error;
        let next = if retryable { Decision::Retry { after: None, not_applied: not_sent } } else { Decision::Fail };
        if kind == Kind::Timeout && self.remaining().is_zero() {
            return FailedAttempt { failure: self.out_of_time(), next };
        }
        if kind == Kind::Timeout {
            let (name, time, _) = self.timeout();
            message.push_str(&format!(" (the setting {name} is {} ms)", time.as_millis() as u64));
        }
        if kind == Kind::Integrity {
            return self.failed_attempt(AttemptError::Malformed(message));
        }
        FailedAttempt { failure: self.failure(kind, &message), next }
    }

    pub(super) fn out_of_time(&self) -> Failure {
        let limit = human(Duration::from_nanos(self.state.progress.limit));
        let mut failure = self.failure(Kind::Timeout, &format!("the call's time limit of {limit} ran out"));
        failure.retryable = true;
        failure
    }

    /// Adds the number of attempts to a failure's message, if there were several.
    fn finish(&self, mut failure: Failure, note: &str) -> Failure {
        let attempts = self.state.progress.attempts;
        failure.attempts = attempts;
        if !note.is_empty() {
            failure.message.push_str("; ");
            failure.message.push_str(note);
        }
        if attempts > 1 {
            let took = Duration::from_nanos(self.state.progress.elapsed);
            failure.message.push_str(&format!(" ({attempts} requests in {})", human(took)));
        }
        failure
    }

    /// Says that the clocks are too far apart to correct ours, and what to do.
    fn clocks_differ(&self, apart: u64, ahead: bool) -> String {
        let (scheme, most) = if self.config.https { ("https", "7 days") } else { ("http", "24 hours") };
        let way = if ahead { "ahead of" } else { "behind" };
        let (days, hours) = (apart / 86_400, apart / 3600 % 24);
        format!(
            "the service's clock is {days} days and {hours} hours {way} this machine's, and over {scheme} at most {most} are \
             corrected for: set this machine's clock, or the service's"
        )
    }
}

/// `403 AccessDenied ("message", request id X)`.
fn described(response: &ServiceResponse) -> String {
    let mut words = response.status.to_string();
    if let Some(code) = &response.code {
        words.push(' ');
        words.push_str(code);
    }
    let message = response.message.as_ref().map(|message| format!("\"{message}\""));
    let id = response.request_id.as_ref().map(|id| format!("request id {id}"));
    match (message, id) {
        (Some(message), Some(id)) => words.push_str(&format!(" ({message}, {id})")),
        (Some(one), None) | (None, Some(one)) => words.push_str(&format!(" ({one})")),
        (None, None) => {}
    }
    words
}

/// A key for messages: control characters escaped, and truncated if it is long.
fn shown(key: &str) -> String {
    let mut text = String::new();
    for c in key.chars() {
        if text.len() >= SHOWN_KEY {
            text.push('…');
            break;
        }
        if c.is_control() || c == '"' {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

fn human(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis() as u64)
    } else {
        format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100)
    }
}
