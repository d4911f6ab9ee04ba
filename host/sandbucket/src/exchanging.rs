//! Operations whose requests the host sends itself: the plugin prepares each, and says what came of it. The bytes of bodies
//! go past it, and no instance is taken while a request is under way.

use std::pin::pin;
use std::time::{Duration, Instant};

use http::Method;
use tokio::sync::SemaphorePermit;
use tracing::Instrument;

use crate::bindings::exchanges::{self, Asked, Operation, Outcome, Outgoing, Received, Retry, Tries, Turn};
use crate::bindings::{Output, Step};
use crate::body::Chunks;
use crate::calls::Calls;
use crate::deadline;
use crate::error::{Error, Result};
use crate::pool::Lease;
use crate::retry_quota::Taken;
use crate::sandbox::{Begun, Bounds, Ended};
use crate::together::{Together, miscounted};
use crate::transport::{Alarm, Answer, Answered, BodyFault, Fault, Prepared, Progress, Purpose, Source, Streamed};

/// How much of a refusal's own body is handed to the plugin, in bytes, and how long it may take to come: its status is
/// already known.
const REFUSAL: usize = 64 << 10;
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// Requests that one operation may send. The retry policy is the plugin's, and this is its bound: more than any setting asks for
/// (`max-retries` is at most 100).
const MAX_ATTEMPTS: u32 = 128;
/// Requests that may follow one another as soon as the plugin likes. Before each further one is a pause of at least
/// [`MIN_BACKOFF`], which doubles up to [`MAX_BACKOFF`].
const FREE_ATTEMPTS: u32 = 4;
const MIN_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// How much longer than its operation's time a step waits for the batch of another.
const TIMEOUT_GRACE: Duration = Duration::from_secs(5);

/// Why there is no retry.
const OUT_OF_RETRIES: &str =
    "not tried again: so many requests of this store failed lately that its retry quota is used up";

/// The methods of requests that the plugin sends itself in a step: it looks what became of a write.
const LOOKING: &[Method] = &[Method::GET, Method::HEAD];

/// The share of its CPU time, one part in so many, after which an operation is no longer batched with others: its steps are then
/// stopped at what is left of the time, to the tick.
const HEAVY: u32 = 8;

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
    /// CPU time that the operation's steps have used. A batch is charged to its operations in equal parts.
    cpu_used: Duration,
    /// Requests of the plugin's own in its steps.
    requests: usize,
    /// Whether a batch with one of its steps failed: since then it is alone.
    failed_batch: bool,
    _turn: SemaphorePermit<'a>,
}

/// What the plugin answered, and what it used for it.
pub(crate) struct Charged<A> {
    answer: A,
    cpu: Duration,
    /// Requests of the plugin's own.
    requests: usize,
}

/// A question that the plugin was asked, the answer to it, and whether a batch with it failed before.
type Charges<Q, A> = (Q, Charged<Result<A>>, bool);

/// Outcome of a single request attempt.
enum Attempt {
    Done(Output, Option<Answer>),
    /// The operation, the error and the next attempt, and the host's own words on it.
    Failed(Operation, Error, Option<Retry>, Option<String>),
}

