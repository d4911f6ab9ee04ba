//! Operations whose requests the host sends itself: the plugin prepares each, and says what came of it. The bytes of bodies
//! go past it, and no instance is taken while a request is under way.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use tracing::Instrument;

use crate::bindings::exchanges::{self, Asked, Next, Operation, Outcome, Outgoing, Refusal, Settled, Tries};
use crate::body::Chunks;
use crate::calls::Calls;
use crate::error::{Error, Result};
use crate::sandbox::Ended;
use crate::transport::{Answer, Answered, BodyFault, Fault, Prepared, Progress, Source, Streamed};

/// How much of a refusal's own body is handed to the plugin, in bytes, and how long it may take to come: its status is
/// already known.
const REFUSAL: usize = 64 << 10;
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// What is sent with a request.
pub(crate) enum Payload<'a> {
    /// Nothing, and what comes is the plugin's to look at.
    None,
    /// Nothing, and what comes is the caller's to read.
    Reading,
    /// Bytes that are here, and can be sent again.
    Here(&'a Chunks),
    /// Pieces that come once.
    Once(Option<Streamed>, Fault),
}

/// An operation under way.
struct Exchange<'a> {
    calls: &'a Calls,
    name: &'static str,
    limit: Duration,
    began: Instant,
    /// Time that does not count: that in which bodies were sent.
    uncounted: Duration,
    _turn: SemaphorePermit<'a>,
}

/// What came of a try.
enum Tried {
    Settled(Settled, Option<Answer>),
    /// The refusal, and what the host has to say of it.
    Refused(Refusal, Option<String>),
}

impl Calls {
    /// Does an operation that may take so many nanoseconds: what it came to and, where that is read, the answer's body. For
    /// a plugin that has no requests to give, see [`lacks_requests`].
    pub(crate) fn exchange<'a>(
        &'a self,
        name: &'static str,
        (operation, asked): (&'a Operation, Asked),
        limit: Option<u64>,
        mut payload: Payload<'a>,
        progress: Option<Progress>,
    ) -> impl Future<Output = Result<(Settled, Option<Answer>)>> + Send + 'a {
        let span = tracing::debug_span!("exchange", operation = name, key = key_of(operation));
        let done = async move {
            let (limit, began) = (self.pool().limit(limit), Instant::now());
            let turn = self.pool().turn(name, limit).await?;
            let mut exchange = Exchange { calls: self, name, limit, began, uncounted: Duration::ZERO, _turn: turn };
            let (attempts, retries, maybe_done, skewed, skew) = (0, 0, false, false, 0);
            let mut tries = Tries { limit: nanos(limit), elapsed: 0, attempts, retries, maybe_done, skewed, skew };
            loop {
                let (refusal, words) = match exchange.attempt(operation, asked, tries, &mut payload, &progress).await? {
                    Tried::Settled(settled, body) => return Ok((settled, body)),
                    Tried::Refused(refusal, words) => (refusal, words),
                };
                tracing::debug!(error = refusal.error.message, again = refusal.again.is_some(), "a try failed");
                match refusal.again {
                    Some(again) if !matches!(payload, Payload::Once(None, _)) && !exchange.left().is_zero() => {
                        let pause = Duration::from_nanos(again.pause).min(exchange.left());
                        if !pause.is_zero() {
                            tokio::time::sleep(pause).await;
                        }
                        tries = Tries { limit: nanos(limit), ..again.tries };
                    }
                    _ => return Err(explained(refusal.error.into(), words)),
                }
            }
        };
        done.instrument(span)
    }
}

/// Whether an exchange ended because the plugin has no requests to give: then it does the operation by itself, or says what
/// else it does not support.
pub(crate) fn lacks_requests(error: &Error) -> bool {
    matches!(error, Error::Unsupported(told) if told.attempts == 0)
}

fn key_of(operation: &Operation) -> &str {
    match operation {
        Operation::Head(head) => &head.key,
        Operation::Read(read) => &read.key,
        Operation::Write(write) => &write.key,
        Operation::Part(part) => &part.key,
    }
}

