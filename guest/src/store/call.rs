//! One call: its time, its tries, and its words when it fails.

use std::time::Duration;

use crate::checksum::Algorithm;
use crate::composed::hex;
use crate::content::Content;
use crate::env::{Body, Clock, Transport, TransportError, Waits};
use crate::error::{Answer, Error, Failure, Kind};
use crate::model::CallOptions;
use crate::request::{Method, Request};
use crate::response::{Garbled, Head};
use crate::retry::{self, Next};
use crate::service_error;
use crate::sigv4::PayloadHash;
use crate::time::AmzTime;

use super::{DEFAULT_TIME_LIMIT, Store};

/// How long an error's own body may take to come: its status is already known.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);

/// How much of a key is shown in messages, in bytes.
const SHOWN_KEY: usize = 200;

pub(super) struct Call<'a, E> {
    pub(super) store: &'a mut Store,
    pub(super) env: &'a mut E,
    /// What it is about: a key, or what keys begin with.
    pub(super) key: &'a str,
    pub(super) tries: Tries,
}

/// How a call has got on so far.
#[derive(Clone)]
pub(super) struct Tries {
    pub(super) operation: &'static str,
    pub(super) limit: Duration,
    pub(super) started: u64,
    pub(super) deadline: u64,
    /// This instant, where it has just been asked for.
    pub(super) now: Option<u64>,
    /// Requests sent so far.
    pub(super) attempts: u32,
    /// How many of those followed a failure.
    pub(super) retries: u32,
    /// How many may.
    pub(super) max_retries: u32,
    /// How long a request may wait for progress.
    pub(super) wait: Wait,
    /// Whether a request may have taken effect though its answer was no success.
    pub(super) maybe_done: bool,
    /// Whether the clock was corrected in this call.
    pub(super) skewed: bool,
}

impl Tries {
    /// Those of a call that began at this instant.
    pub(super) fn new(operation: &'static str, limit: Duration, started: u64) -> Tries {
        let deadline = started.saturating_add(nanos(limit));
        Tries {
            operation,
            limit,
            started,
            deadline,
            now: Some(started),
            attempts: 0,
            retries: 0,
            max_retries: u32::MAX,
            wait: Wait::Usual,
            maybe_done: false,
            skewed: false,
        }
    }

    /// Lets time pass that does not count.
    pub(super) fn extend(&mut self, nanos: u64) {
        self.deadline = self.deadline.saturating_add(nanos);
    }
}

/// How long a request waits for the service to make progress, and whether it is repeated after that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The setting `timeout`; repeated.
    Usual,
    /// The setting `completion-timeout`; repeated.
    Long,
    /// The setting `completion-timeout`. It is not repeated, as the service may still be at work on it.
    LongOnce,
}

/// How one try failed: behind a pointer, as a failure is.
pub(super) type Trouble = Box<Failed>;

pub(super) struct Failed {
    pub(super) failure: Failure,
    next: Next,
}

/// What is done with an answer that claims success.
pub(super) type Accept<'a, C, B> = dyn FnMut(&mut C, Head, B) -> Result<(), Trouble> + 'a;

impl<'a, E: Transport + Clock> Call<'a, E> {
    pub(super) fn start(
        store: &'a mut Store,
        env: &'a mut E,
        operation: &'static str,
        key: &'a str,
        options: &CallOptions,
    ) -> Self {
        let limit = options.time_limit.map_or(DEFAULT_TIME_LIMIT, Duration::from_nanos);
        let mut tries = Tries::new(operation, limit, env.now());
        tries.max_retries = options.max_retries.unwrap_or(u32::MAX);
        Call { store, env, key, tries }
    }