impl Calls {
    /// Does an operation that may take so many nanoseconds: what it came to and, where that is read, the response's body. Only
    /// for a plugin that prepares requests: see [`Pool::prepares_requests`](crate::pool::Pool::prepares_requests).
    pub(crate) fn exchange<'a>(
        &'a self,
        name: &'static str,
        (mut operation, asked): (Operation, Asked),
        limit: Option<u64>,
        mut payload: Payload<'a>,
        progress: Option<Progress>,
    ) -> impl Future<Output = Result<(Output, Option<Answer>)>> + Send + 'a {
        let span = tracing::debug_span!("exchange", operation = name, key = key_of(&operation));
        let done = async move {
            let (limit, began) = (self.pool().limit(limit), Instant::now());
            let turn = self.pool().turn(name, limit).await?;
            let zero = Duration::ZERO;
            let mut exchange = Exchange {
                calls: self,
                name,
                limit,
                began,
                uncounted: zero,
                cpu_used: zero,
                requests: 0,
                failed_batch: false,
                _turn: turn,
            };
            let (mut sent, mut quota) = (0, Taken::default());
            let (attempts, retries, maybe_done, skewed, skew) = (0, 0, false, false, 0);
            let mut tries = Tries { limit: nanos(limit), elapsed: 0, attempts, retries, maybe_done, skewed, skew };
            loop {
                tries.elapsed = nanos(exchange.elapsed());
                // Behind a pointer: an argument has its room in the future for as long as that lasts.
                let turn = Box::new(Turn { operation, tries, outcome: None });
                let attempt = exchange.attempt(turn, asked, &mut payload, &progress).await?;
                sent += 1;
                let (error, again, words) = match attempt {
                    Attempt::Done(output, body) => {
                        self.pool().retries().succeeded(quota);
                        return Ok((output, body));
                    }
                    Attempt::Failed(same, error, again, words) => {
                        operation = same;
                        (error, again, words)
                    }
                };
                tracing::debug!(%error, retry = again.is_some(), "attempt failed");
                let may_retry = sent < MAX_ATTEMPTS && !matches!(payload, Payload::Once(None, _));
                match again {
                    Some(again) if may_retry && !exchange.left().is_zero() => {
                        let Some(taken) = self.pool().retries().take(&error) else {
                            return Err(explained(error, Some(OUT_OF_RETRIES.to_owned())));
                        };
                        quota = taken;
                        let pause = Duration::from_nanos(again.pause).max(least_pause(sent)).min(exchange.left());
                        if !pause.is_zero() {
                            deadline::sleep(pause).await;
                        }
                        tries = Tries { limit: nanos(limit), ..again.tries };
                    }
                    _ => return Err(explained(error, words)),
                }
            }
        };
        done.instrument(span)
    }
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
    ) -> Result<Attempt> {
        let step = self.step(*turn);
        let (mut turn, step, failed_batch) = step.await?;
        let outgoing = match self.charge(step, failed_batch)?? {
            Step::Send(outgoing) => outgoing,
            Step::Done(_) => return Err(Error::plugin("the plugin is done with what it was to begin")),
            Step::Failed(error, _) => return Err(error),
        };
        let plain = outgoing.plain;
        let source = match payload {
            Payload::None | Payload::Reading => Source::empty(),
            Payload::Here(chunks) => Source::Here(chunks.clone()),
            Payload::Once(streamed, _) => streamed.take().map_or_else(Source::empty, Source::Stream),
        };
        let prepared = prepared(outgoing, purpose(asked));
        let gate = self.calls.pool().gate();
        if let Some(rate) = gate.rate() {
            let delay = rate.delay();
            if !delay.is_zero() {
                Box::pin(deadline::sleep(delay.min(self.left()))).await;
            }
        }
        let sending = gate.send(prepared, source, self.left(), progress.clone());
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
                let trouble = trouble.sanitized();
                tracing::debug!(trouble = %trouble.words, "request failed");
                turn.outcome = Some(Outcome::Failed(trouble.failure()));
                return self.resume(turn, None, Some(trouble.words)).await;
            }
        };
        let Answered { status, mut headers, mut body } = answer;
        if let Some(rate) = gate.rate() {
            rate.responded(status);
        }
        let success = (200..300).contains(&status);
        if plain && success {
            let taken = self.take(Received { asked, status, headers });
            let (received, taken, failed_batch) = taken.await?;
            if let Some(output) = self.charge(taken, failed_batch)?? {
                return Ok(Attempt::Done(output, Some(body)));
            }
            headers = received.headers;
        }
        let text = match payload {
            Payload::Reading if success => None,
            _ => Some(beginning(&mut body).await),
        };
        turn.outcome = Some(Outcome::Answered(exchanges::Answer { status, headers, body: text }));
        self.resume(turn, Some(body), None).await
    }

    /// What an outcome comes to that `take` does not know.
    async fn resume(&mut self, turn: Turn, body: Option<Answer>, words: Option<String>) -> Result<Attempt> {
        let step = self.step(turn);
        let (turn, step, failed_batch) = step.await?;
        match self.charge(step, failed_batch)?? {
            Step::Done(output) => Ok(Attempt::Done(output, body)),
            Step::Send(_) => Err(Error::plugin("the plugin begins what it was to end")),
            Step::Failed(error, again) => Ok(Attempt::Failed(turn.operation, error, again, words)),
        }
    }

    fn step(&self, turn: Turn) -> impl Future<Output = Result<Charges<Turn, Step>>> + Send + use<'a> {
        // What a request came to can take requests of the plugin's own, for which others are not to wait.
        let alone = turn.outcome.is_some() || self.is_alone();
        self.calls.pool().steps().ask(turn, alone, Steps(self.moment(alone)))
    }

    fn take(
        &self,
        received: Received,
    ) -> impl Future<Output = Result<Charges<Received, Option<Output>>>> + Send + use<'a> {
        let alone = self.is_alone();
        self.calls.pool().takes().ask(received, alone, Takes(self.moment(alone)))
    }

    /// Whether the operation has used much CPU time.
    fn is_heavy(&self) -> bool {
        self.cpu_used > self.calls.limits().cpu_time / HEAVY
    }

    /// Whether the operation's steps are not batched: no other is in flight, or it has used much CPU time.
    fn is_alone(&self) -> bool {
        self.is_heavy() || self.failed_batch || self.requests > 0 || self.calls.pool().calls_under_way() < 2
    }

    /// Charges a step to the operation, which ends here if it has used up its CPU time.
    fn charge<A>(&mut self, step: Charged<A>, failed_batch: bool) -> Result<A> {
        self.cpu_used += step.cpu;
        self.requests += step.requests;
        self.failed_batch |= failed_batch;
        let limit = self.calls.limits().cpu_time;
        if self.cpu_used > limit { Err(Error::OutOfTime { operation: self.name, limit }) } else { Ok(step.answer) }
    }

    fn moment(&self, alone: bool) -> Moment<'a> {
        let Exchange { calls, name, limit, .. } = *self;
        let (cpu_used, requests) = if alone { (self.cpu_used, self.requests) } else { (Duration::ZERO, 0) };
        Moment { calls, name, limit, end: self.began + self.uncounted + limit, cpu_used, requests }
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
    /// What the operation has used before; zero for a batch.
    cpu_used: Duration,
    requests: usize,
}

