//! Operations whose requests the caller sends itself: what to send, and what came of it. Nothing is kept in between.

use std::time::Duration;

use crate::content::Content;
use crate::env::{Body, Clock, Transport, TransportError};
use crate::error::{Failure, Kind};
use crate::headers::{self, USER_AGENT};
use crate::model::{
    Asked, AskedPart, HeadOperation, Operation, Outgoing, Part, PartOperation, ReadOperation, Refusal, Retry, Settled,
    WriteOperation, Written,
};
use crate::model::{OpenedHead, Tries as Told};
use crate::request::{self, Method, Request};
use crate::response::{self, Head};
use crate::retry;
use crate::sigv4::PayloadHash;

use super::Store;
use super::call::{Accept, Call, Tries, nanos};
use super::upload::sent_checksums;

/// Added to the skew of tries where the service was found to take `if-match` without quotes only: the contract has no field
/// for it, and hands tries back as they were told. Far above any skew that is believed.
const BARE: i64 = 1 << 40;

impl Store {
    /// The request of an operation. Sends nothing.
    pub fn prepare<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        operation: Operation,
        tries: Told,
    ) -> Result<Outgoing, Failure> {
        match operation {
            Operation::Head(HeadOperation { key, options }) => {
                let options = options.unwrap_or_default();
                let call = Call::going_on(self, env, "head", &key, tries);
                let whole = call.whole_key()?;
                let request = call.checked(request::head(&call.store.settings, &whole, &options))?;
                call.outgoing(request, &PayloadHash::Empty, true)
            }
            Operation::Read(ReadOperation { key, options }) => {
                let options = options.unwrap_or_default();
                let call = Call::going_on(self, env, "get", &key, tries);
                let whole = call.whole_key()?;
                let request = call.checked(request::get(&call.store.settings, &whole, &options))?;
                call.outgoing(request, &PayloadHash::Empty, true)
            }
            Operation::Write(WriteOperation { key, length, digests, options }) => {
                let options = options.unwrap_or_default();
                let call = Call::going_on(self, env, "put", &key, tries);
                let settings = &call.store.settings;
                let content = call.checked(Content::elsewhere(length, &digests, settings))?;
                let (whole, payload, plain) = (call.whole_key()?, call.payload(&content), !settings.verify_after_write);
                let request = call.checked(request::put(settings, &whole, &content, &options))?;
                call.outgoing(request, &payload, plain)
            }
            Operation::Part(PartOperation { key, upload, number, length, digests, options }) => {
                let options = options.unwrap_or_default();
                let call = Call::going_on(self, env, "upload a part of", &key, tries);
                let settings = &call.store.settings;
                let content = call.checked(Content::elsewhere(length, &digests, settings))?;
                let (whole, payload) = (call.whole_key()?, call.payload(&content));
                let request =
                    call.checked(request::upload_part(settings, &whole, &upload, number, &content, &options))?;
                let plain = sent_checksums(&request).is_empty();
                call.outgoing(request, &payload, plain)
            }
        }
    }

    /// What came of a try: of the answer, or why there was none.
    pub fn settle<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        operation: Operation,
        tries: Told,
        answer: Result<(Head, &[u8]), TransportError>,
    ) -> Result<Settled, Refusal> {
        let answer = answer.map(|(head, body)| (head, Given(body))).map_err(|mut error| {
            if error.kind == Kind::Timeout {
                let patience = self.settings.timeout.as_millis() as u64;
                error.message.push_str(&format!(" (the setting timeout is {patience} ms)"));
            }
            error
        });
        match operation {
            Operation::Head(HeadOperation { key, .. }) => {
                let mut found = None;
                Call::answered(self, env, "head", &key, tries).settled(
                    Method::Head,
                    answer,
                    &mut |call, head, _| {
                        found = Some(response::blob_info(&head).map_err(|garbled| call.garbled(garbled))?);
                        Ok(())
                    },
                )?;
                Ok(Settled::Opened(found.unwrap_or_default().into()))
            }
            Operation::Read(ReadOperation { key, options }) => {
                let options = options.unwrap_or_default();
                let mut opened = None;
                let call = Call::answered(self, env, "get", &key, tries);
                call.settled(Method::Get, answer, &mut |call, head, _| {
                    opened = Some(call.opened(&head, options.range)?);
                    Ok(())
                })?;
                Ok(Settled::Opened(opened.unwrap_or_default()))
            }
            Operation::Write(WriteOperation { key, length, digests, options }) => {
                let options = options.unwrap_or_default();
                let mut call = Call::answered(self, env, "put", &key, tries);
                let began = call.tries.started;
                let result = match call.tried_write(answer) {
                    Err((error, Some(pause))) => return Err(call.refusal(error, Some(pause))),
                    Err((error, None)) => Err(error),
                    Ok(written) => Ok(written),
                };
                if call.wants_bare_tag(&result, &options.condition, &options.call)
                    && let Err(error) = result
                {
                    return Err(call.refusal(error, Some(Duration::ZERO)));
                }
                let written = call
                    .checked(Content::elsewhere(length, &digests, &call.store.settings))
                    .and_then(|content| call.written(result, &content, &options, began));
                written.map(Settled::Written).map_err(|error| call.refusal(error, None))
            }
            Operation::Part(PartOperation { key, upload, number, length, digests, options }) => {
                let options = options.unwrap_or_default();
                let mut call = Call::answered(self, env, "upload a part of", &key, tries);
                let mut etag = String::new();
                let tried = call.tried(Method::Put, answer, &mut |call, head, body| {
                    etag = call.accepted_part(&head, body)?;
                    Ok(())
                });
                tried.map_err(|(error, pause)| call.refusal(error, pause))?;
                let settings = &call.store.settings;
                let request = Content::elsewhere(length, &digests, settings).and_then(|content| {
                    let whole = call.whole_key()?;
                    request::upload_part(settings, &whole, &upload, number, &content, &options)
                });
                let attributes = match request {
                    Ok(request) => sent_checksums(&request),
                    Err(error) => return Err(call.refusal(error, None)),
                };
                Ok(Settled::Part(Part { number, size: length, etag, last_modified: None, attributes }))
            }
        }
    }
}

