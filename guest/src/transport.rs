//! Requests over wasi:http: the one place that knows it.
//!
//! The host is given the timeouts as request options, and everything is waited for with a clock beside it, so that a
//! stall ends also on a host that does not heed them.

mod trouble;

use std::time::Duration;

use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    self, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use crate::bindings::wasi::io::poll::{self, Pollable};
use crate::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::env::{Body, Clock, Transport, TransportError, Waits};
use crate::error::{Kind, tidy};
use crate::request::{Method, Request};
use crate::response::Head;
use trouble::error_of;

/// How much longer than the plugin the host waits between bytes, in nanoseconds.
const BACKSTOP: u64 = 1_000_000_000;

const USER_AGENT: &str = concat!("sandbucket-s3/", env!("CARGO_PKG_VERSION"));

/// The host, as a store's ground.
pub struct Wasi;

impl Clock for Wasi {
    fn now(&self) -> u64 {
        monotonic_clock::now()
    }

    fn wall(&self) -> u64 {
        wall_clock::now().seconds
    }

    fn sleep(&mut self, time: Duration) {
        if !time.is_zero() {
            monotonic_clock::subscribe_duration(nanos(time)).block();
        }
    }
}

impl Transport for Wasi {
    type Body = Answer;

    fn send(&mut self, request: &Request, body: &[u8], waits: Waits) -> Result<(Head, Answer), TransportError> {
        let outgoing = outgoing(request, body.len())?;
        // Taken before the request is handed over; there is no body to write where it is empty.
        let sink = if body.is_empty() { None } else { Some(outgoing.body().map_err(|()| unfit("the body"))?) };
        let options = options(waits, !body.is_empty());
        let future = outgoing_handler::handle(outgoing, Some(options)).map_err(|code| error_of(&code))?;
        let uploaded = match sink {
            Some(sink) => upload(sink, body, &future, waits)?,
            None => Uploaded::default(),
        };
        // A service may answer before it has all of the body, and close. Then its answer is what counts, unless that is a
        // success it cannot have meant.
        let answer = match (uploaded.answer, uploaded.broken) {
            (Some(answer), None) => answer,
            (Some(answer), Some(broken)) if success(&answer) => return Err(broken),
            (Some(answer), Some(_)) => answer,
            (None, _) => wait_for(&future, waits)?,
        };
        let head = head_of(&answer);
        Ok((head, Answer { stream: None, body: None, answer, _sink: uploaded.sink, waits, over: false }))
    }
}

