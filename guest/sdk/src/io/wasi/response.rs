//! Responses.

use crate::contract::bindings::wasi::http::types::{IncomingBody, IncomingResponse, OutgoingBody};
use crate::contract::bindings::wasi::io::poll;
use crate::contract::bindings::wasi::io::streams::{InputStream, StreamError};
use crate::http::headers::text;
use crate::http::response::Head;
use crate::io::{Body, Waits};
use crate::machine::TransportError;

use super::error::{broken, stalled, stream_error, timer};

/// Status and header of a response.
pub(super) fn head_of(response: &IncomingResponse) -> Head<'static> {
    let mut headers = Vec::new();
    for (name, value) in response.headers().entries() {
        headers.push((name.into(), text(&value).into()));
    }
    Head { status: response.status(), headers }
}

/// A response whose body is fetched when it is first read: many have none. The fields are in the order in which their resources
/// must be dropped.
pub struct IncomingResponseBody {
    stream: Option<InputStream>,
    resources: Resources,
    waits: Waits,
    ended: bool,
}

/// The parents of a body's stream, which must be dropped before them.
pub struct Resources {
    body: Option<IncomingBody>,
    response: IncomingResponse,
    /// Kept open until the response is read.
    _sink: Option<OutgoingBody>,
}

impl IncomingResponseBody {
    pub(super) fn new(response: IncomingResponse, sink: Option<OutgoingBody>, waits: Waits) -> Self {
        let resources = Resources { body: None, response, _sink: sink };
        IncomingResponseBody { stream: None, resources, waits, ended: false }
    }

    fn open(&mut self) -> Result<&InputStream, TransportError> {
        if self.stream.is_none() {
            let body = self.resources.response.consume().map_err(|()| broken("the host gave no body"))?;
            self.stream = Some(body.stream().map_err(|()| broken("the host gave no body"))?);
            self.resources.body = Some(body);
        }
        self.stream.as_ref().ok_or_else(|| broken("the host gave no body"))
    }
}

impl Body for IncomingResponseBody {
    type Stream = (InputStream, Resources);

    fn into_stream(mut self) -> Result<(InputStream, Resources), TransportError> {
        self.open()?;
        match self.stream {
            Some(stream) => Ok((stream, self.resources)),
            None => Err(broken("the host gave no body")),
        }
    }

    fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>, TransportError> {
        if self.ended {
            return Ok(None);
        }
        let waits = self.waits;
        let stream = self.open()?;
        let result = loop {
            match stream.read(max as u64) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(bytes)),
                Err(StreamError::Closed) => break Ok(None),
                Err(error) => break Err(stream_error(error)),
            }
            let ready = stream.subscribe();
            let timer = timer(waits)?;
            if !poll::poll(&[&ready, &timer]).contains(&0) {
                return Err(stalled(waits, "it stopped in the middle of its response"));
            }
        };
        self.ended = true;
        result
    }

    fn has_excess(&mut self) -> bool {
        !self.ended && self.stream.as_ref().is_some_and(|stream| stream.read(1).is_ok_and(|bytes| !bytes.is_empty()))
    }

    fn set_deadline(&mut self, deadline: u64) {
        self.waits.deadline = self.waits.deadline.min(deadline);
    }
}