/// What an answer with a status of the 200s comes to, where its header tells all.
pub fn take(asked: Asked, head: &Head) -> Option<Settled> {
    head.check_size().ok()?;
    match asked {
        Asked::Head => response::blob_info(head).ok().map(|info| Settled::Opened(info.into())),
        Asked::Read(range) => {
            let (info, given) = response::blob_part(head, range).ok()?;
            let range = response::wanted(range, info.size)?;
            let digest = response::checksum_of(head, given, info.size);
            Some(Settled::Opened(OpenedHead { info, range, given, digest }))
        }
        Asked::Write => accepted(head).map(Settled::Written),
        Asked::Part(AskedPart { number, size }) => {
            let etag = accepted(head)?.etag?;
            Some(Settled::Part(Part { number, size, etag, last_modified: None, attributes: Vec::new() }))
        }
    }
}

/// A write that was taken: success has an empty body.
fn accepted(head: &Head) -> Option<Written> {
    if head.content_length() != Ok(Some(0)) {
        return None;
    }
    // One without an entity tag is looked at as a whole.
    response::written(head).ok().filter(|written| written.etag.is_some())
}

impl<'a, E: Transport + Clock> Call<'a, E> {
    /// A call that began as long ago as the tries tell, and has a request to make.
    fn going_on(store: &'a mut Store, env: &'a mut E, operation: &'static str, key: &'a str, told: Told) -> Self {
        let now = env.now();
        let Told { limit, elapsed, attempts, retries, maybe_done, skewed, .. } = told;
        let (skew, bare) =
            if told.skew > BARE / 2 { (told.skew.saturating_sub(BARE), true) } else { (told.skew, false) };
        store.settings.bare_if_match |= bare;
        // Another instance may have found out. It comes from outside: what none of ours can have told does not count.
        if skewed && skew.unsigned_abs() <= retry::max_skew(store.settings.endpoint.https) {
            store.skew = skew;
        }
        let mut tries = Tries::new(operation, Duration::from_nanos(limit), now.saturating_sub(elapsed));
        (tries.now, tries.deadline) = (Some(now), now.saturating_add(limit.saturating_sub(elapsed)));
        (tries.attempts, tries.retries) = (attempts, retries);
        (tries.maybe_done, tries.skewed) = (maybe_done, skewed);
        Call { store, env, key, tries }
    }

    /// The same, with a request that was made.
    fn answered(store: &'a mut Store, env: &'a mut E, operation: &'static str, key: &'a str, told: Told) -> Self {
        let attempts = told.attempts.saturating_add(1);
        Call::going_on(store, env, operation, key, Told { attempts, ..told })
    }

    /// The request, signed.
    fn outgoing(mut self, mut request: Request, payload: &PayloadHash, plain: bool) -> Result<Outgoing, Failure> {
        self.sign(&mut request, payload).map_err(|trouble| trouble.failure)?;
        request.header("user-agent", USER_AGENT);
        let headers = headers::lines(&request.headers);
        let (method, https, authority) = (request.method, request.https, std::mem::take(&mut request.authority));
        let path_with_query = request.into_path_and_query();
        let patience = nanos(self.store.settings.timeout);
        Ok(Outgoing { method, https, authority, path_with_query, headers, patience, plain })
    }

    /// What came of a try of something that may be repeated at will.
    fn settled<B: Body>(
        mut self,
        method: Method,
        answer: Result<(Head, B), TransportError>,
        accept: &mut Accept<'_, Self, B>,
    ) -> Result<(), Refusal> {
        self.tried(method, answer, accept).map_err(|(failure, pause)| self.refusal(failure, pause))
    }

    fn refusal(&self, failure: Failure, pause: Option<Duration>) -> Refusal {
        let Tries { attempts, retries, maybe_done, skewed, .. } = self.tries;
        let tries = Told {
            limit: nanos(self.tries.limit),
            elapsed: 0,
            attempts,
            retries,
            maybe_done,
            skewed,
            skew: self.store.skew + if self.store.settings.bare_if_match { BARE } else { 0 },
        };
        Refusal { failure, again: pause.map(|pause| Retry { pause: nanos(pause), tries }) }
    }
}

/// An answer's body that is here, or as much of it as there is to be.
struct Given<'a>(&'a [u8]);

impl Body for Given<'_> {
    type Stream = Vec<u8>;

    fn into_stream(self) -> Result<Vec<u8>, TransportError> {
        Ok(self.0.to_vec())
    }

    fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>, TransportError> {
        let (piece, rest) = self.0.split_at(max.min(self.0.len()));
        self.0 = rest;
        Ok(Some(piece.to_vec()).filter(|piece| !piece.is_empty()))
    }

    fn surplus(&mut self) -> bool {
        !self.0.is_empty()
    }

    fn hurry(&mut self, _: u64) {}
}
