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
mod tls;
mod trouble;

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub(crate) use body::{Answer, BodyFault, Fault, Source, Streamed};
pub(crate) use client::{Client, Clients};
pub use egress::Egress;
pub(crate) use exchange::{Answered, Prepared};
pub use tls::TlsOptions;
pub(crate) use trouble::Trouble;

use crate::limits::Limits;
use body::{Answering, Outgoing, Timeouts, Watch};
use trouble::Words;

/// Requests that one instance may have under way at once, their answers read or not: a call is one after the other, and
/// each takes a connection, of which the whole process has but so many.
const MAX_REQUESTS: usize = 8;

/// A caller's interest in how many bytes of a body have gone out.
pub(crate) type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// The way out of one store. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Way>);

struct Way {
    client: Client,
    egress: Egress,
    timeouts: Timeouts,
}

impl Gate {
    pub(crate) fn new(client: Client, egress: Egress, limits: &Limits) -> Gate {
        Gate(Arc::new(Way { client, egress, timeouts: Timeouts::of(limits) }))
    }

    /// Where it leads to first.
    pub(crate) fn endpoint(&self) -> Option<String> {
        self.0.egress.authorities().next()
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
}

impl Hooks {
    pub(crate) fn new(gate: Gate) -> Hooks {
        let places = Arc::new(Semaphore::new(MAX_REQUESTS));
        Hooks { gate, progress: None, words: Words::default(), places }
    }

    /// A call begins; `progress` is told of the bytes that go out in it.
    pub(crate) fn begin_call(&mut self, progress: Option<Progress>) {
        self.progress = progress;
        self.words.take();
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
        let Gate(way) = self.gate.clone();
        let timeouts = way.timeouts.within(options);
        let progress = self.progress.clone();
        // What was said of the one before is of no interest any more.
        self.words.take();
        let words = self.words.clone();
        let place = self.places.clone().try_acquire_owned();
        Box::new(async move {
            let Way { client, egress, .. } = &*way;
            let sent = match (egress.check(request.uri()), place) {
                (Ok(addresses), Ok(place)) => {
                    let source = request.map(Source::Plugin);
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
                    tracing::debug!(trouble = %trouble.words, "request failed");
                    words.say(trouble.words);
                    Err(trouble.error)
                }
            }
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        4
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        256 * 1024
    }
}