    /// Does this with requests that the service may work on for minutes.
    pub(super) fn waiting<T>(&mut self, wait: Wait, requests: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.tries.wait, wait);
        let done = requests(self);
        self.tries.wait = before;
        done
    }

    /// The whole key of what it is about.
    pub(super) fn whole_key(&self) -> Result<String, Failure> {
        self.checked(self.store.full_key(self.key))
    }

    /// What was made of this call's arguments; or why not, in words that say what was tried.
    pub(super) fn checked<T>(&self, mut made: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(fault) = &mut made {
            fault.message = self.sentence(&fault.message);
        }
        made
    }

    /// The hash to sign for this body: of its bytes, or of none where the transport is trusted with them.
    pub(super) fn payload(&self, content: &Content<'_>) -> PayloadHash {
        if self.store.settings.credentials.is_none() || content.length() == 0 {
            return PayloadHash::Empty;
        }
        match self.store.settings.signs_payload().then(|| content.digest(Algorithm::Sha256)).flatten() {
            Some(sum) => PayloadHash::Sha256(hex(&sum)),
            None => PayloadHash::Unsigned,
        }
    }

    /// Sends the request until it succeeds, fails for good, or tries or time run out.
    ///
    /// `accept` is given each answer with a status of the 200s.
    pub(super) fn run(
        &mut self,
        request: &mut Request,
        body: &[u8],
        payload: &PayloadHash,
        accept: &mut Accept<'_, Self, E::Body>,
    ) -> Result<(), Failure> {
        let unsigned = request.headers.len();
        loop {
            request.headers.truncate(unsigned);
            let trouble = match self.exchange(request, body, payload, accept) {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            };
            let (_, pause) = self.after(*trouble)?;
            self.pause(pause);
        }
    }

    /// Lets the time pass that is due before the next try.
    pub(super) fn pause(&mut self, time: Duration) {
        if !time.is_zero() {
            self.env.sleep(time);
        }
    }

    /// What follows a try that failed: a pause, and then another, of which the failure is told as it would be if there
    /// were none; or the end.
    pub(super) fn after(&mut self, trouble: Failed) -> Result<(Failure, Duration), Failure> {
        let Failed { mut failure, next } = trouble;
        let after = match next {
            Next::Stop => return Err(self.finish(failure, "")),
            Next::Skewed(date) => {
                let wall = self.env.wall();
                match retry::correction(date, wall, self.store.settings.endpoint.https) {
                    Ok(skew) => self.store.skew = skew,
                    Err(apart) => return Err(self.finish(failure, &self.clocks_differ(apart, date > wall))),
                }
                if self.tries.skewed {
                    return Err(self.finish(failure, ""));
                }
                self.tries.skewed = true;
                return Ok((failure, Duration::ZERO));
            }
            Next::Again { after, harmless } => {
                self.tries.maybe_done |= !harmless;
                after
            }
        };
        failure.retryable = true;
        if self.tries.wait == Wait::LongOnce && failure.kind == Kind::Timeout && self.tries.maybe_done {
            return Err(self.finish(failure, ""));
        }
        if self.tries.retries >= self.max_retries() {
            return Err(self.finish(failure, ""));
        }
        if let Some(after) = after.filter(|after| *after > retry::MAX_RETRY_AFTER) {
            let (asked, longest) = (after.as_secs(), retry::MAX_RETRY_AFTER.as_secs());
            let note = format!("it asks to wait {asked} s, and no call waits more than {longest} s: try again later");
            return Err(self.finish(failure, &note));
        }
        let pause = retry::pause(self.tries.retries, after, &mut self.store.rng);
        if pause >= self.remaining() {
            let over = self.remaining().is_zero();
            let note = if over { "" } else { "the call's time limit leaves no time for another try" };
            return Err(self.finish(failure, note));
        }
        self.tries.retries += 1;
        Ok((failure, pause))
    }

    /// One try.
    fn exchange(
        &mut self,
        request: &mut Request,
        body: &[u8],
        payload: &PayloadHash,
        accept: &mut Accept<'_, Self, E::Body>,
    ) -> Result<(), Trouble> {
        let waits = self.sign(request, payload)?;
        let answer = self.env.send(request, body, waits);
        self.settle(request.method, answer, accept)
    }

    /// Signs the request for a try that begins now, and says how long it may wait.
    pub(super) fn sign(&mut self, request: &mut Request, payload: &PayloadHash) -> Result<Waits, Trouble> {
        // The first try begins with the call.
        let now = self.tries.now.take().unwrap_or_else(|| self.env.now());
        if now >= self.tries.deadline {
            return Err(self.out_of_time());
        }
        if let Some(credentials) = &self.store.settings.credentials {
            let date = self.store.service_time(self.env.wall());
            // Where bodies are not signed, that there is none need not be either, and less has to be hashed.
            let payload = if self.store.settings.signs_payload() { payload } else { &PayloadHash::Unsigned };
            self.store.signer.sign(request, credentials, payload, AmzTime::from_secs(date));
        }
        self.tries.attempts = self.tries.attempts.saturating_add(1);
        Ok(self.waits(now))
    }

    /// How long to wait from this instant on.
    pub(super) fn waits(&self, now: u64) -> Waits {
        let (timeout, deadline) = (self.store.settings.timeout, self.tries.deadline);
        let long = self.store.settings.completion_timeout;
        if self.tries.wait != Wait::Usual && long > timeout {
            Waits { idle: long, deadline, now, long: true }
        } else {
            Waits { idle: timeout, deadline, now, long: false }
        }
    }

    /// What came of a try; or why nothing did, and the pause after which another may be made.
    pub(super) fn tried<B: Body>(
        &mut self,
        method: Method,
        answer: Result<(Head, B), TransportError>,
        accept: &mut Accept<'_, Self, B>,
    ) -> Result<(), (Failure, Option<Duration>)> {
        let settled = self.settle(method, answer, accept);
        settled.map_err(|trouble| match self.after(*trouble) {
            Ok((failure, pause)) => (failure, Some(pause)),
            Err(failure) => (failure, None),
        })
    }

    /// What becomes of a try that was answered, or was not.
    fn settle<B: Body>(
        &mut self,
        method: Method,
        answer: Result<(Head, B), TransportError>,
        accept: &mut Accept<'_, Self, B>,
    ) -> Result<(), Trouble> {
        let (head, mut answer_body) = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(self.transport_trouble(error)),
        };
        head.check_size().map_err(|garbled| self.garbled(garbled))?;
        if (200..300).contains(&head.status) {
            return accept(self, head, answer_body);
        }
        let text =
            if method == Method::Head || head.status == 304 { Vec::new() } else { self.error_body(&mut answer_body) };
        Err(self.refused(method, &head, &text))
    }

    /// The trouble that a refusal by the service is.
    pub(super) fn refused(&self, method: Method, head: &Head, body: &[u8]) -> Trouble {
        let now = self.store.service_time(self.env.wall());
        let signed = self.store.settings.credentials.is_some();
        let answer = service_error::answer(head, body, &self.store.settings.region);
        let next = retry::decide(head, &answer, now, signed);
        Box::new(Failed { failure: self.refused_as(method, head, answer), next })
    }

    /// The failure that a refusal in these words is.
    pub(super) fn refused_as(&self, method: Method, head: &Head, answer: Answer) -> Failure {
        let anonymous = self.store.settings.credentials.is_none();
        let verdict = service_error::verdict(method, head, &answer, anonymous);
        let mut what = String::from("the service answered ");
        what.push_str(&words_of(&answer));
        if !verdict.advice.is_empty() {
            what.push_str(": ");
            what.push_str(&verdict.advice);
        }
        let mut failure = self.failure(verdict.kind, &what);
        failure.subject = verdict.subject.map(Into::into);
        failure.answer = Some(answer);
        failure
    }

    /// Reads what there is of an error's body. That it breaks off is no matter: the status is known.
    pub(super) fn error_body(&mut self, body: &mut impl Body) -> Vec<u8> {
        body.hurry(self.env.now().saturating_add(nanos(ERROR_BODY_TIME)));
        let mut text = Vec::new();
        while text.len() < service_error::MAX_BODY
            && let Ok(Some(more)) = body.read(service_error::MAX_BODY - text.len())
        {
            text.extend_from_slice(&more);
        }
        text
    }

    /// An answer that is not what was announced or cannot be: tried again, as what garbled it may be passing.
    pub(super) fn garbled(&self, garbled: Garbled) -> Trouble {
        let failure = self.failure(Kind::Integrity, &format!("the answer cannot be trusted: {}", garbled.0));
        Box::new(Failed { failure, next: Next::Again { after: None, harmless: false } })
    }

    pub(super) fn transport_trouble(&self, error: TransportError) -> Trouble {
        if error.kind == Kind::Timeout && self.remaining().is_zero() {
            let Failed { failure, .. } = *self.out_of_time();
            return Box::new(Failed { failure, next: Next::Again { after: None, harmless: error.unsent } });
        }
        let failure = self.failure(error.kind, &error.message);
        let next = if error.retryable { Next::Again { after: None, harmless: error.unsent } } else { Next::Stop };
        Box::new(Failed { failure, next })
    }

    /// A failure that no further try will mend.
    pub(super) fn stop(&self, kind: Kind, what: &str) -> Trouble {
        Box::new(Failed { failure: self.failure(kind, what), next: Next::Stop })
    }

    fn out_of_time(&self) -> Trouble {
        let mut failure =
            self.failure(Kind::Timeout, &format!("the call's time limit of {} ran out", human(self.tries.limit)));
        failure.retryable = true;
        Box::new(Failed { failure, next: Next::Stop })
    }

    /// How many requests may be sent again after a failure.
    pub(super) fn max_retries(&self) -> u32 {
        self.store.settings.max_retries.min(self.tries.max_retries)
    }

    /// What is left of the call's time.
    pub(super) fn remaining(&self) -> Duration {
        Duration::from_nanos(self.tries.deadline.saturating_sub(self.env.now()))
    }

    /// A failure of this call.
    pub(super) fn failure(&self, kind: Kind, what: &str) -> Failure {
        let mut failure = Error::failure(kind, self.sentence(what));
        failure.attempts = self.tries.attempts;
        failure
    }

    /// Brings the number of tries into a failure's words, where there were several.
    fn finish(&self, mut failure: Failure, note: &str) -> Failure {
        failure.attempts = self.tries.attempts;
        if !note.is_empty() {
            failure.message.push_str("; ");
            failure.message.push_str(note);
        }
        if self.tries.attempts > 1 {
            let took = Duration::from_nanos(self.env.now().saturating_sub(self.tries.started));
            failure.message.push_str(&format!(" ({} requests in {})", self.tries.attempts, human(took)));
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

    fn sentence(&self, what: &str) -> String {
        let settings = &self.store.settings;
        let key = if self.key.is_empty() && settings.key_prefix.is_empty() {
            String::new()
        } else {
            format!(" \"{}{}\"", shown(&settings.key_prefix), shown(self.key))
        };
        let (bucket, at) = (&settings.bucket, &settings.endpoint.display);
        format!("{}{key} in bucket \"{bucket}\" at {at}: {what}", self.tries.operation)
    }
}

/// `403 AccessDenied ("words", request id X)`.
fn words_of(answer: &Answer) -> String {
    let mut words = answer.status.to_string();
    if let Some(code) = &answer.code {
        words.push(' ');
        words.push_str(code);
    }
    let message = answer.message.as_ref().map(|message| format!("\"{message}\""));
    let id = answer.request_id.as_ref().map(|id| format!("request id {id}"));
    match (message, id) {
        (Some(message), Some(id)) => words.push_str(&format!(" ({message}, {id})")),
        (Some(one), None) | (None, Some(one)) => words.push_str(&format!(" ({one})")),
        (None, None) => {}
    }
    words
}

/// A key as messages show it: control characters escaped, and cut where it is long.
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

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
