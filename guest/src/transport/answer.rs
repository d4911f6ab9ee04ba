//! Answers.

use crate::bindings::wasi::http::types::{IncomingBody, IncomingResponse, OutgoingBody};
use crate::bindings::wasi::io::poll;
use crate::bindings::wasi::io::streams::{InputStream, StreamError};
use crate::env::{Body, TransportError, Waits};
use crate::headers::text;
use crate::response::Head;

use super::trouble::{broken, stalled, stream_error, timer};

/// The head of an answer.
pub(super) fn head_of(answer: &IncomingResponse) -> Head<'static> {
    let mut headers = Vec::new();
    for (name, value) in answer.headers().entries() {
        headers.push((name.into(), text(&value).into()));
    }
    Head { status: answer.status(), headers }
}

/// An answer whose body is fetched when it is first read: many have none. The fields' order is the order in which
/// their resources must go.
pub struct Answer {
    stream: Option<InputStream>,
    kept: Kept,
    waits: Waits,
    over: bool,
}

/// What the stream of a body stands on. It must go first.
pub struct Kept {
    body: Option<IncomingBody>,
    answer: IncomingResponse,
    /// Kept open until the answer is read.
    _sink: Option<OutgoingBody>,
}

impl Answer {
    pub(super) fn new(answer: IncomingResponse, sink: Option<OutgoingBody>, waits: Waits) -> Answer {
        Answer { stream: None, kept: Kept { body: None, answer, _sink: sink }, waits, over: false }
    }

    fn open(&mut self) -> Result<&InputStream, TransportError> {
        if self.stream.is_none() {
            let body = self.kept.answer.consume().map_err(|()| broken("the host gave no body"))?;
            self.stream = Some(body.stream().map_err(|()| broken("the host gave no body"))?);
            self.kept.body = Some(body);
        }
        self.stream.as_ref().ok_or_else(|| broken("the host gave no body"))
    }
}

impl Body for Answer {
    type Stream = (InputStream, Kept);

    fn into_stream(mut self) -> Result<(InputStream, Kept), TransportError> {
        self.open()?;
        match self.stream {
            Some(stream) => Ok((stream, self.kept)),
            None => Err(broken("the host gave no body")),
        }
    }

    fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>, TransportError> {
        if self.over {
            return Ok(None);
        }
        let waits = self.waits;
        let stream = self.open()?;
        let ended = loop {
            match stream.read(max as u64) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(bytes)),
                Err(StreamError::Closed) => break Ok(None),
                Err(error) => break Err(stream_error(error)),
            }
            let ready = stream.subscribe();
            let timer = timer(waits)?;
            if !poll::poll(&[&ready, &timer]).contains(&0) {
                return Err(stalled(waits, "it stopped in the middle of its answer"));
            }
        };
        self.over = true;
        ended
    }

    fn surplus(&mut self) -> bool {
        !self.over && self.stream.as_ref().is_some_and(|stream| stream.read(1).is_ok_and(|bytes| !bytes.is_empty()))
    }

    fn hurry(&mut self, deadline: u64) {
        self.waits.deadline = self.waits.deadline.min(deadline);
    }
}
