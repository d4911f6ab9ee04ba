//! The driver: runs an operation of the contract to its end.
//!
//! With a plugin that exports `sans-io`, the plugin makes each request and interprets each response, and the driver sends it: bodies
//! go past the sandbox, and no instance is held while a request is in flight. [`wasi`] runs the same operations on a plugin that
//! sends its requests itself.
//!
//! The retry policy is the plugin's. The driver bounds it: requests per operation, pauses, the store's retry quota, and the
//! operation's deadline.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::SemaphorePermit;
use tracing::{Instrument, Span, field};

mod batch;
mod operation;
mod retry_quota;
#[cfg(test)]
mod tests;
mod wasi;

use batch::{BatchCall, Batcher, miscounted};
pub(crate) use operation::Operation;
use operation::{Describe, OperationBounds};
use retry_quota::{RetryQuota, Taken};

use crate::error::{Error, Result};
use crate::http::{
    BodyFault, Fault, HttpError, HttpErrorKind, Prepared, Progress, Received, ResponseBody, Source, Streamed, Timer,
};
use crate::sandbox::bindings::sans_io::{
    Event, Exchange, Method, Request, RequestBody, Response, ResponseBody as WantedBody, Resumption, TransportError,
    TransportFailure,
};
use crate::sandbox::bindings::{Next, Output};
use crate::sandbox::pool::{Lease, Pool};
use crate::sandbox::{Bounds, CallGuard, CallOutcome};
use crate::support::deadline;
use crate::support::deadline::nanos;
use crate::telemetry::CallRecord;
use crate::types::body::Chunks;
use crate::types::digest::DigestAlgorithm;

/// Bytes of the body of a response that is no success, and how long it may take to arrive: its status is already known.
const ERROR_BODY: usize = 64 << 10;
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// Bytes of the body of a success that the plugin may ask for: a page of 1,000 keys of 1 KiB, each byte escaped, is 3 MiB.
const MAX_BUFFERED: usize = 16 << 20;
/// Bytes that are reserved for such a body at once.
const RESERVED: usize = 1 << 20;

/// Before each request beyond those that are free is a pause of at least [`MIN_BACKOFF`], which doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// Requests that an operation may still ask for when its time is over, such as to determine the outcome of a write. They fail
/// without being sent.
const LATE_REQUESTS: u32 = 4;

/// How much longer than its operation's time a step waits for the batch of another.
const TIMEOUT_GRACE: Duration = Duration::from_secs(5);

/// Why there is no retry.
const OUT_OF_RETRIES: &str =
    "not tried again: so many requests of this store failed lately that its retry quota is used up";

/// The share of its CPU time, one part in so many, after which an operation is no longer batched with others: its steps are then
/// stopped at what is left of the time, to the tick.
const HEAVY: u32 = 8;

/// A body, or the memory for a request, from which on a step is not batched: the plugin's memory has to hold a batch.
const LARGE_BODY: usize = 64 << 10;
const LARGE_REQUEST: usize = 1 << 20;

/// How often an operation is run again with other credentials. More than once only if they change meanwhile as often.
const MAX_RENEWALS: u32 = 3;

/// The time limit that the plugin assumes when it is given none.
const PLUGIN_TIME_LIMIT: Duration = Duration::from_secs(600);

/// The body of an operation.
pub(crate) enum Payload<'a> {
    None,
    /// Bytes in memory, which can be sent again.
    Here(&'a Chunks),
    /// A stream, which can be sent once.
    Once(Option<Streamed>, Fault),
}

impl Payload<'_> {
    fn is_consumed(&self) -> bool {
        matches!(self, Payload::Once(None, _))
    }
}

/// The driver of one store. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Driver(Arc<Shared>);

