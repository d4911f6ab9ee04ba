//! Connections: accept, keep-alive, graceful shutdown.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use s3s::service::S3Service;
use s3s::{Body, HttpError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes of a rejected request's body that are still read, and for how long.
const DRAIN: usize = 256 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Time for responses in progress after the shutdown begins.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// The accept loop. Dropping this stops it.
#[derive(Debug)]
pub(super) struct Running {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(listener: TcpListener, service: S3Service) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listen(listener, service, stopped));
        Running { stop, task: Some(task) }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // The task neither panics nor is cancelled, except with the runtime.
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// A request's body, whose rest can be read after the response.
#[derive(Clone)]
struct RequestBody(Arc<Mutex<Incoming>>);

impl RequestBody {
    /// Reads the rest, up to `most` bytes.
    async fn drain(&self, most: usize) {
        let mut read = 0;
        while read < most
            && let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut self.clone()).poll_frame(cx)).await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

async fn listen(listener: TcpListener, service: S3Service, mut stopped: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let requests = Arc::new(AtomicU64::new(0));
    // Dropped at the end, which aborts the remaining connections.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Also if the sender is dropped.
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Probably out of file descriptors: others will be closed.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (service, requests) = (service.clone(), requests.clone());
        let service = service_fn(move |request| {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            respond(service.clone(), request, number)
        });
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await;
}

/// Responds to a request, with a request ID in S3's format.
async fn respond(service: S3Service, request: Request<Incoming>, number: u64) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let body = RequestBody(Arc::new(Mutex::new(body)));
    let mut response = service
        .call(Request::from_parts(head, Body::http_body(body.clone())))
        .await
        .map_err(|error: HttpError| io::Error::other(Box::<dyn std::error::Error + Send + Sync>::from(error)))?;
    // Closing a connection with unread bytes resets it, and the client may miss the error response.
    let _ = tokio::time::timeout(DRAIN_TIME, body.drain(DRAIN)).await;
    // `s3s` has the status for GET only.
    if is_head && response.headers().contains_key(header::CONTENT_RANGE) && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if let Ok(id) = HeaderValue::try_from(format!("{number:016X}")) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    Ok(response)
}
