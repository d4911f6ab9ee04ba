//! A scripted service, and the simulated clock it shares with the driver: for the tests of plugins (feature `testing`).
//!
//! A [`Script`] is a list of [`Reaction`]s, one for each request. It takes the place of wasi:http in the methods of
//! [`crate::Store`], and records the requests and pauses. It panics if there are more requests than reactions.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::contract::error::Kind;
use crate::http::request::Request;
use crate::http::response::Head;
use crate::io::{Body, Clock, Exchange, Transport, Waits};
use crate::machine::TransportError;

/// Time at which every script begins, in seconds since 1970: Tue, 14 Nov 2023 22:13:20 GMT.
pub const START: u64 = 1_700_000_000;

/// The service's reaction to one request.
#[derive(Clone)]
pub struct Reaction {
    head: Result<Head<'static>, TransportError>,
    chunks: Vec<Result<Vec<u8>, TransportError>>,
    /// Time until the response begins, and between chunks of its body.
    takes: Duration,
}

/// A response with these headers and this body. Adds `content-length` unless given.
pub fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Reaction {
    let mut head = Head { status, ..Head::default() };
    head.headers.extend(headers.iter().map(|(name, value)| (name.to_string().into(), value.to_string().into())));
    if head.get("content-length").is_none() {
        head.headers.push(("content-length".into(), body.len().to_string().into()));
    }
    let chunks = if body.is_empty() { vec![] } else { vec![Ok(body.as_bytes().to_vec())] };
    Reaction { head: Ok(head), chunks, takes: Duration::ZERO }
}

/// An error response with this code in its body.
pub fn error_response(status: u16, code: &str) -> Reaction {
    response(status, &[], &format!("<Error><Code>{code}</Code><Message>words of it</Message></Error>"))
}

/// A connection reset after the request was sent.
pub fn reset() -> Reaction {
    broken(false)
}

/// A connection that cannot be established.
pub fn unreachable() -> Reaction {
    broken(true)
}

fn broken(not_sent: bool) -> Reaction {
    Reaction { head: Err(error(Kind::Network, not_sent)), chunks: vec![], takes: Duration::ZERO }
}

/// A request without a response, after a failure of this kind.
pub fn error(kind: Kind, not_sent: bool) -> TransportError {
    TransportError { kind, message: "the wire broke".into(), not_sent, retryable: true }
}

impl Reaction {
    /// Delays the response by so many seconds, up to the caller's timeout.
    pub fn slow(mut self, seconds: u64) -> Reaction {
        self.takes = Duration::from_secs(seconds);
        self
    }

    /// Replaces the body by these chunks.
    pub fn pieces(mut self, pieces: Vec<Result<Vec<u8>, TransportError>>) -> Reaction {
        self.chunks = pieces;
        self
    }

    /// The head of the response.
    pub fn head(&self) -> Head<'static> {
        self.head.clone().expect("a response")
    }

    /// The status of the response, if it is one.
    pub fn status(&self) -> Option<u16> {
        self.head.as_ref().ok().map(|head| head.status)
    }

    /// Changes the head of a response.
    pub fn edit_head(&mut self, edit: impl FnOnce(&mut Head<'static>)) {
        if let Ok(head) = &mut self.head {
            edit(head);
        }
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: &str) -> Reaction {
        if let Ok(head) = &mut self.head {
            head.headers.push((name.to_owned().into(), value.to_owned().into()));
        }
        self
    }
}

/// A request sent, with its body.
pub struct Sent {
    /// The request.
    pub request: Request,
    /// Its body; of one that the caller writes, the length in decimal.
    pub body: Vec<u8>,
}

impl Sent {
    /// The value of a header field. Panics if there are two of the name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.request.headers.iter().filter(|(there, _)| there == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is sent twice");
        value
    }
}

/// The service, the network and the clocks.
pub struct Script {
    steps: VecDeque<Reaction>,
    /// The requests sent.
    pub sent: Vec<Sent>,
    /// How long it was waited before requests.
    pub pauses: Vec<Duration>,
    now: Rc<Cell<u64>>,
    /// Error of the local clock in seconds.
    pub off: i64,
}

impl Script {
    /// A service with these reactions, in their order.
    pub fn new(steps: impl IntoIterator<Item = Reaction>) -> Script {
        let steps = steps.into_iter().collect();
        Script { steps, sent: vec![], pauses: vec![], now: Rc::default(), off: 0 }
    }