struct Shared {
    pool: Arc<Pool>,
    wanted_digests: Vec<DigestAlgorithm>,
    retries: RetryQuota,
    begins: Batcher<Arc<Operation>, Charged<Result<Next>>>,
    resumes: Batcher<Resumption, Charged<Result<Next>>>,
    on_close: Option<Box<dyn OnClose>>,
}

/// What remains of a driver that nobody uses any more.
pub(crate) struct ClosedDriver {
    pool: Arc<Pool>,
    wanted_digests: Vec<DigestAlgorithm>,
    retries: RetryQuota,
}

/// Receives a driver that is closed.
pub(crate) trait OnClose: Send + Sync {
    /// Is called once, when the last clone is dropped, unless the store's credentials were changed.
    fn closed(self: Box<Self>, driver: ClosedDriver);
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(on_close) = self.on_close.take()
            && self.pool.generation() == 0
        {
            let wanted_digests = std::mem::take(&mut self.wanted_digests);
            let retries = std::mem::replace(&mut self.retries, RetryQuota::new(0));
            on_close.closed(ClosedDriver { pool: self.pool.clone(), wanted_digests, retries });
        }
    }
}

/// The result of a step, and the CPU time it is charged.
struct Charged<O> {
    output: O,
    cpu: Duration,
}

/// An input of a step, its result, and whether a batch with it failed before.
type Stepped<I> = (I, Charged<Result<Next>>, bool);

impl Driver {
    /// Opens the store in a first instance, which shows whether the settings are right.
    pub(crate) async fn open(pool: Arc<Pool>, on_close: Option<Box<dyn OnClose>>) -> Result<Driver> {
        let name = "opening the store";
        let (mut first, _) = pool.lease(name, pool.limit(None)).await?;
        let limits = pool.limits();
        let cpu_used = first.cpu_used();
        let (sandbox, store) = first.instance()?.parts();
        let call = sandbox.begin(name, limits, Bounds { cpu_used, ..Bounds::default() }, None);
        let wanted = call.run(pin!(sandbox.plugin.wanted_digests(&mut sandbox.store, store))).await;
        let ended = sandbox.end(&call, limits, wanted.map(|wanted| wanted.map(Ok)));
        let wanted_digests = first.end(ended)?.into_iter().map(Into::into).collect();
        let retries = RetryQuota::new(pool.engine().limits.instances_per_store);
        Ok(Driver::reopen(ClosedDriver { pool, wanted_digests, retries }, on_close))
    }

    /// Opens a store that was closed.
    pub(crate) fn reopen(closed: ClosedDriver, on_close: Option<Box<dyn OnClose>>) -> Driver {
        let ClosedDriver { pool, wanted_digests, retries } = closed;
        let (begins, resumes) = (Batcher::default(), Batcher::default());
        Driver(Arc::new(Shared { pool, wanted_digests, retries, begins, resumes, on_close }))
    }

    /// Whether there are clones of it.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// The digests that the plugin sends with the body of a write.
    pub(crate) fn wanted_digests(&self) -> &[DigestAlgorithm] {
        &self.0.wanted_digests
    }

    /// The time limit to give the plugin, for a call whose caller gave it this one. None if it is the one it assumes.
    pub(crate) fn plugin_time_limit(&self, given: Option<Duration>) -> Option<Duration> {
        let limit = self.pool().limit(given);
        // Over wasi:http the driver takes off what waiting for an instance took.
        (!self.pool().is_sans_io() || limit != PLUGIN_TIME_LIMIT).then_some(limit)
    }

