//! Operations whose requests the host sends itself: the plugin prepares each, and says what came of it. The bytes of bodies
//! go past it, and no instance is taken while a request is under way.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use tracing::Instrument;

use crate::bindings::exchanges::{
    self, Asked, Next, Operation, Outcome, Outgoing, Received, Refusal, Settled, Tries, Turn,
};
use crate::body::Chunks;
use crate::calls::Calls;
use crate::deadline;
use crate::error::{Error, Result};
use crate::pool::Lease;
use crate::sandbox::Ended;
use crate::together::Together;
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

/// An operation, and what is next.
type Stepped = (Turn, std::result::Result<Next, Refusal>);

/// What came of a try.
enum Tried {
    Settled(Settled, Option<Answer>),
    /// The operation, the refusal, and what the host has to say of it.
    Refused(Operation, Refusal, Option<String>),
}

impl Calls {
    /// Does an operation that may take so many nanoseconds: what it came to and, where that is read, the answer's body. For
    /// a plugin that has no requests to give, see [`lacks_requests`].
    pub(crate) fn exchange<'a>(
        &'a self,
        name: &'static str,
        (mut operation, asked): (Operation, Asked),
        limit: Option<u64>,
        mut payload: Payload<'a>,
        progress: Option<Progress>,
    ) -> impl Future<Output = Result<(Settled, Option<Answer>)>> + Send + 'a {
        let span = tracing::debug_span!("exchange", operation = name, key = key_of(&operation));
        let done = async move {
            let (limit, began) = (self.pool().limit(limit), Instant::now());
            let turn = self.pool().turn(name, limit).await?;
            let mut exchange = Exchange { calls: self, name, limit, began, uncounted: Duration::ZERO, _turn: turn };
            let (attempts, retries, maybe_done, skewed, skew) = (0, 0, false, false, 0);
            let mut tries = Tries { limit: nanos(limit), elapsed: 0, attempts, retries, maybe_done, skewed, skew };
            loop {
                tries.elapsed = nanos(exchange.elapsed());
                // Behind a pointer: an argument has its room in the future for as long as that lasts.
                let turn = Box::new(Turn { operation, tries, outcome: None });
                let (refusal, words) = match exchange.attempt(turn, asked, &mut payload, &progress).await? {
                    Tried::Settled(settled, body) => return Ok((settled, body)),
                    Tried::Refused(same, refusal, words) => {
                        operation = same;
                        (refusal, words)
                    }
                };
                tracing::debug!(error = refusal.error.message, again = refusal.again.is_some(), "a try failed");
                match refusal.again {
                    Some(again) if !matches!(payload, Payload::Once(None, _)) && !exchange.left().is_zero() => {
                        let pause = Duration::from_nanos(again.pause).min(exchange.left());
                        if !pause.is_zero() {
                            deadline::sleep(pause).await;
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

impl<'a> Exchange<'a> {
    fn elapsed(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.uncounted)
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.elapsed())
    }

    async fn attempt(
        &mut self,
        turn: Box<Turn>,
        asked: Asked,
        payload: &mut Payload<'_>,
        progress: &Option<Progress>,
    ) -> Result<Tried> {
        let (mut turn, next) = self.step(*turn).await?;
        let outgoing = match next {
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
        let sending = self.calls.pool().gate().send(prepared(outgoing), source, self.left(), progress.clone());
        let (answered, uncounted) = sending.answer().await;
        self.uncounted += uncounted;
        if let Payload::Once(_, fault) = payload
            && let Some(fault) = fault.take()
        {
            return Err(self.at_fault(&turn.operation, fault));
        }
        turn.tries.elapsed = nanos(self.elapsed());
        let answer = match answered {
            Ok(answer) => answer,
            Err(trouble) => {
                tracing::debug!(trouble = %trouble.words, "request failed");
                turn.outcome = Some(Outcome::Failed(trouble.failure()));
                return self.settled(turn, None, Some(trouble.words)).await;
            }
        };
        let Answered { status, mut headers, mut body } = answer;
        let success = (200..300).contains(&status);
        if plain && success {
            let (received, settled) = self.take(Received { asked, status, headers }).await?;
            if let Some(settled) = settled {
                return Ok(Tried::Settled(settled, Some(body)));
            }
            headers = received.headers;
        }
        let text = match payload {
            Payload::Reading if success => None,
            _ => Some(beginning(&mut body).await),
        };
        turn.outcome = Some(Outcome::Answered(exchanges::Answer { status, headers, body: text }));
        self.settled(turn, Some(body), None).await
    }

    /// What an outcome comes to that `take` does not know.
    fn settled(
        &self,
        turn: Turn,
        body: Option<Answer>,
        words: Option<String>,
    ) -> impl Future<Output = Result<Tried>> + Send + use<'a> {
        let step = self.step(turn);
        async move {
            match step.await? {
                (_, Ok(Next::Done(settled))) => Ok(Tried::Settled(settled, body)),
                (_, Ok(Next::Send(_))) => Err(Error::plugin("the plugin begins what it was to end")),
                (turn, Err(refusal)) => Ok(Tried::Refused(turn.operation, refusal, words)),
            }
        }
    }

    fn step(&self, turn: Turn) -> impl Future<Output = Result<Stepped>> + Send + use<'a> {
        // What a request came to can take requests of the plugin's own, for which others are not to wait.
        let alone = turn.outcome.is_some() || self.calls.pool().calls_under_way() < 2;
        self.calls.pool().steps().ask(turn, alone, Steps(self.moment()))
    }

    fn take(&self, received: Received) -> impl Future<Output = Result<(Received, Option<Settled>)>> + Send + use<'a> {
        let alone = self.calls.pool().calls_under_way() < 2;
        self.calls.pool().takes().ask(received, alone, Takes(self.moment()))
    }

    fn moment(&self) -> Moment<'a> {
        let Exchange { calls, name, limit, .. } = *self;
        Moment { calls, name, limit, end: self.began + self.uncounted + limit }
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

/// Where an operation asks the plugin, for itself and others.
struct Moment<'a> {
    calls: &'a Calls,
    name: &'static str,
    limit: Duration,
    end: Instant,
}

impl Moment<'_> {
    async fn lease(&self) -> Result<(Lease<'_>, Duration)> {
        let lease = self.calls.pool().moment(self.name, self.limit, self.end).await?;
        Ok((lease, self.end.saturating_duration_since(Instant::now())))
    }
}

