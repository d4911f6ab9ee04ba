//! Streams of the host's own that the plugin handed out: taken out of its instance, so that bytes go natively.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, StreamError};
use wasmtime_wasi_http::Error as HttpError;

use crate::transport::Cut;

/// The bytes of an answer.
pub(crate) struct Incoming {
    state: State,
    cut: Option<Cut>,
}

/// A body that broke off.
pub(crate) struct Broken {
    pub(crate) words: String,
    /// Whether it was given up because nothing came.
    pub(crate) timed_out: bool,
}

enum State {
    Here(DynInputStream),
    /// Until there is something to read.
    Waiting(Pin<Box<dyn Future<Output = DynInputStream> + Send>>),
    Over,
}

impl Incoming {
    /// `cut` ends what the stream stands on, where it is dropped before its end.
    pub(crate) fn new(stream: DynInputStream, cut: Option<Cut>) -> Incoming {
        Incoming { state: State::Here(stream), cut }
    }

    /// The next bytes, or why there are none; none at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            match &mut self.state {
                State::Over => return Poll::Ready(None),
                State::Waiting(waiting) => self.state = State::Here(ready!(waiting.as_mut().poll(cx))),
                State::Here(stream) => match stream.read(usize::MAX) {
                    Ok(bytes) if bytes.is_empty() => {
                        let State::Here(mut stream) = std::mem::replace(&mut self.state, State::Over) else { continue };
                        self.state = State::Waiting(Box::pin(async move {
                            stream.ready().await;
                            stream
                        }));
                    }
                    Ok(bytes) => return Poll::Ready(Some(Ok(bytes))),
                    Err(StreamError::Closed) => self.state = State::Over,
                    Err(StreamError::LastOperationFailed(error) | StreamError::Trap(error)) => {
                        self.state = State::Over;
                        let timed_out = matches!(error.downcast_ref(), Some(HttpError::ConnectionReadTimeout));
                        let told = self.cut.as_ref().and_then(Cut::take_words);
                        let words = told.unwrap_or_else(|| format!("{error:#}"));
                        return Poll::Ready(Some(Err(Broken { words, timed_out })));
                    }
                },
            }
        }
    }

    /// Whether there are bytes at hand that were not read.
    pub(crate) fn has_more(&mut self) -> bool {
        match &mut self.state {
            State::Here(stream) => stream.read(1).is_ok_and(|bytes| !bytes.is_empty()),
            State::Waiting(_) | State::Over => false,
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // What is left of the body would go back to the instance, and keep the connection until its next call.
        if !matches!(self.state, State::Over) {
            self.cut.iter().for_each(Cut::cut);
        }
    }
}

/// Writes these pieces, and says how many bytes were taken: not all where the stream broke off.
pub(crate) async fn write_all(mut stream: DynOutputStream, pieces: impl Iterator<Item = Bytes>) -> u64 {
    let mut sent = 0;
    for piece in pieces {
        match write(&mut stream, piece).await {
            Ok(count) => sent += count,
            Err(count) => return sent + count,
        }
    }
    sent
}

/// Writes this piece: how many bytes of it were taken, as an error where the stream broke off.
pub(crate) async fn write(stream: &mut DynOutputStream, mut piece: Bytes) -> Result<u64, u64> {
    let mut sent = 0;
    while !piece.is_empty() {
        let room = match stream.check_write() {
            Ok(0) => {
                stream.ready().await;
                continue;
            }
            Ok(room) => room,
            Err(_) => return Err(sent),
        };
        let part = piece.split_to(room.min(piece.len()));
        let count = part.len() as u64;
        match stream.write(part) {
            Ok(()) => sent += count,
            Err(_) => return Err(sent),
        }
    }
    Ok(sent)
}