    /// Runs an operation: its output and, of a read, the response's body. `limit` is the caller's time limit, if it gave one. If the
    /// service rejects its credentials, it is run again with others: those that the store has since, or its provider gives.
    pub(crate) fn run<'a>(
        &'a self,
        operation: Operation,
        limit: Option<Duration>,
        mut payload: Payload<'a>,
        progress: Option<Progress>,
    ) -> impl Future<Output = Result<(Output, Option<ResponseBody>)>> + Send + 'a {
        let span = self.span(&operation);
        // Shared with the batch that it begins in.
        let operation = Arc::new(operation);
        let of_record = span.clone();
        let done = async move {
            let pool = self.pool();
            let limit = pool.limit(limit);
            let mut record = pool.telemetry().begin(operation.id(), operation.key(), of_record);
            let (_admitted, call_limit) = match pool.tenant() {
                None => (None, limit),
                Some(tenant) => match tenant.try_admit() {
                    Some(admitted) => (Some(admitted), limit),
                    None => {
                        let began = Instant::now();
                        let admitted = Box::pin(tenant.admit(operation.name(), limit)).await;
                        let admitted = admitted.inspect_err(|error| record.end(Some(error), None))?;
                        (Some(admitted), limit.saturating_sub(began.elapsed()))
                    }
                },
            };
            let mut limit = call_limit;
            let mut generation = pool.generation();
            let (began, mut renewals) = (Instant::now(), 0);
            loop {
                let done = if pool.is_sans_io() {
                    self.exchange(&operation, limit, &mut payload, &progress, &mut record).await
                } else {
                    let body = match &payload {
                        Payload::None => None,
                        Payload::Here(body) => Some(*body),
                        Payload::Once(..) => {
                            let error = Error::plugin("it cannot send a stream");
                            record.end(Some(&error), None);
                            return Err(error);
                        }
                    };
                    Box::pin(wasi::run(self, &operation, limit, body, progress.clone())).await
                };
                let error = match done {
                    Err(error) => error,
                    Ok((output, body)) => {
                        record.end(None, body_length(&operation, &output));
                        return Ok((output, body));
                    }
                };
                let left = call_limit.saturating_sub(began.elapsed());
                let can_repeat = !payload.is_consumed() && renewals < MAX_RENEWALS && !left.is_zero();
                if !Box::pin(pool.renew_rejected(generation, &error, can_repeat.then_some(left))).await {
                    tracing::debug!(%error, "operation failed");
                    record.end(Some(&error), None);
                    return Err(error);
                }
                (generation, renewals) = (pool.generation(), renewals + 1);
                limit = call_limit.saturating_sub(began.elapsed());
            }
        };
        done.instrument(span)
    }

    /// The span of a call, with the names of OpenTelemetry's semantic conventions for AWS's SDKs.
    fn span(&self, operation: &Operation) -> Span {
        let (pool, id) = (self.pool(), operation.id());
        tracing::debug_span!(
            "call",
            otel.name = %format_args!("S3/{}", id.method()),
            otel.kind = "client",
            otel.status_code = field::Empty,
            rpc.system = "aws-api",
            rpc.service = "S3",
            rpc.method = id.method(),
            aws.s3.bucket = pool.bucket(),
            aws.s3.key = Some(operation.key()).filter(|key| !key.is_empty()),
            aws.request_id = field::Empty,
            server.address = pool.gate().host(),
            server.port = pool.gate().port(),
            http.response.status_code = field::Empty,
            http.request.resend_count = field::Empty,
            error.type = field::Empty,
            sandbucket.tenant = pool.telemetry().tenant(),
        )
    }

    /// Runs an operation on a sans-I/O plugin.
    async fn exchange<'a>(
        &'a self,
        operation: &Arc<Operation>,
        limit: Duration,
        payload: &mut Payload<'_>,
        progress: &Option<Progress>,
        record: &mut CallRecord<'a>,
    ) -> Result<(Output, Option<ResponseBody>)> {
        let (name, began) = (operation.name(), Instant::now());
        let _permit: SemaphorePermit<'_> = self.pool().permit(name, limit).await?;
        let mut running = Running {
            driver: self,
            name,
            bounds: operation.bounds(),
            limit,
            began,
            uncounted: Duration::ZERO,
            cpu_used: Duration::ZERO,
            sent: 0,
            late: 0,
            quota: Taken::default(),
            failed_batch: false,
            record,
            cause: None,
        };
        let step = running.begin(operation.clone());
        let (_, step, failed_batch) = step.await?;
        let mut next = running.charge(step, failed_batch)?;
        let mut body = None;
        loop {
            let exchange = match next? {
                Next::Send(exchange) => exchange,
                Next::Done(Output::Get(_)) if body.is_none() => {
                    return Err(Error::plugin(format!("{name}: it is done, and there is no body to read")));
                }
                Next::Done(output) => {
                    self.0.retries.succeeded(running.quota);
                    return Ok((output, body));
                }
                Next::Failed(error) => return Err(running.caused(error)),
            };
            let resumption;
            (resumption, body) = running.send(exchange, operation, payload, progress).await?;
            let step = running.resume(resumption);
            let (_, step, failed_batch) = step.await?;
            next = running.charge(step, failed_batch)?;
        }
    }
}

