//! Bodies of writes that the caller writes to a stream, one attempt at a time.

use std::time::Duration;

use crate::contract::error::{Error, Failure, Kind};
use crate::contract::model::{Operation, Output, Part, Written};
use crate::http::request::Method;
use crate::machine::service::Service;
use crate::machine::{Event, Next, ResponseBody, StateOf, Store};

use super::{Clock, Driver, Exchange, Transport};

/// A blob or part being written, with the request in flight `X`, at the service `S`.
pub struct Writer<X, S: Service> {
    stage: Stage<X, StateOf<S>>,
    /// As in [`Driver`].
    began: u64,
    uncounted: u64,
}

enum Stage<X, T> {
    /// An attempt can be made.
    Ready(Box<crate::machine::Exchange<T>>),
    /// The body is being written since this instant.
    Sending {
        request: X,
        state: Box<T>,
        method: Method,
        response_body: ResponseBody,
        timeout: Duration,
        fresh_connection: bool,
        since: u64,
    },
    Failed(Failure),
    /// The operation ended without a request for the body: [`Writer::finish`] returns its output.
    Complete(Box<Output>),
    Done,
}

/// What a body became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrittenBody {
    /// A blob.
    Blob(Written),
    /// A part.
    Part(Part),
}

impl<X: Exchange, S: Service> Writer<X, S> {
    /// Begins a put or the upload of a part. No request is sent yet.
    pub fn open<E: Transport<Exchange = X> + Clock>(
        store: &mut Store<S>,
        env: &mut E,
        operation: Operation,
    ) -> Result<Self, Failure> {
        let mut driver = Driver::new(store, env);
        let next = driver.store.begin(driver.env.wall(), operation);
        let stage = match driver.settle(next) {
            Next::Send(exchange) => Stage::Ready(exchange),
            Next::Failed(failure) => return Err(failure),
            Next::Done(output) => Stage::Complete(Box::new(output)),
        };
        Ok(Writer { stage, began: driver.began, uncounted: 0 })
    }

    fn driver<'a, E: Transport + Clock>(&self, store: &'a mut Store<S>, env: &'a mut E) -> Driver<'a, S, E> {
        Driver { store, env, began: self.began, uncounted: self.uncounted }
    }

    /// Begins an attempt: what to write the body to.
    pub fn body<E: Transport<Exchange = X> + Clock>(
        &mut self,
        store: &mut Store<S>,
        env: &mut E,
    ) -> Result<X::Sink, Failure> {
        loop {
            let exchange = match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Ready(exchange) => *exchange,
                Stage::Failed(failure) => {
                    self.stage = Stage::Failed(failure.clone());
                    return Err(failure);
                }
                other => {
                    self.stage = other;
                    return Err(nothing_to("write"));
                }
            };
            let mut driver = self.driver(store, env);
            driver.pause(exchange.delay);
            let (timeout, fresh_connection) = (exchange.timeout, exchange.fresh_connection);
            let (method, response_body) = (exchange.request.method, exchange.response_body);
            let waits = driver.waits(&exchange.state, timeout, fresh_connection);
            let begun = driver.env.begin(&exchange.request, exchange.body.length(), waits);
            match begun.and_then(|mut request| request.sink().map(|sink| (request, sink))) {
                Ok((request, sink)) => {
                    let since = env.now();
                    let state = Box::new(exchange.state);
                    self.stage =
                        Stage::Sending { request, state, method, response_body, timeout, fresh_connection, since };
                    return Ok(sink);
                }
                Err(error) => {
                    let next = driver.resume(exchange.state, Event::Failed(error));
                    self.stage = match driver.settle(next) {
                        Next::Send(exchange) => Stage::Ready(exchange),
                        Next::Failed(failure) => Stage::Failed(failure),
                        Next::Done(_) => Stage::Done,
                    };
                }
            }
        }
    }

    /// Ends an attempt of whose body so many bytes were written.
    pub fn finish<E: Transport<Exchange = X, Body = X::Body> + Clock>(
        &mut self,
        store: &mut Store<S>,
        env: &mut E,
        sent: u64,
    ) -> Result<WrittenBody, Failure> {
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        let (request, state, method, response_body, timeout, fresh_connection, since) = match stage {
            Stage::Sending { request, state, method, response_body, timeout, fresh_connection, since } => {
                (request, state, method, response_body, timeout, fresh_connection, since)
            }
            Stage::Complete(output) if sent == 0 => return written(*output),
            stage => {
                self.stage = stage;
                return Err(nothing_to("finish"));
            }
        };
        // The caller took as long as it took to write the body.
        self.uncounted = self.uncounted.saturating_add(env.now().saturating_sub(since));
        let mut driver = self.driver(store, env);
        let response = request.response(sent, driver.waits(&state, timeout, fresh_connection));
        let received = driver.receive(method, response_body, response);
        let next = driver.resume_received(*state, received);
        match driver.settle(next) {
            Next::Done(output) => written(output),
            Next::Failed(failure) => {
                self.stage = Stage::Failed(failure.clone());
                Err(failure)
            }
            Next::Send(exchange) => {
                let failure = exchange.retries.clone().unwrap_or_else(another_form);
                self.stage = Stage::Ready(exchange);
                Err(failure)
            }
        }
    }
}

fn written(output: Output) -> Result<WrittenBody, Failure> {
    match output {
        Output::Put(written) => Ok(WrittenBody::Blob(written)),
        Output::UploadPart(part) => Ok(WrittenBody::Part(part)),
        _ => Err(nothing_to("finish")),
    }
}

/// The service refused the form of the request, and the next attempt uses another: entity tags without quotes, say.
fn another_form() -> Failure {
    let mut failure = Error::failure(
        Kind::PreconditionFailed,
        "the service takes this write in another form only: write the body again",
    );
    failure.retryable = true;
    failure
}

/// The failure of a call for which the writer is in the wrong state.
fn nothing_to(what: &str) -> Failure {
    Error::failure(Kind::InvalidArgument, format!("there is no write in flight to {what}"))
}