impl Exchange<'_> {
    fn elapsed(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.uncounted)
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.elapsed())
    }

    async fn attempt(
        &mut self,
        operation: &Operation,
        asked: Asked,
        mut tries: Tries,
        payload: &mut Payload<'_>,
        progress: &Option<Progress>,
    ) -> Result<Tried> {
        tries.elapsed = nanos(self.elapsed());
        let outgoing = match self.step(operation, tries, None).await? {
            Ok(Next::Send(outgoing)) => outgoing,
            Ok(Next::Done(_)) => return Err(Error::plugin("the plugin is done with what it was to begin")),
            Err(refusal) => return Err(refusal.error.into()),
        };
        let plain = outgoing.plain;
        let source = match payload {
            Payload::None | Payload::Reading => Source::empty(),
            Payload::Here(chunks) => Source::Here(chunks.clone()),
            Payload::Once(streamed, _) => streamed.take().map_or_else(Source::empty, Source::Stream),
        };
        if self.calls.pool().has_other_calls() {
            // Those that are as far as this one go out together with it. The other side is then woken for all of them at
            // once, which on one machine costs more than the request itself.
            tokio::task::yield_now().await;
        }
        let sending = self.calls.pool().gate().send(prepared(outgoing), source, self.left(), progress.clone());
        let (answered, uncounted) = sending.answer().await;
        self.uncounted += uncounted;
        if let Payload::Once(_, fault) = payload
            && let Some(fault) = fault.take()
        {
            return Err(self.at_fault(operation, fault));
        }
        tries.elapsed = nanos(self.elapsed());
        let answer = match answered {
            Ok(answer) => answer,
            Err(trouble) => {
                tracing::debug!(trouble = %trouble.words, "request failed");
                let outcome = Outcome::Failed(trouble.failure());
                return match self.step(operation, tries, Some(&outcome)).await? {
                    Ok(next) => done(next, None),
                    Err(refusal) => Ok(Tried::Refused(refusal, Some(trouble.words))),
                };
            }
        };
        let Answered { status, headers, mut body } = answer;
        let success = (200..300).contains(&status);
        if plain
            && success
            && let Some(settled) = self.take(asked, status, &headers).await?
        {
            return Ok(Tried::Settled(settled, Some(body)));
        }
        let text = match payload {
            Payload::Reading if success => None,
            _ => Some(beginning(&mut body).await),
        };
        let outcome = Outcome::Answered(exchanges::Answer { status, headers, body: text });
        match self.step(operation, tries, Some(&outcome)).await? {
            Ok(next) => done(next, Some(body)),
            Err(refusal) => Ok(Tried::Refused(refusal, None)),
        }
    }

    async fn step(
        &self,
        operation: &Operation,
        tries: Tries,
        outcome: Option<&Outcome>,
    ) -> Result<std::result::Result<Next, Refusal>> {
        let mut lease = self.calls.pool().moment(self.name, self.limit, self.end()).await?;
        let (sandbox, store) = lease.instance()?.parts();
        let limits = self.calls.limits();
        let begun = sandbox.begin(self.name, limits, Some(self.left()), None);
        let ended =
            begun.run(pin!(sandbox.plugin.call_step(&mut sandbox.store, store, operation, tries, outcome))).await;
        match sandbox.end(&begun, limits, ended.map(|step| step.map(Ok))) {
            // What it says of requests of its own, the host may know better.
            Ended::Well(Ok(Err(mut refusal))) => {
                if let Some(words) = sandbox.refusal() {
                    refusal.error.message.push_str(&words);
                }
                lease.end(Ended::Well(Ok(Err(refusal))))
            }
            ended => lease.end(ended),
        }
    }

    async fn take(&self, asked: Asked, status: u16, headers: &str) -> Result<Option<Settled>> {
        let mut lease = self.calls.pool().moment(self.name, self.limit, self.end()).await?;
        let (sandbox, store) = lease.instance()?.parts();
        let limits = self.calls.limits();
        let begun = sandbox.begin(self.name, limits, Some(self.left()), None);
        let ended = begun.run(pin!(sandbox.plugin.call_take(&mut sandbox.store, store, asked, status, headers))).await;
        let ended = sandbox.end(&begun, limits, ended.map(|taken| taken.map(Ok)));
        lease.end(ended)
    }

    fn end(&self) -> Instant {
        self.began + self.uncounted + self.limit
    }

    /// The caller gave a body that is none.
    fn at_fault(&self, operation: &Operation, fault: BodyFault) -> Error {
        let key = key_of(operation);
        let length = if let Operation::Write(write) = operation { write.length } else { 0 };
        match fault {
            BodyFault::Reading(error) => {
                let doing = format!("{} \"{key}\": reading what is to be written", self.name);
                Error::Io { doing, source: std::sync::Arc::new(std::io::Error::other(error)) }
            }
            BodyFault::Length(what) => {
                let what = format!("the body {what} the {length} bytes announced");
                Error::InvalidArgument(self.calls.failure("body", self.name, key, &what))
            }
        }
    }
}

fn prepared(outgoing: Outgoing) -> Prepared {
    let Outgoing { method, https, authority, path_with_query, headers, patience, .. } = outgoing;
    let patience = Duration::from_nanos(patience);
    Prepared { method: method.into(), https, authority, path_with_query, headers, patience }
}

fn done(next: Next, body: Option<Answer>) -> Result<Tried> {
    match next {
        Next::Done(settled) => Ok(Tried::Settled(settled, body)),
        Next::Send(_) => Err(Error::plugin("the plugin begins what it was to end")),
    }
}

/// Puts the host's own words to what the plugin only knows as a kind of failure.
fn explained(mut error: Error, words: Option<String>) -> Error {
    if let Error::Network(failure) | Error::Timeout(failure) | Error::Integrity(failure) = &mut error
        && let Some(words) = words
    {
        failure.message.push_str(&format!(" ({words})"));
    }
    error
}

/// The beginning of an answer's body. That it breaks off is no matter.
async fn beginning(body: &mut Answer) -> Vec<u8> {
    let mut text = Vec::new();
    let read = async {
        while text.len() < REFUSAL
            && let Some(Ok(piece)) = std::future::poll_fn(|cx| body.poll_next(cx)).await
        {
            text.extend_from_slice(&piece[..piece.len().min(REFUSAL - text.len())]);
        }
    };
    // What came until then is what there is.
    let _ = tokio::time::timeout(REFUSAL_TIME, read).await;
    text
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