/// An operation in flight.
struct Running<'a, 'r> {
    driver: &'a Driver,
    name: &'static str,
    bounds: OperationBounds,
    limit: Duration,
    began: Instant,
    /// Time spent sending bodies of the caller; excluded from the deadline.
    uncounted: Duration,
    /// CPU time of the operation's steps. A batch is charged to its operations in equal parts.
    cpu_used: Duration,
    /// Requests so far, and those asked for when the time was over.
    sent: usize,
    late: u32,
    /// The retry tokens taken last.
    quota: Taken,
    /// Whether a batch with one of its steps failed: since then its steps are not batched.
    failed_batch: bool,
    record: &'r mut CallRecord<'a>,
    /// The error of the last request, if it had no response.
    cause: Option<Box<HttpError>>,
}

impl<'a> Running<'a, '_> {
    fn elapsed(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.uncounted)
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.elapsed())
    }

    fn begin(
        &self,
        operation: Arc<Operation>,
    ) -> impl Future<Output = Result<Stepped<Arc<Operation>>>> + Send + use<'a> {
        let alone = self.is_alone() || self.bounds.begin_bytes > LARGE_REQUEST;
        let driver = &*self.driver.0;
        driver.begins.run(operation, self.bounds.begin_bytes, alone, Begin(self.step(alone)))
    }

    fn resume(&self, resumption: Resumption) -> impl Future<Output = Result<Stepped<Resumption>>> + Send + use<'a> {
        let is_large = matches!(&resumption.event, Event::Response(response) if response.body.len() > LARGE_BODY);
        let alone = self.is_alone() || is_large || resumption.state.len() > LARGE_REQUEST;
        let driver = &*self.driver.0;
        driver.resumes.run(resumption, self.bounds.resume_bytes, alone, Resume(self.step(alone)))
    }

    /// Whether the operation has used much CPU time.
    fn is_heavy(&self) -> bool {
        self.cpu_used > self.driver.pool().limits().cpu_time / HEAVY
    }

    /// Whether the operation's steps are not batched: no other is in flight, or it has used much CPU time.
    fn is_alone(&self) -> bool {
        self.is_heavy() || self.failed_batch || self.driver.pool().in_flight() < 2
    }

    /// Charges a step to the operation, which ends here if it has used up its CPU time.
    fn charge<O>(&mut self, step: Charged<O>, failed_batch: bool) -> Result<O> {
        self.cpu_used += step.cpu;
        self.record.computed(step.cpu);
        self.failed_batch |= failed_batch;
        let limit = self.driver.pool().limits().cpu_time;
        if self.cpu_used > limit { Err(Error::OutOfTime { operation: self.name, limit }) } else { Ok(step.output) }
    }

    fn step(&self, alone: bool) -> Step<'a> {
        let Running { driver, name, limit, .. } = *self;
        let cpu_used = if alone { self.cpu_used } else { Duration::ZERO };
        Step { driver, name, limit, end: self.began + self.uncounted + limit, cpu_used }
    }

    /// Sends a request, after its delay. Gives what to resume with, and the body of a success that is the caller's to read.
    async fn send(
        &mut self,
        exchange: Box<Exchange>,
        operation: &Operation,
        payload: &mut Payload<'_>,
        progress: &Option<Progress>,
    ) -> Result<(Resumption, Option<ResponseBody>)> {
        let Exchange { state, delay, timeout, request, body, response_body, fresh_connection, retries } = *exchange;
        let is_callers = matches!(body, RequestBody::Caller);
        self.admit(retries.map(Error::from), is_callers && payload.is_consumed())?;
        let pause = Duration::from_nanos(delay).max(self.least_pause()).min(self.left());
        if !pause.is_zero() {
            Box::pin(deadline::sleep(pause)).await;
        }
        let source = match (body, &mut *payload) {
            (RequestBody::None, _) => Source::empty(),
            (RequestBody::Bytes(bytes), _) => Source::Here(Bytes::from(bytes).into()),
            (RequestBody::Caller, Payload::Here(chunks)) => Source::Here(chunks.clone()),
            (RequestBody::Caller, Payload::Once(streamed, _)) => {
                streamed.take().map_or_else(Source::empty, Source::Stream)
            }
            (RequestBody::Caller, Payload::None) => {
                return Err(Error::plugin(format!("{}: it sends a body, and the operation has none", self.name)));
            }
        };
        let prepared = Prepared {
            timeout: Duration::from_nanos(timeout),
            fresh_connection,
            ..prepared(request, self.bounds.methods)
        };
        let gate = self.driver.pool().gate();
        if let Some(rate) = gate.rate() {
            let delay = rate.delay();
            if !delay.is_zero() {
                Box::pin(deadline::sleep(delay.min(self.left()))).await;
            }
        }
        let connection = match gate.try_connection() {
            Some(connection) => Ok(connection),
            None => Box::pin(gate.connection(self.name, self.left())).await,
        };
        if self.sent == 0
            && let Err(error) = connection
        {
            return Err(error);
        }
        self.sent += 1;
        self.cause = None;
        if self.left().is_zero() {
            let detail = Some("there was no time left to send the request".to_owned());
            let event = Event::Failed(TransportFailure { error: TransportError::HttpResponseTimeout, detail });
            return Ok((Resumption { state, elapsed: nanos(self.elapsed()), event }, None));
        }
        let connection = match connection {
            Ok(connection) => connection,
            // An earlier request may have taken effect: the plugin decides what follows.
            Err(error) => {
                let failed =
                    TransportFailure { error: TransportError::ConnectionTimeout, detail: Some(error.to_string()) };
                return Ok((Resumption { state, elapsed: nanos(self.elapsed()), event: Event::Failed(failed) }, None));
            }
        };
        let progress = progress.as_ref().filter(|_| is_callers).cloned();
        let sending = gate.send(prepared, source, self.left(), progress, connection);
        let (received, uncounted) = sending.response().await;
        if is_callers {
            self.uncounted += uncounted;
        }
        if let Payload::Once(_, fault) = payload
            && let Some(fault) = fault.take()
        {
            return Err(self.at_fault(operation, fault));
        }
        let (event, body) = match received {
            Ok(received) => {
                self.record.response(received.status, &received.headers);
                if let Some(rate) = gate.rate() {
                    rate.responded(received.status);
                }
                self.receive(received, response_body).await
            }
            Err(error) => {
                self.record.no_response();
                (self.failed(transport_error(error.kind()), error), None)
            }
        };
        Ok((Resumption { state, elapsed: nanos(self.elapsed()), event }, body))
    }

    /// Adds the error of the last request to the one that it led to.
    fn caused(&mut self, error: Error) -> Error {
        match self.cause.take() {
            Some(cause) => error.with_source(*cause),
            None => error,
        }
    }

    /// Fails if the operation may send no further request: with the error that a retry is about, or for the plugin's asking too much.
    fn admit(&mut self, retries: Option<Error>, body_is_consumed: bool) -> Result<()> {
        let too_many = self.sent >= self.bounds.max_requests;
        let is_late = self.sent > 0 && self.left().is_zero();
        if let Some(error) = retries {
            let ends = too_many || is_late || body_is_consumed;
            tracing::debug!(%error, retry = !ends, "attempt failed");
            if ends {
                return Err(self.caused(error));
            }
            let Some(taken) = self.driver.0.retries.take(&error) else {
                return Err(self.caused(explained(error, OUT_OF_RETRIES)));
            };
            self.quota = taken;
            self.record.retry();
            return Ok(());
        }
        if body_is_consumed {
            return Err(Error::plugin(format!("{}: it sends a body again that can be read once", self.name)));
        }
        if too_many {
            let most = self.bounds.max_requests;
            return Err(Error::plugin(format!("{}: it sent {most} requests for one operation already", self.name)));
        }
        self.late += u32::from(is_late);
        if self.late > LATE_REQUESTS {
            return Err(Error::Overdue { operation: self.name, limit: self.limit });
        }
        Ok(())
    }

    /// The shortest pause before the next request.
    fn least_pause(&self) -> Duration {
        match self.sent.checked_sub(self.bounds.free_requests) {
            None => Duration::ZERO,
            Some(further) => (MIN_BACKOFF * 2u32.pow(further.min(16) as u32)).min(MAX_BACKOFF),
        }
    }

    /// Reads as much of a response's body as the plugin is to have, and gives the body itself if it is the caller's.
    async fn receive(&mut self, received: Received, wanted: WantedBody) -> (Event, Option<ResponseBody>) {
        let Received { status, headers, mut body } = received;
        let response = |(body, truncated)| Event::Response(Response { status, headers, body, truncated });
        let is_success = (200..300).contains(&status);
        if body.is_over() {
            let callers = is_success && matches!(wanted, WantedBody::Caller);
            return (response((Vec::new(), false)), callers.then_some(body));
        }
        match wanted {
            WantedBody::Caller if is_success => (response((Vec::new(), true)), Some(body)),
            WantedBody::Buffer(most) if is_success => {
                let most = usize::try_from(most).unwrap_or(usize::MAX).min(MAX_BUFFERED);
                match Box::pin(deadline::timeout(self.left(), read(&mut body, most))).await {
                    Ok((text, truncated, None)) => (response((text, truncated)), None),
                    Ok((_, _, Some(error))) => {
                        let kind = match error.kind() {
                            HttpErrorKind::ConnectionReadTimeout => TransportError::ConnectionReadTimeout,
                            _ => TransportError::HttpResponseIncomplete,
                        };
                        (self.failed(kind, error), None)
                    }
                    Err(_) => {
                        let detail = Some("there was no time left to read the response".to_owned());
                        (Event::Failed(TransportFailure { error: TransportError::HttpResponseTimeout, detail }), None)
                    }
                }
            }
            _ => {
                let mut text = Vec::new();
                body.charge_only();
                // That it breaks off does not matter: what arrived until then says why.
                let read = read_into(&mut text, &mut body, ERROR_BODY);
                let truncated = match Box::pin(deadline::timeout(ERROR_BODY_TIME, read)).await {
                    Ok((truncated, None)) => truncated,
                    Ok((_, Some(_))) | Err(_) => true,
                };
                (response((text, truncated)), None)
            }
        }
    }

    /// The event of a request without a response, or with a truncated one.
    fn failed(&mut self, error: TransportError, cause: HttpError) -> Event {
        let detail = cause.detail();
        tracing::debug!(error = %detail, "request failed");
        self.cause = Some(Box::new(cause));
        Event::Failed(TransportFailure { error, detail: Some(detail) })
    }

    /// The error of a body of the caller's that could not be sent.
    fn at_fault(&self, operation: &Operation, fault: BodyFault) -> Error {
        let (name, key) = (self.name, operation.key());
        match fault {
            BodyFault::Reading(error) => {
                let doing = format!("{name} \"{key}\": reading what is to be written");
                Error::Io { doing, source: Arc::new(std::io::Error::other(error)) }
            }
            BodyFault::Length(what) => {
                let length = match operation {
                    Operation::Put(put) => put.length,
                    Operation::UploadPart(part) => part.length,
                    _ => 0,
                };
                let what = format!("the body {what} the {length} bytes announced");
                Error::InvalidArgument(self.driver.pool().failure("body", name, key, &what))
            }
        }
    }
}

