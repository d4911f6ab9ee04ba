//! wasi:http for plugins without the interface `sans-io`: wasmtime's own implementation, over the store's HTTP client.
//!
//! wasmtime 48 reads the options of a request, which `outgoing-handler.handle` is given to own, and leaves them in the instance's
//! table. Each call would add one, and an instance that holds a resource between calls is not used again: [`add_to_linker`] replaces
//! the function by one that removes them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{Error as WasiError, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView};

use crate::http::{HttpError, HttpErrorKind, HttpGate, Progress, RequestedTimeouts, ResponseBody, Source};
use crate::sandbox::Bounds;
use crate::sandbox::host_state::State;
use crate::support::deadline;
use crate::types::body::Cause;

/// Maximum number of requests that one instance may have in flight, until their responses are read: a call sends one after the
/// other, and each takes one of the process's connections.
const MAX_REQUESTS: usize = 8;

/// Maximum number of requests that one call may send for each blob that it is about: retries, and lookups between them.
const MAX_REQUESTS_PER_BLOB: usize = 128;
/// Requests for each blob that may follow one another as soon as the plugin likes; before each further one is a pause of
/// [`REQUEST_BACKOFF`].
const FREE_REQUESTS_PER_BLOB: usize = 16;
const REQUEST_BACKOFF: Duration = Duration::from_millis(100);

/// Pieces of a request's body that are held until the connection takes them, and the bytes of each. More at once are fewer
/// switches between plugin and connection.
const BODY_CHUNKS: usize = 4;
const BODY_CHUNK: usize = 256 << 10;
/// The bytes of a piece where the memory for bodies is used up.
const LEAST_BODY_CHUNK: usize = 4 << 10;

/// Sends the requests of an instance over wasi:http.
pub(crate) struct Hooks {
    gate: HttpGate,
    progress: Option<Progress>,
    /// Of the request that failed last in this call.
    detail: ErrorDetail,
    /// Permits for requests in flight.
    permits: Arc<Semaphore>,
    /// Requests that this call has sent, the blobs that it is about, and the methods that it needs.
    sent: usize,
    blobs: usize,
    methods: &'static [Method],
    /// Bytes of bodies that the host may hold for a call, and what of them no body has been given yet.
    body_memory: usize,
    body_memory_left: usize,
}

impl Hooks {
    pub(crate) fn new(gate: HttpGate) -> Hooks {
        let permits = Arc::new(Semaphore::new(MAX_REQUESTS));
        Hooks {
            gate,
            progress: None,
            detail: ErrorDetail::default(),
            permits,
            sent: 0,
            blobs: 1,
            methods: &[],
            body_memory: 0,
            body_memory_left: 0,
        }
    }

    /// Bounds the bytes of request bodies that are held until the connection takes them, for all requests of a call together.
    pub(crate) fn set_body_memory(&mut self, bytes: usize) {
        (self.body_memory, self.body_memory_left) = (bytes, bytes);
    }

    /// Begins a call within these bounds; `progress` is called with the bytes that go out in it.
    pub(crate) fn begin_call(&mut self, bounds: &Bounds, progress: Option<Progress>) {
        self.progress = progress;
        self.detail.take();
        (self.sent, self.blobs, self.methods) = (0, bounds.operations.max(1), bounds.methods);
        self.body_memory_left = self.body_memory;
    }

