//! One step of an operation: how its requests are signed, what a response means for it, and whether a failed attempt is retried.

use std::time::Duration;

use crate::contract::error::{Error, Failure, Kind, ServiceResponse};
use crate::contract::model::Operation;
use crate::rt::hex::hex;
use crate::s3::checksum::Algorithm;
use crate::s3::content::Content;
use crate::s3::requests::{Method, Request};
use crate::s3::response::{Head, MalformedResponse};
use crate::s3::service_error;
use crate::s3::sigv4::PayloadHash;
use crate::s3::time::AmzTime;

use super::retry::{self, Decision};
use super::state::{Stage, State};
use super::{Exchange, RequestBody, ResponseBody, Store, TransportError};

/// How much of a key is shown in messages, in bytes.
const SHOWN_KEY: usize = 200;

/// A step of an operation.
pub(super) struct Call<'a> {
    pub(super) store: &'a mut Store,
    pub(super) state: State,
    /// Seconds since 1970 by this machine's clock.
    pub(super) wall: u64,
}

/// How long a request waits for the service to make progress, and whether it is retried after that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The setting `timeout`; retried.
    Usual,
    /// The setting `completion-timeout`; retried.
    Long,
    /// The setting `completion-timeout`. It is not retried, as the service may still be working on it.
    LongOnce,
}

/// A request that is not yet signed.
pub(super) struct Outgoing {
    pub(super) request: Request,
    pub(super) body: RequestBody,
    pub(super) payload: PayloadHash,
    pub(super) response_body: ResponseBody,
}

impl Outgoing {
    /// A request without a body, whose response has one of no interest.
    pub(super) fn bare(request: Request) -> Outgoing {
        let response_body = ResponseBody::Buffer(service_error::MAX_BODY as u32);
        Outgoing { request, body: RequestBody::None, payload: PayloadHash::Empty, response_body }
    }
}

/// How an attempt failed. Boxed, as failures are.
pub(super) type Trouble = Box<FailedAttempt>;

pub(super) struct FailedAttempt {
    pub(super) failure: Failure,
    pub(super) next: Decision,
}