/// The bytes of the body of a successful read or write.
fn body_length(operation: &Operation, output: &Output) -> Option<u64> {
    match (operation, output) {
        (Operation::Put(put), _) => Some(put.length),
        (Operation::UploadPart(part), _) => Some(part.length),
        (_, Output::Get(head)) => Some(head.body_range.end.saturating_sub(head.body_range.start)),
        (_, Output::Blob((_, range, _))) => Some(range.end.saturating_sub(range.start)),
        _ => None,
    }
}

/// Where an operation makes a step, for itself or as the leader of a batch.
struct Step<'a> {
    driver: &'a Driver,
    name: &'static str,
    limit: Duration,
    end: Instant,
    /// CPU time that the operation has used before; zero for a batch.
    cpu_used: Duration,
}

impl Step<'_> {
    fn deadline(&self) -> Option<(Timer, tokio::time::Instant)> {
        Some((self.driver.pool().gate().timer(), (self.end + TIMEOUT_GRACE).into()))
    }

    fn overdue(&self) -> Error {
        Error::Overdue { operation: self.name, limit: self.limit }
    }

    async fn lease(&self, operations: usize) -> Result<(Lease<'_>, Bounds)> {
        let lease = self.driver.pool().lease_until(self.name, self.limit, self.end).await?;
        let time = Some(self.end.saturating_duration_since(Instant::now()));
        let cpu_used = self.cpu_used + lease.cpu_used();
        // A step sends nothing itself.
        Ok((lease, Bounds { time, cpu_used, operations, methods: &[] }))
    }

    /// Charges a guest call to the operations of its batch, in equal parts.
    fn charged(&self, results: Vec<Result<Next>>, call: &CallGuard) -> Vec<Charged<Result<Next>>> {
        let count = u32::try_from(results.len()).unwrap_or(u32::MAX).max(1);
        let cpu = call.cpu_used().saturating_sub(self.cpu_used) / count;
        results.into_iter().map(|output| Charged { output, cpu }).collect()
    }
}

