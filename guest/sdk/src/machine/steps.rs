//! Begin and resume: from a stage to its request, and from an event to the next stage.

use std::time::Duration;

use crate::contract::error::{Failure, Kind};
use crate::contract::model::Operation;
use crate::machine::service::{AttemptError, Flow, Outgoing, Service};
use crate::retry;

use super::state::{Progress, State, StateOf};
use super::step::Step;
use super::{Event, Exchange, Next, Response, Store};

impl<S: Service> Store<S> {
    /// Begins an operation. `wall` is the time in seconds since 1970.
    pub fn begin(&mut self, wall: u64, operation: Operation) -> Next<StateOf<S>> {
        let (service, mut step) = self.step(wall, State::new(operation));
        let flow = service.begin(&mut step);
        run(service, step, flow)
    }

    /// Continues an operation with the outcome of its exchange. `elapsed` is the time since it began, in nanoseconds.
    pub fn resume(&mut self, wall: u64, mut state: StateOf<S>, elapsed: u64, event: Event<'_>) -> Next<StateOf<S>> {
        state.progress.elapsed = state.progress.elapsed.max(elapsed);
        self.learn(&state);
        let (service, mut step) = self.step(wall, state);
        let failed = match event {
            Event::Failed(error) => step.not_responded(error),
            Event::Response(response) => match interpret(service, &mut step, &response) {
                Ok(reply) => {
                    let flow = advance(service, &mut step, Ok(reply));
                    return run(service, step, flow);
                }
                Err(error) => step.failed_attempt(error),
            },
        };
        let flow = match step.after(failed) {
            Ok((failure, pause)) => match attempt(service, step, pause, Some(failure)) {
                Ok(exchange) => return Next::Send(exchange),
                Err(failed) => {
                    let failure;
                    (step, failure) = *failed;
                    advance(service, &mut step, Err(failure))
                }
            },
            Err(failure) => advance(service, &mut step, Err(failure)),
        };
        run(service, step, flow)
    }

    /// A failure of an operation in this state.
    pub fn failure(&mut self, state: StateOf<S>, kind: Kind, what: &str) -> Failure {
        self.step(0, state).1.failure(kind, what)
    }

    fn step(&mut self, wall: u64, state: StateOf<S>) -> (&mut S, Step<'_, S>) {
        let Store { service, config, session } = self;
        (service, Step { config, session, state, wall, delay: Duration::ZERO })
    }

    /// Takes over what the operation found out in another instance. It comes from the driver, so it is held against the bounds.
    fn learn(&mut self, state: &StateOf<S>) {
        if let Some(skew) = state.skew.filter(|skew| skew.unsigned_abs() <= retry::max_skew(self.config.https)) {
            self.session.skew = skew;
        }
        self.service.learn(&state.notes);
    }
}

/// Goes on until there is a request to send, or an end.
fn run<S: Service>(service: &mut S, mut step: Step<'_, S>, mut flow: Flow<S::Stage>) -> Next<StateOf<S>> {
    loop {
        let delay = match flow {
            Flow::Done(output) => return Next::Done(output),
            Flow::Failed(failure) => return Next::Failed(failure),
            Flow::Send(stage, delay) => {
                step.state.stage = stage;
                delay
            }
            Flow::Aside(stage) => {
                step.state.aside = Some(step.state.progress);
                step.state.stage = stage;
                Duration::ZERO
            }
        };
        match attempt(service, step, delay, None) {
            Ok(exchange) => return Next::Send(exchange),
            Err(failed) => {
                let failure;
                (step, failure) = *failed;
                flow = advance(service, &mut step, Err(failure));
            }
        }
    }
}

/// A step, and why the request of its stage is not made.
type NotMade<'a, S> = Box<(Step<'a, S>, Failure)>;

/// Makes the request of the present stage, to be sent after this delay. `retries` is the failure of the attempt before.
fn attempt<'a, S: Service>(
    service: &mut S,
    mut step: Step<'a, S>,
    delay: Duration,
    retries: Option<Failure>,
) -> Result<Box<Exchange<StateOf<S>>>, NotMade<'a, S>> {
    if step.state.progress.attempts == 0 && step.state.stage == S::Stage::default() {
        step.own_request_begins();
    }
    step.delay = delay;
    let outgoing = service.request(&mut step);
    step.delay = Duration::ZERO;
    let Outgoing { request, body, response_body } = match outgoing {
        Ok(outgoing) => outgoing,
        Err(fault) => {
            let failure = step.attempted(fault);
            return Err(Box::new((step, failure)));
        }
    };
    if step.remaining() <= delay {
        let failure = step.out_of_time();
        return Err(Box::new((step, failure)));
    }
    let (_, timeout, fresh_connection) = step.timeout();
    let mut state = step.state;
    state.progress.attempts = state.progress.attempts.saturating_add(1);
    Ok(Box::new(Exchange { state, delay, timeout, request, body, response_body, fresh_connection, retries }))
}

/// What a response to the present stage's request says, or how the attempt failed.
fn interpret<S: Service>(
    service: &mut S,
    step: &mut Step<'_, S>,
    response: &Response<'_>,
) -> Result<S::Reply, AttemptError> {
    let head = &response.head;
    head.check_size()?;
    if (200..300).contains(&head.status) {
        return service.response(step, response);
    }
    // Such a response has no body.
    let body = if head.status == 304 { &[] } else { response.body };
    Err(service.error_response(step, head, body).into())
}

/// Where the operation goes after the present stage.
fn advance<S: Service>(service: &mut S, step: &mut Step<'_, S>, result: Result<S::Reply, Failure>) -> Flow<S::Stage> {
    if let Some(before) = step.state.aside.take() {
        let Progress { attempts, elapsed, .. } = step.state.progress;
        step.state.progress = Progress { attempts, elapsed, ..before };
    }
    let stage = std::mem::take(&mut step.state.stage);
    service.next(step, stage, result)
}
