//! Outgoing HTTP. Nothing else in this crate knows hyper.
//!
//! The driver sends the requests of sans-I/O plugins through the store's [`HttpGate`], and [`Hooks`] those of other plugins. Each is
//! checked against the store's [`Egress`] policy, and goes out over the [`Client`], whose connections all stores with the same
//! TLS options share.

mod adaptive_rate;
mod addresses;
mod body;
mod client;
mod connect;
mod connections;
mod egress;
mod exchange;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod proxy;
mod request_rules;
mod resolver;
mod timers;
mod tls;
mod tracked_buf;
mod trouble;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub(crate) use addresses::private_networks;
pub(crate) use body::{BodyFault, Fault, ResponseBody, Source, Streamed};
pub(crate) use client::Clients;
pub(crate) use connect::Network;
pub use egress::Egress;
pub(crate) use exchange::{Prepared, Received};
pub use proxy::Proxy;
use request_rules::check_own;
pub(crate) use timers::Timer;
pub use tls::TlsOptions;
pub(crate) use trouble::Trouble;

use crate::http::adaptive_rate::AdaptiveRate;
use crate::limits::Limits;
use crate::sandbox::Bounds;
use crate::support::deadline;
use addresses::Addresses;
use body::{RequestBody, RequestProgress, Timeouts, WasiResponseBody};
use client::Client;
use connections::NewConnection;
use trouble::Words;

/// Requests that one instance may have under way at once, their answers read or not: a call is one after the other, and
/// each takes a connection, of which the whole process has but so many.
const MAX_REQUESTS: usize = 8;

/// Requests that one call may send over wasi:http, for each blob that it is about: its retries, and what it looks up in between.
const MAX_REQUESTS_PER_BLOB: usize = 128;
/// Of these, how many may follow one another as soon as the plugin likes; before each further one is a pause of
/// [`REQUEST_BACKOFF`].
const FREE_REQUESTS_PER_BLOB: usize = 16;
const REQUEST_BACKOFF: Duration = Duration::from_millis(100);

/// Pieces of a request's body that are held until the connection takes them, and the bytes of each. More at once are fewer
/// switches between plugin and connection.
const BODY_CHUNKS: usize = 4;
const BODY_CHUNK: usize = 256 << 10;
/// The bytes of a piece where the memory for bodies is used up.
const LEAST_BODY_CHUNK: usize = 4 << 10;

/// A request that may wait longer than this for its response takes a new connection: an idle one that is dead without a sign would
/// cost as long. Completed uploads and copies are such requests.
const LONG: Duration = Duration::from_secs(60);

/// A callback invoked with the number of bytes of a body sent so far.
pub(crate) type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// Sends the requests of one store, within its egress policy. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct HttpGate(Arc<GateState>, Option<Arc<AdaptiveRate>>);

struct GateState {
    /// The client that goes through no proxy.
    direct: Client,
    /// One for each authority that the policy allows, in its order.
    clients: Box<[Client]>,
    egress: Egress,
    timeouts: Timeouts,
}

impl HttpGate {
    fn new(direct: Client, clients: Box<[Client]>, egress: Egress, limits: &Limits) -> HttpGate {
        HttpGate(Arc::new(GateState { direct, clients, egress, timeouts: Timeouts::of(limits) }), None)
    }

    /// The same, with a request rate that adapts to a service that throttles.
    pub(crate) fn with_adaptive_rate(self) -> HttpGate {
        HttpGate(self.0, Some(Arc::new(AdaptiveRate::new())))
    }

    /// The request rate, where it adapts.
    pub(crate) fn rate(&self) -> Option<&Arc<AdaptiveRate>> {
        self.1.as_ref()
    }

    /// A timer that is not set yet.
    pub(crate) fn timer(&self) -> Timer {
        self.0.direct.timer()
    }

    /// The first authority that it allows.
    pub(crate) fn endpoint(&self) -> Option<String> {
        self.0.egress.authorities().next()
    }
}