/// The first step of operations.
struct Begin<'a>(Step<'a>);

/// A further step of operations.
struct Resume<'a>(Step<'a>);

macro_rules! batch_call {
    ($step:ident, $input:ty, $function:ident) => {
        impl BatchCall for $step<'_> {
            type Input = $input;
            type Output = Charged<Result<Next>>;

            fn deadline(&self) -> Option<(Timer, tokio::time::Instant)> {
                self.0.deadline()
            }

            fn overdue(&self) -> Error {
                self.0.overdue()
            }

            async fn call(&self, inputs: &[$input], bytes: usize) -> Result<Vec<Self::Output>> {
                let limits = self.0.driver.pool().limits();
                let (mut lease, bounds) = self.0.lease(inputs.len()).await?;
                let (sandbox, store) = lease.instance()?.parts();
                let call = sandbox.begin(self.0.name, limits, bounds, None);
                let bytes = bytes.saturating_add(crate::sandbox::bindings::RESULT);
                let next = call.run(pin!(sandbox.plugin.$function(&mut sandbox.store, store, inputs, bytes))).await;
                let ended = sandbox.end(&call, limits, next.map(|next| next.map(Ok)));
                lease.end(counted(ended, inputs.len())).map(|next| self.0.charged(next, &call))
            }
        }
    };
}

