//! Outgoing HTTP: what plugins' requests go through. Nothing else in this crate knows hyper.
//!
//! A request of a plugin comes to [`Hooks`], is held against the store's [`Egress`], and goes out over the [`Client`],
//! whose connections all stores with the same TLS options share.

mod addresses;
mod alarm;
mod body;
mod client;
mod connect;
mod connections;
mod departing;
mod egress;
mod exchange;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod proxy;
mod request_rules;
mod resolver;
mod tls;
mod trouble;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub(crate) use addresses::private_networks;
pub(crate) use alarm::Alarm;
pub(crate) use body::{Answer, BodyFault, Fault, Source, Streamed};
pub(crate) use client::Clients;
pub(crate) use connect::Network;
pub use egress::Egress;
pub(crate) use exchange::{Answered, Prepared};
pub use proxy::Proxy;
use request_rules::check_own;
pub(crate) use request_rules::{Purpose, has_body};
pub use tls::TlsOptions;
pub(crate) use trouble::Trouble;

use crate::adaptive_rate::AdaptiveRate;
use crate::limits::Limits;
use crate::sandbox::Bounds;
use addresses::Addresses;
use body::{Answering, Outgoing, Timeouts, Watch};
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

/// A caller's interest in how many bytes of a body have gone out.
pub(crate) type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// The way out of one store. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Way>, Option<Arc<AdaptiveRate>>);

struct Way {
    /// The client that goes through no proxy.
    direct: Client,
    /// One for each authority that the policy allows, in its order.
    clients: Box<[Client]>,
    egress: Egress,
    timeouts: Timeouts,
}

impl Gate {
    fn new(direct: Client, clients: Box<[Client]>, egress: Egress, limits: &Limits) -> Gate {
        Gate(Arc::new(Way { direct, clients, egress, timeouts: Timeouts::of(limits) }), None)
    }

    /// The same, with a request rate that adapts to a service that throttles.
    pub(crate) fn with_adaptive_rate(self) -> Gate {
        Gate(self.0, Some(Arc::new(AdaptiveRate::new())))
    }

    /// The request rate, where it adapts.
    pub(crate) fn rate(&self) -> Option<&Arc<AdaptiveRate>> {
        self.1.as_ref()
    }

    /// A deadline of a call.
    pub(crate) fn alarm(&self) -> Alarm {
        self.0.direct.alarm()
    }

    /// Where it leads to first.
    pub(crate) fn endpoint(&self) -> Option<String> {
        self.0.egress.authorities().next()
    }
}

impl Way {
    /// Which client sends a request to this URL, and to which addresses; or why none does.
    fn client(&self, uri: &http::Uri) -> Result<(&Client, Addresses), Trouble> {
        let (place, addresses) = self.egress.check(uri)?;
        Ok((self.clients.get(place).unwrap_or(&self.direct), addresses))
    }
}

impl Gate {
    /// Fails with the reason if the URL does not lead to where the store may send requests.
    pub(crate) fn check_url(&self, url: &str) -> Result<(), String> {
        let url = url.parse().map_err(|_| "it is no URL".to_owned())?;
        self.0.egress.check(&url).map(drop).map_err(|refused| refused.words)
    }
}

/// What an instance's requests come to.
pub(crate) struct Hooks {
    gate: Gate,
    progress: Option<Progress>,
    /// What the host has to say on the request that failed last, in this call.
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
    pub(crate) fn new(gate: Gate) -> Hooks {
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

    /// The store's request rate, where it adapts.
    pub(crate) fn rate(&self) -> Option<Arc<AdaptiveRate>> {
        self.gate.rate().cloned()
    }

    /// Bounds the bytes of request bodies that are held until the connection takes them, for all requests of a call together.
    pub(crate) fn set_body_memory(&mut self, bytes: usize) {
        (self.body_memory, self.body_memory_left) = (bytes, bytes);
    }

    /// Begins a call within these bounds; `progress` is called with the bytes that go out in it.
    pub(crate) fn begin_call(&mut self, bounds: &Bounds, progress: Option<Progress>) {
        self.progress = progress;
        self.words.take();
        (self.sent, self.blobs, self.methods) = (bounds.requests, bounds.operations.max(1), bounds.methods);
        self.body_memory_left = self.body_memory;
    }

    /// Requests that the call has sent so far.
    pub(crate) fn requests(&self) -> usize {
        self.sent
    }

    /// Fails with what is wrong with a request of the plugin's own, but for its body.
    pub(crate) fn check(&self, request: &Request<WasiBody>) -> Result<(), String> {
        check_own(self.methods, request.method(), request.uri(), request.headers())
    }

    /// Keeps what is wrong with a request that is not sent.
    pub(crate) fn refuse(&mut self, words: String) {
        self.words.say(words);
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
        let Gate(way, _) = self.gate.clone();
        let is_long = options.is_some_and(|options| options.first_byte_timeout.is_some_and(|time| time > LONG));
        let timeouts = way.timeouts.within(options);
        let progress = self.progress.clone();
        // What was said of the one before is of no interest any more.
        self.words.take();
        let words = self.words.clone();
        let place = self.places.clone().try_acquire_owned();
        self.sent += 1;
        let most = MAX_REQUESTS_PER_BLOB.saturating_mul(self.blobs);
        let too_many = self.sent > most;
        let pauses = self.sent > FREE_REQUESTS_PER_BLOB.saturating_mul(self.blobs);
        Box::new(async move {
            let sent = match (way.client(request.uri()), place) {
                _ if too_many => Err(Trouble::denied(format!("the plugin sent {most} requests in this call already"))),
                (Ok((client, addresses)), Ok(place)) => {
                    if pauses {
                        crate::deadline::sleep(REQUEST_BACKOFF).await;
                    }
                    let mut source = request.map(Source::Plugin);
                    if is_long {
                        source.extensions_mut().insert(NewConnection);
                    }
                    let watch = Watch::new(source.body().is_over(), None);
                    let request = Box::new(source.map(|source| Outgoing::new(source, watch.clone(), progress)));
                    client.send(request, addresses, timeouts, &watch).await.map(|response| (response, place))
                }
                (Ok(_), Err(_)) => {
                    Err(Trouble::denied(format!("the plugin has {MAX_REQUESTS} requests under way already")))
                }
                (Err(refused), _) => Err(refused),
            };
            match sent {
                Ok((response, place)) => {
                    let body = |answer| Answering::new(answer, words, place).boxed_unsync();
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
