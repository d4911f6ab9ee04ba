//! Bodies of requests and responses, as the server watches them.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::IDLE_BODY;
use super::chunks::{ChunkError, Chunks, Framing};
use super::stall::Stall;
use crate::stats::RequestGuard;

/// An error of a request's body.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestBodyError {
    #[error("{IDLE_BODY}")]
    Idle,
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
    #[error(transparent)]
    Chunks(#[from] ChunkError),
}

/// A request's body: it fails if the client sends too little, and what is left of it can be read after the response.
#[derive(Clone)]
pub(super) struct RequestBody(Arc<Mutex<Watched>>);

struct Watched {
    body: Incoming,
    stall: Stall,
    received: Arc<AtomicU64>,
    /// Of a body in `aws-chunked` coding.
    chunks: Option<Chunks>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, framing: Option<Framing>, limit: Duration, received: Arc<AtomicU64>) -> Self {
        let chunks = framing.map(Chunks::new);
        RequestBody(Arc::new(Mutex::new(Watched { body, stall: Stall::new(limit), received, chunks })))
    }

    /// Reads the rest, up to `most` bytes.
    pub(super) async fn drain(&self, most: usize) {
        let mut read = 0;
        while read < most
            && let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut self.clone()).poll_frame(cx)).await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Watched) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        self.with(|watched| {
            loop {
                if let Some(ready) = watched.chunks.as_mut().and_then(Chunks::pop) {
                    return Poll::Ready(Some(Ok(Frame::data(ready))));
                }
                let frame = match Pin::new(&mut watched.body).poll_frame(cx) {
                    Poll::Ready(Some(frame)) => frame?,
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => {
                        return watched.stall.poll_stalled(cx).map(|()| Some(Err(RequestBodyError::Idle)));
                    }
                };
                let length = frame.data_ref().map_or(0, Bytes::len);
                watched.stall.progress(length);
                watched.received.fetch_add(length as u64, Relaxed);
                match (&mut watched.chunks, frame.into_data()) {
                    (Some(chunks), Ok(data)) => chunks.push(data)?,
                    // The trailer fields of HTTP itself are not those of `aws-chunked`.
                    (Some(_), Err(_)) => {}
                    (None, Ok(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    (None, Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|watched| watched.chunks.is_none() && watched.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|watched| if watched.chunks.is_none() { watched.body.size_hint() } else { SizeHint::default() })
    }
}

/// A response's body, whose end is the end of the request.
pub(super) struct ResponseBody {
    body: s3s::Body,
    guard: RequestGuard,
}

impl ResponseBody {
    pub(super) fn new(body: s3s::Body, guard: RequestGuard) -> Self {
        ResponseBody { body, guard }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, s3s::StdError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.guard.sent(length as u64);
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "a response broke off");
                self.guard.broken();
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
