//! The loop: sends the request of each step, until the operation ends.

use std::time::Duration;

use crate::contract::error::Failure;
use crate::contract::model::{Operation, Output};
use crate::http::request::Method;
use crate::http::response::{Head, MAX_ERROR_BODY};
use crate::machine::service::Service;
use crate::machine::state::nanos;
use crate::machine::{Event, Exchange, Next, RequestBody, Response, ResponseBody, StateOf, Store, TransportError};

use super::{Body, Clock, Transport, Waits};

/// How long the body of an error response may take to arrive: its status is known already.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);

/// How much of a body is asked for at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// Drives one operation.
pub struct Driver<'a, S: Service, E> {
    pub(super) store: &'a mut Store<S>,
    pub(super) env: &'a mut E,
    /// The instant at which the operation began.
    pub(super) began: u64,
    /// Nanoseconds spent sending bodies of the caller, which do not count.
    pub(super) uncounted: u64,
}

/// A response, as far as the driver has read it.
pub(super) struct Received<B> {
    head: Head<'static>,
    text: Vec<u8>,
    truncated: bool,
    /// The body, if the caller is to read it.
    body: Option<B>,
}

/// The end of an operation.
pub(super) struct Finished<B, T> {
    pub(super) output: Output,
    /// The body that the caller is to read.
    pub(super) reading: Option<Reading<B, T>>,
}

/// A response whose header was accepted, and whose body is to be read.
pub(super) struct Reading<B, T> {
    pub(super) head: Head<'static>,
    /// The state to resume with [`Event::Failed`] if the body breaks off.
    pub(super) state: T,
    pub(super) body: B,
}

impl<'a, S: Service, E: Transport + Clock> Driver<'a, S, E> {
    /// A driver for an operation that begins now.
    pub fn new(store: &'a mut Store<S>, env: &'a mut E) -> Self {
        let began = env.now();
        Driver { store, env, began, uncounted: 0 }
    }

    /// Does an operation whose body, if it has one, is this.
    pub fn run(&mut self, operation: Operation, body: &[u8]) -> Result<Output, Failure> {
        let next = self.store.begin(self.env.wall(), operation);
        self.finish(next, body).map(|finished| finished.output)
    }

    /// Goes on to the end of the operation.
    pub(super) fn finish(
        &mut self,
        mut next: Next<StateOf<S>>,
        body: &[u8],
    ) -> Result<Finished<E::Body, StateOf<S>>, Failure> {
        loop {
            let exchange = match next {
                Next::Send(exchange) => exchange,
                Next::Done(output) => return Ok(Finished { output, reading: None }),
                Next::Failed(failure) => return Err(failure),
            };
            let (state, received) = self.send(*exchange, body);
            next = match received {
                // If reading the body fails, the request is retried from the same state.
                Ok(Received { head, body: Some(body), .. }) => {
                    let event = Event::Response(Response { head: head.clone(), body: &[], truncated: false });
                    match self.resume(state.clone(), event) {
                        Next::Done(output) => {
                            return Ok(Finished { output, reading: Some(Reading { head, state, body }) });
                        }
                        next => next,
                    }
                }
                received => self.resume_received(state, received),
            };
        }
    }

    /// Goes on to the next step that is not an exchange without a body of the caller's.
    pub(super) fn settle(&mut self, mut next: Next<StateOf<S>>) -> Next<StateOf<S>> {
        loop {
            match next {
                Next::Send(exchange) if !matches!(exchange.body, RequestBody::Caller(_)) => {
                    let (state, received) = self.send(*exchange, &[]);
                    next = self.resume_received(state, received);
                }
                next => return next,
            }
        }
    }

    pub(super) fn resume_received<B: Body>(
        &mut self,
        state: StateOf<S>,
        received: Result<Received<B>, TransportError>,
    ) -> Next<StateOf<S>> {
        match received {
            Ok(Received { head, text, truncated, .. }) => {
                self.resume(state, Event::Response(Response { head, body: &text, truncated }))
            }
            Err(error) => self.resume(state, Event::Failed(error)),
        }
    }

    pub(super) fn resume(&mut self, state: StateOf<S>, event: Event<'_>) -> Next<StateOf<S>> {
        let elapsed = self.env.now().saturating_sub(self.began).saturating_sub(self.uncounted);
        self.store.resume(self.env.wall(), state, elapsed, event)
    }

    /// Sends a request after its delay, and reads of the response what the next step wants.
    fn send(
        &mut self,
        exchange: Exchange<StateOf<S>>,
        body: &[u8],
    ) -> (StateOf<S>, Result<Received<E::Body>, TransportError>) {
        self.pause(exchange.delay);
        let waits = self.waits(&exchange.state, exchange.timeout, exchange.fresh_connection);
        let body = match &exchange.body {
            RequestBody::None => &[],
            RequestBody::Bytes(bytes) => &bytes[..],
            RequestBody::Caller(_) => body,
        };
        let response = self.env.send(&exchange.request, body, waits);
        let received = self.receive(exchange.request.method, exchange.response_body, response);
        (exchange.state, received)
    }

    pub(super) fn pause(&mut self, delay: Duration) {
        if !delay.is_zero() {
            self.env.sleep(delay);
        }
    }

    /// How long to wait in an exchange that begins now.
    pub(super) fn waits(&self, state: &StateOf<S>, idle: Duration, fresh_connection: bool) -> Waits {
        let deadline = self.began.saturating_add(self.uncounted).saturating_add(nanos(state.time_limit()));
        Waits { idle, deadline, now: self.env.now(), fresh_connection }
    }

    /// Reads of a response what the next step wants.
    pub(super) fn receive(
        &mut self,
        method: Method,
        wanted: ResponseBody,
        response: Result<(Head<'static>, E::Body), TransportError>,
    ) -> Result<Received<E::Body>, TransportError> {
        let (head, mut body) = response?;
        let success = (200..300).contains(&head.status);
        let none = || Received { head: head.clone(), text: Vec::new(), truncated: false, body: None };
        if method == Method::Head || head.status == 304 {
            return Ok(none());
        }
        if !success {
            body.set_deadline(self.env.now().saturating_add(nanos(ERROR_BODY_TIME)));
            let (text, truncated) = beginning(&mut body);
            return Ok(Received { text, truncated, ..none() });
        }
        let max = match wanted {
            ResponseBody::Caller => return Ok(Received { body: Some(body), ..none() }),
            // Success is mostly empty, and known by its header.
            ResponseBody::Buffer(_) if head.content_length() == Ok(Some(0)) => return Ok(none()),
            ResponseBody::Buffer(max) => max as usize,
        };
        let mut text = Vec::new();
        while text.len() < max {
            match body.read(CHUNK.min(max - text.len()))? {
                Some(more) => text.extend_from_slice(&more),
                None => return Ok(Received { text, ..none() }),
            }
        }
        let truncated = !matches!(body.read(1), Ok(None));
        Ok(Received { text, truncated, ..none() })
    }
}

/// The beginning of an error's body. If it breaks off, that is no matter: the status is known.
fn beginning(body: &mut impl Body) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    while text.len() < MAX_ERROR_BODY {
        match body.read(MAX_ERROR_BODY - text.len()) {
            Ok(Some(more)) => text.extend_from_slice(&more),
            Ok(None) => return (text, false),
            Err(_) => break,
        }
    }
    (text, true)
}