/// The steps of operations.
struct Steps<'a>(Moment<'a>);

impl Together for Steps<'_> {
    type Question = Turn;
    type Answer = std::result::Result<Next, Refusal>;

    async fn ask(&self, turns: &[Turn]) -> Result<Vec<Self::Answer>> {
        let limits = self.0.calls.limits();
        let (mut lease, left) = self.0.lease().await?;
        let (sandbox, store) = lease.instance()?.parts();
        let begun = sandbox.begin(self.0.name, limits, Some(left), None);
        let ended = begun.run(pin!(sandbox.plugin.call_step(&mut sandbox.store, store, turns))).await;
        let mut ended = sandbox.end(&begun, limits, ended.map(|steps| steps.map(Ok)));
        // What it says of requests of its own, the host may know better.
        if let Ended::Well(Ok(steps)) = &mut ended
            && let [Err(refusal)] = &mut steps[..]
            && let Some(words) = sandbox.refusal()
        {
            refusal.error.message.push_str(&words);
        }
        lease.end(ended)
    }
}

/// What answers come to.
struct Takes<'a>(Moment<'a>);

impl Together for Takes<'_> {
    type Question = Received;
    type Answer = Option<Settled>;

    async fn ask(&self, answers: &[Received]) -> Result<Vec<Self::Answer>> {
        let limits = self.0.calls.limits();
        let (mut lease, left) = self.0.lease().await?;
        let (sandbox, store) = lease.instance()?.parts();
        let begun = sandbox.begin(self.0.name, limits, Some(left), None);
        let ended = begun.run(pin!(sandbox.plugin.call_take(&mut sandbox.store, store, answers))).await;
        let ended = sandbox.end(&begun, limits, ended.map(|taken| taken.map(Ok)));
        lease.end(ended)
    }
}

fn prepared(outgoing: Outgoing) -> Prepared {
    let Outgoing { method, https, authority, path_with_query, headers, patience, .. } = outgoing;
    let patience = Duration::from_nanos(patience);
    Prepared { method: method.into(), https, authority, path_with_query, headers, patience }
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
    let _ = deadline::timeout(REFUSAL_TIME, read).await;
    text
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