batch_call!(Begin, Arc<Operation>, begin);
batch_call!(Resume, Resumption, resume);

/// An instance that returns more or fewer results than there are inputs is not used again.
fn counted<T>(ended: CallOutcome<Vec<T>>, expected: usize) -> CallOutcome<Vec<T>> {
    match ended {
        CallOutcome::Completed(Ok(results)) if results.len() != expected => CallOutcome::Poisoned(miscounted()),
        ended => ended,
    }
}

/// Reads up to so many bytes of a body: these, whether it continues, and why it broke off.
async fn read(body: &mut ResponseBody, most: usize) -> (Vec<u8>, bool, Option<HttpError>) {
    let expected = body.length_hint().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    let mut text = Vec::with_capacity(expected.min(most).min(RESERVED));
    let (truncated, error) = read_into(&mut text, body, most).await;
    (text, truncated, error)
}

/// The same, where what was read is of use even if the future is dropped.
async fn read_into(text: &mut Vec<u8>, body: &mut ResponseBody, most: usize) -> (bool, Option<HttpError>) {
    loop {
        match std::future::poll_fn(|cx| body.poll_next(cx)).await {
            None => return (false, None),
            Some(Err(error)) => return (true, Some(error).filter(|_| text.len() < most)),
            Some(Ok(piece)) => {
                let room = most - text.len();
                text.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() > room {
                    return (true, None);
                }
            }
        }
    }
}

