//! Requests in flight, and how their bodies are written.

use crate::contract::bindings::wasi::http::types::{FutureIncomingResponse, IncomingResponse, OutgoingBody};
use crate::contract::bindings::wasi::io::poll::{self, Pollable};
use crate::contract::bindings::wasi::io::streams::OutputStream;
use crate::contract::error::Kind;
use crate::http::response::Head;
use crate::io::{self, Waits};
use crate::machine::TransportError;

use super::error::{broken, error_of, first_timer, stalled, stream_error, timer, unfit};
use super::response::{IncomingResponseBody, head_of};

/// A request that was handed over to the host.
pub struct Pending {
    future: FutureIncomingResponse,
    /// The body, where it has one.
    sink: Option<OutgoingBody>,
    length: u64,
}

impl Pending {
    pub(super) fn new(future: FutureIncomingResponse, sink: Option<OutgoingBody>, length: u64) -> Pending {
        Pending { future, sink, length }
    }

    /// Writes the body, and waits for the response.
    pub(super) fn send(
        self,
        body: &[u8],
        waits: Waits,
    ) -> Result<(Head<'static>, IncomingResponseBody), TransportError> {
        let Some(sink) = &self.sink else { return self.end(None, None, waits) };
        let mut early = None;
        let stream = sink.write().map_err(|()| unfit("the body"))?;
        let written = write_all(&stream, body, &self.future, waits, &mut early);
        drop(stream);
        match written {
            Ok(Sent::All) => self.end(early, Some(Ok(())), waits),
            Ok(Sent::Responded) => self.end(early, None, waits),
            Err(error) if error.kind == Kind::Timeout => Err(error),
            Err(error) => self.end(early, Some(Err(error)), waits),
        }
    }

    /// The response. `early` is one that came before the body was sent; `written` says how writing it ended, and is none
    /// where it was left off because of that response.
    ///
    /// That writing broke off is no error yet: there may be an response that says why. A service may response before it has
    /// all of the body, and close. Then its response is what counts, unless that is a success it cannot have meant. A body
    /// that was left unfinished is kept until the response is read: closing it breaks the connection.
    fn end(
        self,
        early: Option<IncomingResponse>,
        written: Option<Result<(), TransportError>>,
        waits: Waits,
    ) -> Result<(Head<'static>, IncomingResponseBody), TransportError> {
        let Pending { future, mut sink, length } = self;
        let broken = match written {
            None => None,
            Some(Err(error)) => Some(error),
            Some(Ok(())) => {
                sink.take().and_then(|sink| OutgoingBody::finish(sink, None).err()).map(|code| error_of(&code))
            }
        };
        let response = match early {
            Some(response) => response,
            None if length == 0 => wait_for(&future, &first_timer(waits), waits)?,
            None => wait_for(&future, &timer(waits)?, waits)?,
        };
        match broken {
            Some(broken) if success(&response) => Err(broken),
            _ => Ok((head_of(&response), IncomingResponseBody::new(response, sink, waits))),
        }
    }
}

impl io::Exchange for Pending {
    type Body = IncomingResponseBody;
    type Sink = OutputStream;

    fn sink(&mut self) -> Result<OutputStream, TransportError> {
        let sink = self.sink.as_ref().ok_or_else(|| unfit("the body"))?;
        sink.write().map_err(|()| unfit("the body"))
    }

    fn response(self, sent: u64, waits: Waits) -> Result<(Head<'static>, IncomingResponseBody), TransportError> {
        let written = if sent == self.length { Ok(()) } else { Err(broken("the connection was closed")) };
        self.end(None, Some(written), waits)
    }
}

fn success(response: &IncomingResponse) -> bool {
    (200..300).contains(&response.status())
}

enum Sent {
    All,
    /// The service refused before it had all of it.
    Responded,
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
        let ready_response = future.subscribe();
        let ready = poll::poll(&[&writable, &timer, &ready_response]);
        if ready.contains(&2) {
            let response = take(future)?;
            // A success before the end is odd, but then the rest is wanted.
            let refused = !success(&response);
            *early = Some(response);
            if refused {
                return Ok(Sent::Responded);
            }
        } else if !ready.contains(&0) {
            return Err(stalled(waits, "it stopped taking the body"));
        }
    }
    Ok(Sent::All)
}

fn wait_for(
    future: &FutureIncomingResponse,
    timer: &Pollable,
    waits: Waits,
) -> Result<IncomingResponse, TransportError> {
    let ready = future.subscribe();
    if !poll::poll(&[&ready, timer]).contains(&0) {
        return Err(stalled(waits, "it did not respond"));
    }
    drop(ready);
    take(future)
}

fn take(future: &FutureIncomingResponse) -> Result<IncomingResponse, TransportError> {
    match future.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(error_of(&code)),
        Some(Err(())) | None => Err(broken("the host gave no response where it had one")),
    }
}