impl GateState {
    /// Which client sends a request to this URL, and to which addresses; or why none does.
    fn client(&self, uri: &http::Uri) -> Result<(&Client, Addresses), Trouble> {
        let (place, addresses) = self.egress.check(uri)?;
        Ok((self.clients.get(place).unwrap_or(&self.direct), addresses))
    }
}

impl HttpGate {
    /// Fails with the reason if the URL does not lead to where the store may send requests.
    pub(crate) fn check_url(&self, url: &str) -> Result<(), String> {
        let url = url.parse().map_err(|_| "it is no URL".to_owned())?;
        self.0.egress.check(&url).map(drop).map_err(|refused| refused.words)
    }
}

/// Sends the requests of an instance over wasi:http.
pub(crate) struct Hooks {
    gate: HttpGate,
    progress: Option<Progress>,
    /// The error detail of the request that failed last, in this call.
    words: Words,
    /// Places for requests under way.
    places: Arc<Semaphore>,
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
        let places = Arc::new(Semaphore::new(MAX_REQUESTS));
        Hooks {
            gate,
            progress: None,
            words: Words::default(),
            places,
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
        self.words.take();
        (self.sent, self.blobs, self.methods) = (0, bounds.operations.max(1), bounds.methods);
        self.body_memory_left = self.body_memory;
    }

    /// Why the last request failed, in the host's words: it knows addresses and certificates that the plugin does not.
    pub(crate) fn take_refusal(&mut self) -> Option<String> {
        self.words.take()
    }
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let HttpGate(way, rate) = self.gate.clone();
        let is_long = options.is_some_and(|options| options.first_byte_timeout.is_some_and(|time| time > LONG));
        let timeouts = way.timeouts.within(options);
        let progress = self.progress.clone();
        // What was said of the one before is of no interest any more.
        self.words.take();
        let words = self.words.clone();
        let checked = check_own(self.methods, &request).map_err(Trouble::denied);
        let place = self.places.clone().try_acquire_owned();
        self.sent += 1;
        let most = MAX_REQUESTS_PER_BLOB.saturating_mul(self.blobs);
        let too_many = self.sent > most;
        let pauses = self.sent > FREE_REQUESTS_PER_BLOB.saturating_mul(self.blobs);
        Box::new(async move {
            let sent = match (checked.and_then(|()| way.client(request.uri())), place) {
                _ if too_many => Err(Trouble::denied(format!("the plugin sent {most} requests in this call already"))),
                (Ok((client, addresses)), Ok(place)) => {
                    if pauses {
                        deadline::sleep(REQUEST_BACKOFF).await;
                    }
                    if let Some(rate) = &rate {
                        deadline::sleep(rate.delay()).await;
                    }
                    let mut source = request.map(Source::Plugin);
                    if is_long {
                        source.extensions_mut().insert(NewConnection);
                    }
                    let watch = RequestProgress::new(source.body().is_over(), None);
                    let request = Box::new(source.map(|source| RequestBody::new(source, watch.clone(), progress)));
                    client.send(request, addresses, timeouts, &watch).await.map(|response| (response, place))
                }
                (Ok(_), Err(_)) => {
                    Err(Trouble::denied(format!("the plugin has {MAX_REQUESTS} requests under way already")))
                }
                (Err(refused), _) => Err(refused),
            };
            match sent {
                Ok((response, place)) => {
                    if let Some(rate) = &rate {
                        rate.responded(response.status().as_u16());
                    }
                    let body = |answer| WasiResponseBody::new(answer, words, place).boxed_unsync();
                    Ok((response.map(body), Box::new(async { Ok(()) }) as Box<_>))
                }
                Err(trouble) => {
                    let trouble = trouble.sanitized();
                    tracing::debug!(trouble = %trouble.words, "request failed");
                    words.say(trouble.words);
                    Err(trouble.error)
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