impl Moment<'_> {
    fn deadline(&self) -> Option<(Alarm, tokio::time::Instant)> {
        Some((self.calls.pool().gate().alarm(), (self.end + TIMEOUT_GRACE).into()))
    }

    fn overdue(&self) -> Error {
        Error::Overdue { operation: self.name, limit: self.limit }
    }

    async fn lease(&self, operations: usize) -> Result<(Lease<'_>, Bounds)> {
        let lease = self.calls.pool().moment(self.name, self.limit, self.end).await?;
        let time = Some(self.end.saturating_duration_since(Instant::now()));
        let cpu_used = self.cpu_used + lease.cpu_used();
        Ok((lease, Bounds { time, cpu_used, requests: self.requests, operations, methods: LOOKING }))
    }

    /// Charges a guest call to the operations that it was made for, in equal parts.
    fn charged<A>(&self, answers: Vec<A>, begun: &Begun, requests: usize) -> Vec<Charged<A>> {
        let count = u32::try_from(answers.len()).unwrap_or(u32::MAX).max(1);
        let cpu = begun.cpu_used().saturating_sub(self.cpu_used) / count;
        let requests = requests.saturating_sub(self.requests);
        answers.into_iter().map(|answer| Charged { answer, cpu, requests }).collect()
    }
}

/// The steps of operations.
struct Steps<'a>(Moment<'a>);

