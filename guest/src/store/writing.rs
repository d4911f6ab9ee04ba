//! Writes whose bodies go past the plugin: begun in one call and finished in another.

use std::time::Duration;

use crate::content::Content;
use crate::env::{Body, Clock, Exchange, Transport, TransportError};
use crate::error::{Error, Failure, Kind};
use crate::model::{WriteOptions, Written};
use crate::request::{self, Method, Request};
use crate::response::Head;
use crate::sigv4::PayloadHash;

use super::Store;
use super::call::{Call, Tries};

/// What the body of a write is written to.
pub type Sink<E> = <<E as Transport>::Exchange as Exchange>::Sink;

/// A write that is begun, and what its body is written to.
pub type Opening<E> = (Writing<<E as Transport>::Exchange>, Sink<E>);

/// A write under way, with the exchange `X` of its latest try.
pub struct Writing<X> {
    key: String,
    length: u64,
    options: WriteOptions,
    request: Request,
    /// How many headers it has before it is signed.
    unsigned: usize,
    payload: PayloadHash,
    tries: Tries,
    began: u64,
    state: State<X>,
}

enum State<X> {
    /// Its body is being written since this instant.
    Sending(X, u64),
    /// The latest try failed, and the next may be made after this pause, or none.
    Failed(Failure, Option<Duration>),
    Over,
}

impl Store {
    /// Begins to write a blob of this length.
    pub fn open_write<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        length: u64,
        options: WriteOptions,
    ) -> Result<Opening<E>, Failure> {
        let mut call = Call::start(self, env, "put", key, &options.call);
        let content = call.checked(Content::elsewhere(length, &options.digests, &call.store.settings))?;
        let (whole, payload) = (call.whole_key()?, call.payload(&content));
        let mut request = call.checked(request::put(&call.store.settings, &whole, &content, &options))?;
        let (unsigned, began) = (request.headers.len(), call.env.now());
        let (exchange, since, sink) = call.begin(&mut request, unsigned, &payload, length)?;
        let (key, tries, state) = (key.to_owned(), call.tries, State::Sending(exchange, since));
        Ok((Writing { key, length, options, request, unsigned, payload, tries, began, state }, sink))
    }

    /// The outcome of a write of whose body so many bytes were written.
    pub fn finish_write<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        writing: &mut Writing<E::Exchange>,
        sent: u64,
    ) -> Result<Written, Failure> {
        let Writing { key, length, options, tries, began, state, .. } = writing;
        let (exchange, since) = match std::mem::replace(state, State::Over) {
            State::Sending(exchange, since) => (exchange, since),
            other => {
                *state = other;
                return Err(nothing_to("finish"));
            }
        };
        let mut call = Call { store: self, env, key, tries: tries.clone() };
        // Writing the body took the caller as long as it took.
        let now = call.env.now();
        call.tries.extend(now.saturating_sub(since));
        let answer = exchange.answer(sent, call.waits(now));
        let result = match call.tried_write(answer) {
            Ok(written) => Ok(written),
            Err((failure, None)) => Err(failure),
            Err((failure, Some(pause))) => {
                *tries = call.tries;
                *state = State::Failed(failure.clone(), Some(pause));
                return Err(failure);
            }
        };
        let content = call.checked(Content::elsewhere(*length, &options.digests, &call.store.settings))?;
        let result = call.written(result, &content, options, *began);
        *tries = call.tries;
        if let Err(failure) = &result {
            *state = State::Failed(failure.clone(), None);
        }
        result
    }

    /// Begins the next try of a write that failed.
    pub fn again<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        writing: &mut Writing<E::Exchange>,
    ) -> Result<Sink<E>, Failure> {
        let Writing { key, length, request, unsigned, payload, tries, state, .. } = writing;
        match state {
            State::Failed(_, Some(pause)) => {
                let mut call = Call { store: self, env, key, tries: tries.clone() };
                call.pause(*pause);
                let begun = call.begin(request, *unsigned, payload, *length);
                *tries = call.tries;
                match begun {
                    Ok((exchange, since, sink)) => {
                        *state = State::Sending(exchange, since);
                        Ok(sink)
                    }
                    Err(failure) => {
                        *state = State::Failed(failure.clone(), None);
                        Err(failure)
                    }
                }
            }
            State::Failed(failure, None) => Err(failure.clone()),
            State::Sending(..) | State::Over => Err(nothing_to("try again")),
        }
    }
}

impl<E: Transport + Clock> Call<'_, E> {
    /// What came of a try of a write: as [`Call::tried`].
    pub(super) fn tried_write<B: Body>(
        &mut self,
        answer: Result<(Head, B), TransportError>,
    ) -> Result<Written, (Failure, Option<Duration>)> {
        let mut taken = Written::default();
        self.tried(Method::Put, answer, &mut |call, head, body| {
            taken = call.accepted(&head, body)?;
            Ok(())
        })?;
        Ok(taken)
    }

    /// Begins a try: the exchange, when its body's turn came, and what to write that to.
    fn begin(
        &mut self,
        request: &mut Request,
        unsigned: usize,
        payload: &PayloadHash,
        length: u64,
    ) -> Result<(E::Exchange, u64, Sink<E>), Failure> {
        loop {
            request.headers.truncate(unsigned);
            let begun = self.sign(request, payload).and_then(|waits| {
                let begun = self.env.begin(request, length, waits);
                let begun = begun.and_then(|mut exchange| exchange.sink().map(|sink| (exchange, sink)));
                begun.map_err(|error| self.transport_trouble(error))
            });
            match begun.map_err(|trouble| self.after(*trouble)) {
                Ok((exchange, sink)) => return Ok((exchange, self.env.now(), sink)),
                Err(after) => {
                    let (_, pause) = after?;
                    self.pause(pause);
                }
            }
        }
    }
}

/// The failure of a call that has no write to go on with.
pub fn nothing_to(what: &str) -> Failure {
    Error::failure(Kind::InvalidArgument, format!("there is no write under way to {what}"))
}