/// The contract's case of an error.
fn transport_error(kind: HttpErrorKind) -> TransportError {
    match kind {
        HttpErrorKind::DnsError => TransportError::DnsError,
        HttpErrorKind::DestinationUnavailable => TransportError::DestinationUnavailable,
        HttpErrorKind::DestinationIpProhibited => TransportError::DestinationIpProhibited,
        HttpErrorKind::ConnectionRefused => TransportError::ConnectionRefused,
        HttpErrorKind::ConnectionTerminated => TransportError::ConnectionTerminated,
        HttpErrorKind::ConnectionTimeout => TransportError::ConnectionTimeout,
        HttpErrorKind::ConnectionReadTimeout => TransportError::ConnectionReadTimeout,
        HttpErrorKind::ConnectionWriteTimeout => TransportError::ConnectionWriteTimeout,
        HttpErrorKind::TlsProtocolError => TransportError::TlsProtocolError,
        HttpErrorKind::TlsCertificateError => TransportError::TlsCertificateError,
        HttpErrorKind::HttpRequestDenied => TransportError::HttpRequestDenied,
        HttpErrorKind::HttpResponseIncomplete => TransportError::HttpResponseIncomplete,
        HttpErrorKind::HttpResponseHeaderSectionSize => TransportError::HttpResponseHeaderSectionSize,
        HttpErrorKind::HttpResponseTimeout => TransportError::HttpResponseTimeout,
        HttpErrorKind::HttpProtocolError => TransportError::HttpProtocolError,
    }
}

/// A request of an operation with these methods, to be sent as soon as possible.
pub(crate) fn prepared(request: Request, methods: &'static [http::Method]) -> Prepared {
    let Request { method, https, authority, path_with_query, headers } = request;
    let method = self::method(method);
    let (timeout, fresh_connection) = (Duration::MAX, false);
    Prepared { methods, method, https, authority, path_with_query, headers, timeout, fresh_connection }
}

fn method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
    }
}

/// Adds the driver's reason to an error.
fn explained(mut error: Error, reason: &str) -> Error {
    if let Error::Network(failure)
    | Error::Timeout(failure)
    | Error::Integrity(failure)
    | Error::Throttled(failure)
    | Error::Service(failure) = &mut error
    {
        failure.message.push_str(&format!(" ({reason})"));
    }
    error
}