/// Makes the request as wasi:http has it.
fn outgoing(request: &Request, length: usize) -> Result<OutgoingRequest, TransportError> {
    let mut entries = Vec::with_capacity(request.headers.len() + 2);
    for (name, value) in &request.headers {
        entries.push((name.to_string(), value.as_bytes().to_vec()));
    }
    entries.push(("user-agent".to_owned(), USER_AGENT.as_bytes().to_vec()));
    if matches!(request.method, Method::Put | Method::Post) {
        entries.push(("content-length".to_owned(), length.to_string().into_bytes()));
    }
    let fields = Fields::from_list(&entries).map_err(|_| unfit("a header"))?;
    let outgoing = OutgoingRequest::new(fields);
    let method = match request.method {
        Method::Get => types::Method::Get,
        Method::Head => types::Method::Head,
        Method::Post => types::Method::Post,
        Method::Put => types::Method::Put,
        Method::Delete => types::Method::Delete,
    };
    let scheme = if request.https { Scheme::Https } else { Scheme::Http };
    outgoing.set_method(&method).map_err(|()| unfit("the method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| unfit("the scheme"))?;
    outgoing.set_authority(Some(&request.authority)).map_err(|()| unfit("the authority"))?;
    outgoing.set_path_with_query(Some(&request.path_and_query())).map_err(|()| unfit("the path"))?;
    Ok(outgoing)
}

/// The timeouts for the host to keep. One that it does not support it need not: we watch the clock as well.
fn options(waits: Waits, uploads: bool) -> RequestOptions {
    let options = RequestOptions::new();
    let left = waits.deadline.saturating_sub(monotonic_clock::now()).max(1);
    let idle = nanos(waits.idle).min(left);
    let _ = options.set_connect_timeout(Some(idle));
    // Hosts count this from the start of the request, which is too early where a body is still to be sent.
    let _ = options.set_first_byte_timeout(Some(if uploads { left } else { idle }));
    // A little longer than we watch the clock ourselves: what the host ends is told as a broken stream, without why.
    let _ = options.set_between_bytes_timeout(Some(idle.saturating_add(BACKSTOP)));
    options
}

/// How sending a body went.
#[derive(Default)]
struct Uploaded {
    /// An answer that came before the end.
    answer: Option<IncomingResponse>,
    /// What broke the writing off.
    broken: Option<TransportError>,
    /// The body, if it was left unfinished: closing it breaks the connection, and with it the answer that is to be read.
    sink: Option<OutgoingBody>,
}

/// Writes the body. That it breaks off is no error yet: there may be an answer that says why.
fn upload(
    sink: OutgoingBody,
    body: &[u8],
    future: &FutureIncomingResponse,
    waits: Waits,
) -> Result<Uploaded, TransportError> {
    let mut answer = None;
    let stream = sink.write().map_err(|()| unfit("the body"))?;
    let sent = write_all(&stream, body, future, waits, &mut answer);
    drop(stream);
    match sent {
        Ok(Sent::All) => {
            let broken = OutgoingBody::finish(sink, None).err().map(|code| error_of(&code));
            Ok(Uploaded { answer, broken, sink: None })
        }
        Ok(Sent::Answered) => Ok(Uploaded { answer, broken: None, sink: Some(sink) }),
        Err(error) if error.kind == Kind::Timeout => Err(error),
        Err(error) => Ok(Uploaded { answer, broken: Some(error), sink: Some(sink) }),
    }
}

fn success(answer: &IncomingResponse) -> bool {
    (200..300).contains(&answer.status())
}

enum Sent {
    All,
    /// The service refused before it had all of it.
    Answered,
}

fn write_all(
    stream: &OutputStream,
    body: &[u8],
    future: &FutureIncomingResponse,
    waits: Waits,
    early: &mut Option<IncomingResponse>,
) -> Result<Sent, TransportError> {
    let mut rest = body;
    while !rest.is_empty() {
        let room = stream.check_write().map_err(stream_error)?;
        if room > 0 {
            let (now, later) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            stream.write(now).map_err(stream_error)?;
            rest = later;
            continue;
        }
        let writable = stream.subscribe();
        let timer = timer(waits)?;
        if early.is_some() {
            if !poll::poll(&[&writable, &timer]).contains(&0) {
                return Err(stalled(waits, "it stopped taking the body"));
            }
            continue;
        }
        let answered = future.subscribe();
        let ready = poll::poll(&[&writable, &timer, &answered]);
        if ready.contains(&2) {
            let answer = take(future)?;
            // A success before the end is odd, but then the rest is wanted.
            let refused = !success(&answer);
            *early = Some(answer);
            if refused {
                return Ok(Sent::Answered);
            }
        } else if !ready.contains(&0) {
            return Err(stalled(waits, "it stopped taking the body"));
        }
    }
    Ok(Sent::All)
}

fn wait_for(future: &FutureIncomingResponse, waits: Waits) -> Result<IncomingResponse, TransportError> {
    let ready = future.subscribe();
    let timer = timer(waits)?;
    if !poll::poll(&[&ready, &timer]).contains(&0) {
        return Err(stalled(waits, "it did not answer"));
    }
    drop(ready);
    take(future)
}

fn take(future: &FutureIncomingResponse) -> Result<IncomingResponse, TransportError> {
    match future.get() {
        Some(Ok(Ok(answer))) => Ok(answer),
        Some(Ok(Err(code))) => Err(error_of(&code)),
        Some(Err(())) | None => Err(broken("the host gave no answer where it had one")),
    }
}

fn head_of(answer: &IncomingResponse) -> Head {
    let entries = answer.headers().entries();
    let headers = entries
        .into_iter()
        .map(|(name, value)| {
            let value =
                String::from_utf8(value).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            (name, value)
        })
        .collect();
    Head { status: answer.status(), headers }
}

/// An answer whose body is fetched when it is first read: many have none. The fields' order is the order in which
/// their resources must go.
pub struct Answer {
    stream: Option<InputStream>,
    body: Option<IncomingBody>,
    answer: IncomingResponse,
    /// Kept open until the answer is read.
    _sink: Option<OutgoingBody>,
    waits: Waits,
    over: bool,
}

impl Body for Answer {
    fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>, TransportError> {
        if self.over {
            return Ok(None);
        }
        if self.stream.is_none() {
            let body = self.answer.consume().map_err(|()| broken("the host gave no body"))?;
            self.stream = Some(body.stream().map_err(|()| broken("the host gave no body"))?);
            self.body = Some(body);
        }
        let Some(stream) = &self.stream else { return Ok(None) };
        loop {
            match stream.read(max as u64) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(bytes)),
                Err(StreamError::Closed) => {
                    self.over = true;
                    return Ok(None);
                }
                Err(error) => {
                    self.over = true;
                    return Err(stream_error(error));
                }
            }
            let ready = stream.subscribe();
            let timer = timer(self.waits)?;
            if !poll::poll(&[&ready, &timer]).contains(&0) {
                return Err(stalled(self.waits, "it stopped in the middle of its answer"));
            }
        }
    }

    fn surplus(&mut self) -> bool {
        !self.over && self.stream.as_ref().is_some_and(|stream| stream.read(1).is_ok_and(|bytes| !bytes.is_empty()))
    }

    fn hurry(&mut self, deadline: u64) {
        self.waits.deadline = self.waits.deadline.min(deadline);
    }
}

/// Ready when the waiting is over.
fn timer(waits: Waits) -> Result<Pollable, TransportError> {
    let now = monotonic_clock::now();
    if now >= waits.deadline {
        return Err(stalled(waits, "there was no time left to wait for it"));
    }
    Ok(monotonic_clock::subscribe_instant(waits.deadline.min(now.saturating_add(nanos(waits.idle)))))
}

fn stalled(waits: Waits, what: &str) -> TransportError {
    let message = if monotonic_clock::now() >= waits.deadline {
        format!("{what} before the time was up")
    } else {
        format!("{what} within {} ms (the setting timeout)", waits.idle.as_millis())
    };
    TransportError { kind: Kind::Timeout, message, unsent: false, retryable: true }
}

/// What the host does not take into a request. Nothing was sent.
fn unfit(part: &str) -> TransportError {
    let message = format!("the host does not take {part} of the request");
    TransportError { kind: Kind::Network, message, unsent: true, retryable: false }
}

fn broken(message: &str) -> TransportError {
    TransportError { kind: Kind::Network, message: message.to_owned(), unsent: false, retryable: true }
}

fn stream_error(error: StreamError) -> TransportError {
    match error {
        StreamError::Closed => broken("the connection was closed"),
        StreamError::LastOperationFailed(error) => match types::http_error_code(&error) {
            Some(code) => TransportError { unsent: false, retryable: true, ..error_of(&code) },
            None => broken(&format!("the connection broke: {}", tidy(&error.to_debug_string(), 200))),
        },
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