impl Together for Steps<'_> {
    type Question = Turn;
    type Answer = Charged<Result<Step>>;

    fn deadline(&self) -> Option<(Alarm, tokio::time::Instant)> {
        self.0.deadline()
    }

    fn overdue(&self) -> Error {
        self.0.overdue()
    }

    async fn ask(&self, turns: &[Turn]) -> Result<Vec<Self::Answer>> {
        let limits = self.0.calls.limits();
        let (mut lease, bounds) = self.0.lease(turns.len()).await?;
        let (sandbox, store) = lease.instance()?.parts();
        let begun = sandbox.begin(self.0.name, limits, bounds, None);
        let ended = begun.run(pin!(sandbox.plugin.call_step(&mut sandbox.store, store, turns))).await;
        let mut ended = sandbox.end(&begun, limits, ended.map(|steps| steps.map(Ok)));
        // What it says of requests of its own, the host may know better.
        if let Ended::Well(Ok(steps)) = &mut ended
            && let [Ok(Step::Failed(error, _))] = &mut steps[..]
        {
            sandbox.explain(error);
        }
        let requests = sandbox.requests();
        lease.end(counted(ended, turns.len())).map(|steps| self.0.charged(steps, &begun, requests))
    }
}

/// What answers come to.
struct Takes<'a>(Moment<'a>);

impl Together for Takes<'_> {
    type Question = Received;
    type Answer = Charged<Result<Option<Output>>>;

    fn deadline(&self) -> Option<(Alarm, tokio::time::Instant)> {
        self.0.deadline()
    }

    fn overdue(&self) -> Error {
        self.0.overdue()
    }

    async fn ask(&self, answers: &[Received]) -> Result<Vec<Self::Answer>> {
        let limits = self.0.calls.limits();
        let (mut lease, bounds) = self.0.lease(answers.len()).await?;
        let (sandbox, store) = lease.instance()?.parts();
        let begun = sandbox.begin(self.0.name, limits, bounds, None);
        let ended = begun.run(pin!(sandbox.plugin.call_take(&mut sandbox.store, store, answers))).await;
        let ended = sandbox.end(&begun, limits, ended.map(|taken| taken.map(Ok)));
        let requests = sandbox.requests();
        lease.end(counted(ended, answers.len())).map(|taken| self.0.charged(taken, &begun, requests))
    }
}

/// An instance that gives more or fewer answers than it was asked for is not used again.
fn counted<A>(ended: Ended<Vec<A>>, expected: usize) -> Ended<Vec<A>> {
    match ended {
        Ended::Well(Ok(answers)) if answers.len() != expected => Ended::Badly(miscounted()),
        ended => ended,
    }
}

/// What the requests of an operation are for, which says what they may look like.
fn purpose(asked: Asked) -> Purpose {
    match asked {
        Asked::Head => Purpose::Head,
        Asked::Read(_) => Purpose::Read,
        Asked::Write | Asked::Part(_) => Purpose::Write,
    }
}

pub(crate) fn prepared(outgoing: Outgoing, purpose: Purpose) -> Prepared {
    let Outgoing { method, https, authority, path_with_query, headers, patience, .. } = outgoing;
    let patience = Duration::from_nanos(patience);
    Prepared { purpose, method: method.into(), https, authority, path_with_query, headers, patience }
}

/// Puts the host's own words to what the plugin only knows as a kind of failure.
fn explained(mut error: Error, words: Option<String>) -> Error {
    if let Error::Network(failure)
    | Error::Timeout(failure)
    | Error::Integrity(failure)
    | Error::Throttled(failure)
    | Error::Service(failure) = &mut error
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

/// The shortest pause after so many requests.
fn least_pause(sent: u32) -> Duration {
    match sent.checked_sub(FREE_ATTEMPTS) {
        None => Duration::ZERO,
        Some(further) => (MIN_BACKOFF * 2u32.pow(further.min(16))).min(MAX_BACKOFF),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
