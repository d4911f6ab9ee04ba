//! Writes whose bodies go past the plugin: begun in one call and finished in another.

use std::time::Duration;

use crate::content::Content;
use crate::env::{Body, Clock, Exchange, Transport, TransportError};
use crate::error::{Error, Failure, Kind};
use crate::model::{Digest, Pair, Part, PartOptions, WriteOptions, Written};
use crate::request::{self, Method, Request};
use crate::response::Head;
use crate::sigv4::PayloadHash;

use super::Store;
use super::call::{Call, Tries};
use super::upload::sent_checksums;

/// What the body of a write is written to.
pub type Sink<E> = <<E as Transport>::Exchange as Exchange>::Sink;

/// A write that is begun, and what its body is written to.
pub type Opening<E> = (Writing<<E as Transport>::Exchange>, Sink<E>);

/// A write under way, with the exchange `X` of its latest try.
pub struct Writing<X> {
    key: String,
    length: u64,
    digests: Vec<Digest>,
    target: Target,
    request: Request,
    /// How many headers it has before it is signed.
    unsigned: usize,
    payload: PayloadHash,
    tries: Tries,
    began: u64,
    state: State<X>,
}

/// What is written.
enum Target {
    Blob(WriteOptions),
    /// A part of this number, sent with these checksums.
    Part(u32, Vec<Pair>),
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
        let digests = options.digests.clone();
        let call = Call::start(self, env, "put", key, &options.call);
        let content = call.checked(Content::elsewhere(length, &digests, &call.store.settings))?;
        let (key, payload) = (call.whole_key()?, call.payload(&content));
        let request = call.checked(request::put(&call.store.settings, &key, &content, &options))?;
        call.open(length, digests, request, payload, Target::Blob(options))
    }

    /// Begins to upload a part of this length.
    pub fn open_part<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        (upload, number): (&str, u32),
        length: u64,
        options: PartOptions,
    ) -> Result<Opening<E>, Failure> {
        let call = Call::start(self, env, "upload a part of", key, &options.call);
        let settings = &call.store.settings;
        let content = call.checked(Content::elsewhere(length, &options.digests, settings))?;
        let (key, payload) = (call.whole_key()?, call.payload(&content));
        let request = call.checked(request::upload_part(settings, &key, upload, number, &content, &options))?;
        let target = Target::Part(number, sent_checksums(&request));
        call.open(length, options.digests, request, payload, target)
    }

    /// The outcome of a write of whose body so many bytes were written.
    pub fn finish_write<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        writing: &mut Writing<E::Exchange>,
        sent: u64,
    ) -> Result<Written, Failure> {
        let Writing { key, length, digests, target, tries, began, state, .. } = writing;
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
        let result = match call.try_settled(answer) {
            Ok(written) => Ok(written),
            Err((failure, None)) => Err(failure),
            Err((failure, Some(pause))) => {
                *tries = call.tries;
                *state = State::Failed(failure.clone(), Some(pause));
                return Err(failure);
            }
        };
        let result = match target {
            Target::Blob(options) => {
                let content = call.checked(Content::elsewhere(*length, digests, &call.store.settings))?;
                call.written(result, &content, options, *began)
            }
            Target::Part(..) => result,
        };
        *tries = call.tries;
        if let Err(failure) = &result {
            *state = State::Failed(failure.clone(), None);
        }
        result
    }

    /// The same of a part.
    pub fn finish_part<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        writing: &mut Writing<E::Exchange>,
        sent: u64,
    ) -> Result<Part, Failure> {
        let etag = self.finish_write(env, writing, sent)?.etag.unwrap_or_default();
        let Target::Part(number, attributes) = &writing.target else { return Err(nothing_to("finish as a part")) };
        let (number, attributes) = (*number, attributes.clone());
        Ok(Part { number, size: writing.length, etag, last_modified: None, attributes })
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
    /// What came of a try of a write; or why nothing did, and the pause after which another try may be made.
    pub(super) fn try_settled<B: Body>(
        &mut self,
        answer: Result<(Head, B), TransportError>,
    ) -> Result<Written, (Failure, Option<Duration>)> {
        let mut taken = Written::default();
        let settled = self.settle(Method::Put, answer, &mut |call, head, body| {
            taken = call.accepted(&head, body)?;
            Ok(())
        });
        match settled.map_err(|trouble| self.after(*trouble)) {
            Ok(()) => Ok(taken),
            Err(Err(failure)) => Err((failure, None)),
            Err(Ok((failure, pause))) => Err((failure, Some(pause))),
        }
    }

    fn open(
        mut self,
        length: u64,
        digests: Vec<Digest>,
        mut request: Request,
        payload: PayloadHash,
        target: Target,
    ) -> Result<Opening<E>, Failure> {
        let unsigned = request.headers.len();
        let began = self.env.now();
        let (exchange, since, sink) = self.begin(&mut request, unsigned, &payload, length)?;
        let (key, tries, state) = (self.key.to_owned(), self.tries, State::Sending(exchange, since));
        Ok((Writing { key, length, digests, target, request, unsigned, payload, tries, began, state }, sink))
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