impl Call<'_> {
    /// What was made of the call's arguments; or the failure, as a sentence that says what was attempted.
    pub(super) fn checked<T>(&self, mut made: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(fault) = &mut made {
            fault.message = self.sentence(&fault.message);
        }
        made
    }

    /// The full key of the operation's subject: the setting `key-prefix` and the key.
    pub(super) fn full_key(&self) -> Result<String, Failure> {
        self.checked(self.store.full_key(self.subject().1))
    }

    /// The hash to sign for this body, or that it is unsigned.
    pub(super) fn payload(&self, content: &Content<'_>) -> PayloadHash {
        if self.store.settings.credentials.is_none() || content.length() == 0 {
            return PayloadHash::Empty;
        }
        match self.store.settings.signs_payload().then(|| content.digest(Algorithm::Sha256)).flatten() {
            Some(sum) => PayloadHash::Sha256(hex(&sum)),
            None => PayloadHash::Unsigned,
        }
    }

    /// The request for a document, with a document as its body if that is not empty.
    pub(super) fn document_request(&self, request: Request, body: String) -> Result<Outgoing, Failure> {
        let payload = self.payload(&self.checked(Content::buffered(body.as_bytes(), &[]))?);
        let body = if body.is_empty() { RequestBody::None } else { RequestBody::Bytes(body.into_bytes()) };
        let response_body = ResponseBody::Buffer(super::documents::MAX_DOCUMENT as u32);
        Ok(Outgoing { request, body, payload, response_body })
    }

    fn wait(&self) -> Wait {
        match (&self.state.stage, &self.state.operation) {
            (Stage::Main, Operation::Copy { .. } | Operation::CompleteUpload { .. }) => Wait::LongOnce,
            (Stage::Main, Operation::CopyPart { .. }) => Wait::Long,
            _ => Wait::Usual,
        }
    }

    /// Signs the request for an attempt that is made after this delay.
    pub(super) fn exchange(
        mut self,
        outgoing: Outgoing,
        delay: Duration,
        retries: Option<Failure>,
    ) -> Result<Exchange, Box<(Self, Failure)>> {
        let Outgoing { mut request, body, payload, response_body } = outgoing;
        if self.remaining() <= delay {
            let FailedAttempt { failure, .. } = *self.out_of_time();
            return Err(Box::new((self, failure)));
        }
        if let Some(credentials) = &self.store.settings.credentials {
            let date = self.store.service_time(self.wall.saturating_add(delay.as_secs()));
            // Where bodies are not signed, their absence need not be either, and there is less to hash.
            let payload = if self.store.settings.signs_payload() { &payload } else { &PayloadHash::Unsigned };
            self.store.signer.sign(&mut request, credentials, payload, AmzTime::from_secs(date));
        }
        self.state.progress.attempts = self.state.progress.attempts.saturating_add(1);
        let settings = &self.store.settings;
        let fresh_connection = self.wait() != Wait::Usual && settings.completion_timeout > settings.timeout;
        let timeout = if fresh_connection { settings.completion_timeout } else { settings.timeout };
        self.state.bare_if_match = settings.bare_if_match;
        self.state.learned.bare_if_match |= settings.bare_if_match;
        Ok(Exchange { state: self.state, delay, timeout, request, body, response_body, fresh_connection, retries })
    }

    /// What follows a failed attempt: a retry after a pause, or a failure.
    pub(super) fn after(&mut self, trouble: FailedAttempt) -> Result<(Failure, Duration), Failure> {
        let FailedAttempt { mut failure, next } = trouble;
        let after = match next {
            Decision::Fail => return Err(self.finish(failure, "")),
            Decision::CorrectClock(date) => {
                match retry::correction(date, self.wall, self.store.settings.endpoint.https) {
                    Ok(skew) => {
                        self.store.skew = skew;
                        self.state.learned.skew = Some(skew);
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
        let pause = retry::backoff(self.state.progress.retries, after, &mut self.store.rng);
        if pause >= self.remaining() {
            let over = self.remaining().is_zero();
            let note = if over { "" } else { "the call's time limit leaves no time for another try" };
            return Err(self.finish(failure, note));
        }
        self.state.progress.retries += 1;
        Ok((self.finish(failure, ""), pause))
    }

    /// The failed attempt that an error response is.
    pub(super) fn refused(&self, method: Method, head: &Head, body: &[u8]) -> Trouble {
        let now = self.store.service_time(self.wall);
        let signed = self.store.settings.credentials.is_some();
        let response = service_error::parse(head, body, &self.store.settings.region);
        let next = retry::decide(head, &response, now, signed);
        Box::new(FailedAttempt { failure: self.refused_as(method, head, response), next })
    }

    /// The failure that an error response is.
    pub(super) fn refused_as(&self, method: Method, head: &Head, response: ServiceResponse) -> Failure {
        let (verb, subject) = self.subject();
        self.refused_about(verb, subject, method, head, response)
    }

    /// The failure that an error response about this subject is.
    pub(super) fn refused_about(
        &self,
        verb: &str,
        subject: &str,
        method: Method,
        head: &Head,
        response: ServiceResponse,
    ) -> Failure {
        let anonymous = self.store.settings.credentials.is_none();
        let class = service_error::classify(method, head, &response, anonymous);
        let mut what = String::from("the service responded ");
        what.push_str(&described(&response));
        if !class.advice.is_empty() {
            what.push_str(": ");
            what.push_str(&class.advice);
        }
        let mut failure = Error::failure(class.kind, self.sentence_about(verb, subject, &what));
        failure.attempts = self.state.progress.attempts;
        failure.subject = class.subject.map(Into::into);
        failure.response = Some(response);
        failure
    }

    /// A malformed response. Retried, as the cause may pass.
    pub(super) fn malformed(&self, malformed: MalformedResponse) -> Trouble {
        let failure = self.failure(Kind::Integrity, &format!("the response cannot be trusted: {}", malformed.0));
        Box::new(FailedAttempt { failure, next: Decision::Retry { after: None, not_applied: false } })
    }

    /// A request without a response.
    pub(super) fn transport_trouble(&self, error: TransportError) -> Trouble {
        let TransportError { kind, mut message, not_sent, retryable } = error;
        let next = if retryable { Decision::Retry { after: None, not_applied: not_sent } } else { Decision::Fail };
        if kind == Kind::Timeout && self.remaining().is_zero() {
            let FailedAttempt { failure, .. } = *self.out_of_time();
            return Box::new(FailedAttempt { failure, next });
        }
        if kind == Kind::Timeout {
            let settings = &self.store.settings;
            let (name, time) = match self.wait() {
                Wait::Long | Wait::LongOnce if settings.completion_timeout > settings.timeout => {
                    ("completion-timeout", settings.completion_timeout)
                }
                _ => ("timeout", settings.timeout),
            };
            message.push_str(&format!(" (the setting {name} is {} ms)", time.as_millis() as u64));
        }
        if kind == Kind::Integrity {
            return self.malformed(MalformedResponse(message));
        }
        Box::new(FailedAttempt { failure: self.failure(kind, &message), next })
    }

    /// A failure that a retry does not mend.
    pub(super) fn stop(&self, kind: Kind, what: &str) -> Trouble {
        Box::new(FailedAttempt { failure: self.failure(kind, what), next: Decision::Fail })
    }

    fn out_of_time(&self) -> Trouble {
        let limit = human(Duration::from_nanos(self.state.progress.limit));
        let mut failure = self.failure(Kind::Timeout, &format!("the call's time limit of {limit} ran out"));
        failure.retryable = true;
        Box::new(FailedAttempt { failure, next: Decision::Fail })
    }

    /// Maximum number of retries.
    pub(super) fn max_retries(&self) -> u32 {
        self.store.settings.max_retries.min(self.state.progress.max_retries)
    }

    /// What is left of the call's time.
    pub(super) fn remaining(&self) -> Duration {
        self.state.progress.remaining()
    }

    /// A failure of this call.
    pub(super) fn failure(&self, kind: Kind, what: &str) -> Failure {
        let mut failure = Error::failure(kind, self.sentence(what));
        failure.attempts = self.state.progress.attempts;
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
        let (scheme, most) =
            if self.store.settings.endpoint.https { ("https", "7 days") } else { ("http", "24 hours") };
        let way = if ahead { "ahead of" } else { "behind" };
        let (days, hours) = (apart / 86_400, apart / 3600 % 24);
        format!(
            "the service's clock is {days} days and {hours} hours {way} this machine's, and over {scheme} at most {most} are \
             corrected for: set this machine's clock, or the service's"
        )
    }

    /// The verb and the subject of the operation, for messages.
    pub(super) fn subject(&self) -> (&'static str, &str) {
        match (&self.state.stage, &self.state.operation) {
            (Stage::Single { index, .. }, Operation::DeleteMany { blobs, .. }) => {
                ("delete", blobs.get(*index as usize).map_or("", |blob| blob.key.as_str()))
            }
            (_, operation) => (operation.verb(), operation.subject()),
        }
    }

    pub(super) fn sentence(&self, what: &str) -> String {
        let (verb, subject) = self.subject();
        self.sentence_about(verb, subject, what)
    }

    /// A sentence that says what was attempted, where, and what happened.
    pub(super) fn sentence_about(&self, verb: &str, subject: &str, what: &str) -> String {
        let settings = &self.store.settings;
        let (bucket, at) = (&settings.bucket, &settings.endpoint.display);
        if self.state.operation.is_of_buckets() {
            let name = if subject.is_empty() { String::new() } else { format!(" \"{}\"", shown(subject)) };
            return format!("{verb}{name} at {at}: {what}");
        }
        let key = if subject.is_empty() && settings.key_prefix.is_empty() {
            String::new()
        } else {
            format!(" \"{}{}\"", shown(&settings.key_prefix), shown(subject))
        };
        format!("{verb}{key} in bucket \"{bucket}\" at {at}: {what}")
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