    /// Advances the clock.
    pub fn pass(&mut self, time: Duration) {
        self.now.set(self.now.get() + time.as_nanos() as u64);
    }

    /// Whether all steps of the script were used.
    pub fn done(&self) -> bool {
        self.steps.is_empty()
    }

    /// The methods of the requests sent.
    pub fn methods(&self) -> Vec<&'static str> {
        self.sent.iter().map(|sent| sent.request.method.as_str()).collect()
    }

    /// Time since the script began, by the simulated clock.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now.get())
    }
}

impl Clock for Script {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn wall(&self) -> u64 {
        (START + self.elapsed().as_secs()).saturating_add_signed(self.off)
    }

    fn sleep(&mut self, time: Duration) {
        self.pauses.push(time);
        self.now.set(self.now.get() + time.as_nanos() as u64);
    }
}

impl Transport for Script {
    type Body = Chunks;
    type Exchange = Pending;

    fn send(
        &mut self,
        request: &Request,
        body: &[u8],
        waits: Waits,
    ) -> Result<(Head<'static>, Chunks), TransportError> {
        assert!(waits.deadline > self.now.get(), "a request is sent after its deadline");
        self.sent.push(Sent { request: request.clone(), body: body.to_vec() });
        let step = self.steps.pop_front().expect("a request that is not in the script");
        wait(&self.now, step.takes, waits)?;
        let head = step.head?;
        Ok((head, Chunks { chunks: step.chunks.into(), takes: step.takes, waits, now: self.now.clone() }))
    }

    fn begin(&mut self, request: &Request, length: u64, waits: Waits) -> Result<Pending, TransportError> {
        assert!(waits.deadline > self.now.get(), "a request is begun after its deadline");
        self.sent.push(Sent { request: request.clone(), body: length.to_string().into_bytes() });
        let step = self.steps.pop_front().expect("a request that is not in the script");
        if let Err(TransportError { not_sent: true, .. }) = &step.head {
            return Err(step.head.unwrap_err());
        }
        Ok(Pending { step, length, now: self.now.clone() })
    }
}

/// A request whose body is not sent yet.
pub struct Pending {
    step: Reaction,
    length: u64,
    now: Rc<Cell<u64>>,
}

impl Exchange for Pending {
    type Body = Chunks;
    type Sink = ();

    fn sink(&mut self) -> Result<(), TransportError> {
        Ok(())
    }

    fn response(self, sent: u64, waits: Waits) -> Result<(Head<'static>, Chunks), TransportError> {
        let Pending { step, length, now } = self;
        wait(&now, step.takes, waits)?;
        let head = step.head?;
        if sent != length && head.status < 300 {
            return Err(error(Kind::Network, false));
        }
        Ok((head, Chunks { chunks: step.chunks.into(), takes: step.takes, waits, now }))
    }
}

/// Advances the clock, up to the caller's timeout.
fn wait(now: &Cell<u64>, takes: Duration, waits: Waits) -> Result<(), TransportError> {
    let until = now.get().saturating_add(takes.as_nanos() as u64);
    let end = waits.deadline.min(now.get().saturating_add(waits.idle.as_nanos() as u64));
    now.set(until.min(end));
    if until >= end && !takes.is_zero() { Err(error(Kind::Timeout, false)) } else { Ok(()) }
}

/// The body of a response.
pub struct Chunks {
    chunks: VecDeque<Result<Vec<u8>, TransportError>>,
    takes: Duration,
    waits: Waits,
    now: Rc<Cell<u64>>,
}

impl Body for Chunks {
    type Stream = Vec<u8>;

    fn into_stream(self) -> Result<Vec<u8>, TransportError> {
        self.chunks.into_iter().collect::<Result<Vec<_>, _>>().map(|chunks| chunks.concat())
    }

    fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>, TransportError> {
        assert!(max > 0, "zero bytes are requested");
        let Some(chunk) = self.chunks.pop_front() else { return Ok(None) };
        wait(&self.now, self.takes, self.waits)?;
        let mut chunk = chunk?;
        if chunk.len() > max {
            self.chunks.push_front(Ok(chunk.split_off(max)));
        }
        Ok(Some(chunk))
    }

    fn has_excess(&mut self) -> bool {
        matches!(self.chunks.front(), Some(Ok(_)))
    }

    fn set_deadline(&mut self, deadline: u64) {
        self.waits.deadline = self.waits.deadline.min(deadline);
    }
}
