//! The HTTP server of the S3 endpoint: connections, their limits, and the shutdown.

mod body;
pub(crate) mod chunks;
mod io;
mod stall;
pub(crate) mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use s3s::service::S3Service;
use s3s::{HttpError, StdError, s3_error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::ServeLimits;
use crate::record::Record;
use crate::s3::wire;
use crate::stats::{RequestGuard, Stats};
use body::{RequestBody, ResponseBody};
use chunks::Framing;
use io::BoundedIo;

/// The message of a request body that stalls.
pub(crate) const IDLE_BODY: &str = "the client sent too little for too long";

/// Bytes of a rejected request's body that are still read, and for how long.
const DRAIN: usize = 256 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Maximum number of header fields of a request.
const MAX_HEADERS: usize = 128;
/// Forms at once, each of which may take 16 MiB of memory before it is authorized.
const MAX_FORMS: usize = 16;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the connections of an endpoint share.
pub(crate) struct Endpoint {
    pub service: S3Service,
    pub limits: ServeLimits,
    pub tls: Option<TlsAcceptor>,
    pub stats: Arc<Stats>,
    connections: Arc<Semaphore>,
    /// Forms in flight.
    forms: Arc<Semaphore>,
    requests: RequestIds,
}

/// Ids of requests in S3's format: unique in the process, and hardly ever the same in another.
struct RequestIds {
    seed: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        RequestIds { seed: RandomState::new().hash_one(0), next: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        // An odd factor: different numbers have different products.
        let number = self.next.fetch_add(1, Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{:016X}", number.wrapping_add(self.seed))
    }
}

impl Endpoint {
    pub(crate) fn new(service: S3Service, limits: ServeLimits, tls: Option<TlsAcceptor>, stats: Arc<Stats>) -> Self {
        let connections = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let forms = Arc::new(Semaphore::new(MAX_FORMS));
        Endpoint { service, limits, tls, stats, connections, forms, requests: RequestIds::new() }
    }

    /// Accepts connections until `stopped` is true or dropped. Then requests in flight have the time `drain`.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        // Dropped at the end, which closes the remaining connections.
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&listener) => accepted,
                _ = stopped.wait_for(|stop| *stop) => break,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, permit)) => {
                    let watcher = graceful.watcher();
                    let connection = self.clone().serve(stream, permit, watcher);
                    connections.spawn(connection);
                }
                Err(error) => {
                    // Probably out of file descriptors: others will be closed.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(self.limits.drain, graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = connections.len(), "requests in flight did not end in time");
        }
    }

    /// Accepts a connection once there is room for one.
    async fn accept(&self, listener: &TcpListener) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let permit = self.connections.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        Ok((stream, permit))
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let open = (self.stats.connection(), permit);
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.clone().serve_on(stream, watcher).await,
            Some(tls) => match tokio::time::timeout(self.limits.header_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.clone().serve_on(stream, watcher).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
        drop(open);
    }

    async fn serve_on(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let limits = &self.limits;
        let stream = TokioIo::new(BoundedIo::new(stream, limits.body_timeout));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_headers(MAX_HEADERS);
        builder.max_buf_size(usize::try_from(limits.header_size).unwrap_or(usize::MAX).max(8 << 10));
        let endpoint = self.clone();
        let service = service_fn(move |request| respond(endpoint.clone(), request));
        let connection = watcher.watch(builder.serve_connection(stream, service));
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

/// Responds to a request.
async fn respond(
    endpoint: Arc<Endpoint>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, std::io::Error> {
    let id = endpoint.requests.next();
    let received = Arc::new(AtomicU64::new(0));
    let record = Arc::new(Record::default());
    let mut guard = RequestGuard::new(endpoint.stats.clone(), record.clone(), received.clone());
    let (mut head, body) = request.into_parts();
    head.extensions.insert(record.clone());
    let body = RequestBody::new(body, Framing::of(&head.headers), endpoint.limits.body_timeout, received);
    // A client that waits for 100 has sent nothing, and would be asked to by a read.
    let waits = head.headers.contains_key(header::EXPECT);
    let form = is_form(&head).then(|| endpoint.forms.clone().try_acquire_owned());
    let mut response = match form {
        Some(Err(_)) => s3_error!(SlowDown, "Please reduce your request rate.").to_http_response().map_err(to_io)?,
        // The permit is held until the response.
        _permit => {
            let request = Request::from_parts(head, s3s::Body::http_body(body.clone()));
            endpoint.service.call(request).await.map_err(|error: HttpError| to_io(StdError::from(error)))?
        }
    };
    response = wire::corrected(&record, response);
    // Closing a connection with unread bytes resets it, and the client may miss the error response.
    if !waits && (response.status().is_client_error() || response.status().is_server_error()) {
        let _ = tokio::time::timeout(DRAIN_TIME, body.drain(DRAIN)).await;
    }
    if let Some(status) = record.status().filter(|_| response.status().is_success()) {
        *response.status_mut() = status;
    }
    let status = response.status();
    let headers = response.headers_mut();
    if status == StatusCode::SERVICE_UNAVAILABLE && headers.contains_key(header::RETRY_AFTER) {
        record.set_throttled();
    }
    // The id of the tenant's service, if it gave one, is of more use to the client.
    let service_id = headers.get("x-amz-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    if let Ok(id) = HeaderValue::try_from(id.as_str()) {
        headers.entry("x-amz-request-id").or_insert_with(|| id.clone());
        headers.insert("x-sandbucket-request-id", id);
    }
    guard.responded(status);
    tracing::info!(
        target: "sandbucket_gateway::requests",
        id,
        service_id,
        tenant = record.tenant().unwrap_or(crate::stats::NOBODY),
        operation = record.operation().unwrap_or("other"),
        status = status.as_u16(),
        milliseconds = u64::try_from(guard.elapsed().as_millis()).unwrap_or(u64::MAX),
        "request"
    );
    Ok(response.map(|body| ResponseBody::new(body, guard)))
}

fn to_io(error: impl Into<StdError>) -> std::io::Error {
    std::io::Error::other(error)
}

/// Whether a request is a form (`PostObject`), whose file s3s gathers before the request is authorized.
fn is_form(head: &http::request::Parts) -> bool {
    let media_type = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let form = b"multipart/form-data";
    head.method == Method::POST && media_type.len() >= form.len() && media_type[..form.len()].eq_ignore_ascii_case(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_unique() {
        let ids = RequestIds::new();
        let made: std::collections::HashSet<String> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| id.len() == 16));
    }
}