    /// Takes the details of the request that failed last: the host knows addresses and certificates that the plugin does not.
    pub(crate) fn take_error_detail(&mut self) -> Option<String> {
        self.detail.take()
    }
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), WasiError>> + Send>), WasiError>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), WasiError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let gate = self.gate.clone();
        let options = options.unwrap_or_default();
        let timeouts = RequestedTimeouts {
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        let progress = self.progress.clone();
        self.detail.take();
        let detail = self.detail.clone();
        let checked = gate.check_request(self.methods, &request);
        let permit = self.permits.clone().try_acquire_owned();
        self.sent += 1;
        let most = MAX_REQUESTS_PER_BLOB.saturating_mul(self.blobs);
        let too_many = self.sent > most;
        let pauses = self.sent > FREE_REQUESTS_PER_BLOB.saturating_mul(self.blobs);
        Box::new(async move {
            let sending = async {
                if too_many {
                    return Err(HttpError::denied(format!("the plugin sent {most} requests in this call already")));
                }
                checked?;
                let permit = permit.map_err(|_| {
                    HttpError::denied(format!("the plugin has {MAX_REQUESTS} requests in flight already"))
                })?;
                if pauses {
                    deadline::sleep(REQUEST_BACKOFF).await;
                }
                if let Some(rate) = gate.rate() {
                    deadline::sleep(rate.delay()).await;
                }
                let connection = match gate.try_connection() {
                    Some(connection) => connection,
                    None => {
                        let limit = timeouts.first_byte.unwrap_or(Duration::MAX);
                        let waited = gate.connection("sending a request", limit).await;
                        waited.map_err(|error| HttpError::new(HttpErrorKind::ConnectionTimeout, error.to_string()))?
                    }
                };
                let request = request.map(|body| Source::Plugin(body.map_err(Cause::from).boxed_unsync()));
                gate.forward(request, timeouts, progress, connection).await.map(|response| (response, permit))
            };
            match sending.await {
                Ok((response, permit)) => {
                    if let Some(rate) = gate.rate() {
                        rate.responded(response.status().as_u16());
                    }
                    let body = |body| WasiResponseBody { body, detail, permit: Some(permit) }.boxed_unsync();
                    Ok((response.map(body), Box::new(async { Ok(()) }) as Box<_>))
                }
                Err(error) => {
                    let line = error.detail();
                    tracing::debug!(error = %line, "request failed");
                    detail.set(line);
                    Err(wasi_error(error.kind()))
                }
            }
        })
    }

    /// The client sets it.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        // A body has one piece that is being written besides those that wait.
        let chunk = BODY_CHUNK.min(self.body_memory_left / (BODY_CHUNKS + 1)).max(LEAST_BODY_CHUNK);
        self.body_memory_left = self.body_memory_left.saturating_sub(chunk * (BODY_CHUNKS + 1));
        chunk
    }
}

/// The details of the request that failed last, shared between [`Hooks`] and the bodies of responses.
#[derive(Clone, Default)]
struct ErrorDetail(Arc<Mutex<Option<String>>>);

impl ErrorDetail {
    fn set(&self, detail: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(detail);
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The body of a response as a plugin reads it.
struct WasiResponseBody {
    body: ResponseBody,
    detail: ErrorDetail,
    /// Held until the body is over.
    permit: Option<OwnedSemaphorePermit>,
}

impl Body for WasiResponseBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.permit = None;
        }
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                self.detail.set(error.detail());
                wasi_error(error.kind())
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The error code of wasi:http.
fn wasi_error(kind: HttpErrorKind) -> WasiError {
    match kind {
        HttpErrorKind::DnsError => WasiError::DnsError { rcode: None, info_code: None },
        HttpErrorKind::HttpResponseHeaderSectionSize => WasiError::HttpResponseHeaderSectionSize(None),
        HttpErrorKind::DestinationUnavailable => WasiError::DestinationUnavailable,
        HttpErrorKind::DestinationIpProhibited => WasiError::DestinationIpProhibited,
        HttpErrorKind::ConnectionRefused => WasiError::ConnectionRefused,
        HttpErrorKind::ConnectionTerminated => WasiError::ConnectionTerminated,
        HttpErrorKind::ConnectionTimeout => WasiError::ConnectionTimeout,
        HttpErrorKind::ConnectionReadTimeout => WasiError::ConnectionReadTimeout,
        HttpErrorKind::ConnectionWriteTimeout => WasiError::ConnectionWriteTimeout,
        HttpErrorKind::TlsProtocolError => WasiError::TlsProtocolError,
        HttpErrorKind::TlsCertificateError => WasiError::TlsCertificateError,
        HttpErrorKind::HttpRequestDenied => WasiError::HttpRequestDenied,
        HttpErrorKind::HttpResponseIncomplete => WasiError::HttpResponseIncomplete,
        HttpErrorKind::HttpResponseTimeout => WasiError::HttpResponseTimeout,
        HttpErrorKind::HttpProtocolError => WasiError::HttpProtocolError,
    }
}

/// The contract's version. The linker takes any later 0.2 for it, too.
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.0";

type Arguments = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Handled = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// Links the interface. `wasi:http/types` must have been linked before.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(HANDLER)?.func_wrap("handle", handle)
}

fn handle(mut store: StoreContextMut<'_, State>, (request, options): Arguments) -> wasmtime::Result<(Handled,)> {
    let mut http = store.data_mut().http();
    // wasmtime takes none for an error.
    http.table.get_mut(&request)?.path_with_query.get_or_insert_with(|| "/".to_owned());
    let borrowed = options.as_ref().map(|options| Resource::new_borrow(options.rep()));
    let handled = http.handle(request, borrowed);
    if let Some(options) = options {
        http.table.delete(options)?;
    }
    match handled {
        Ok(response) => Ok((Ok(response),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
