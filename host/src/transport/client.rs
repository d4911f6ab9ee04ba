//! The HTTP client: connections kept and used again, and requests that are watched.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{Either, select};
use http::{Request, Response};
use hyper::client::conn::http1::Builder;

use super::addresses::Addresses;
use super::alarm::{Alarm, Alarms};
use super::body::{Answer, Outgoing, Timeouts, Watch};
use super::connect::{Connector, Network};
use super::connections::{self, Connections, IdlePool, READ_PER_POLL, SendError};
use super::tls::TlsOptions;
use super::trouble::Trouble;
use crate::error::Result;
use crate::limits::Limits;

/// Header lines in an answer. S3 sends about ten, and one for each piece of user metadata, of which 2 KiB are allowed.
const MAX_HEADERS: usize = 256;

/// How much is read from a connection at once, in bytes, and so how much may be kept for each while it is idle: 128 KiB of a
/// body, and the header before it. More takes fewer calls into the kernel, but the buffers of those that are in use are
/// then not in the processor's cache when it copies to them. Half as much takes a tenth longer for blobs of 16 MiB; of 64
/// answers of 1 MiB at once, twice as much takes a sixth longer.
const READ: usize = 132 << 10;

/// The body of an answer, as it comes over its connection.
pub(super) type Arriving = connections::Arriving<Connector, Outgoing>;

/// The clients of an engine, one for each way of TLS, which share a bound on how many connections are kept idle.
pub(crate) struct Clients {
    clients: Mutex<HashMap<TlsOptions, Client>>,
    idle: Arc<IdlePool<Connector, Outgoing>>,
    network: Network,
}

impl Clients {
    pub(crate) fn new(network: Network, limits: &Limits) -> Clients {
        let Limits { idle_connections, max_idle_connections, idle_timeout, .. } = *limits;
        let idle = Arc::new(IdlePool::new(idle_connections, max_idle_connections, idle_timeout));
        Clients { clients: Mutex::default(), idle, network }
    }

    /// The client for this way of TLS.
    pub(crate) fn get(&self, tls: &TlsOptions, limits: &Limits) -> Result<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(tls) {
            return Ok(client.clone());
        }
        let client = Client::new(tls, &self.network, limits, &self.idle)?;
        clients.insert(tls.clone(), client.clone());
        Ok(client)
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn sweep(&self) {
        self.idle.sweep();
    }
}

/// The client for one way of TLS.
///
/// There is a pool of connections for each policy on addresses: one made under a wider policy must not serve a store with a
/// narrower one.
#[derive(Clone)]
pub(crate) struct Client {
    public: Connections<Connector, Outgoing>,
    listed: Connections<Connector, Outgoing>,
    private: Connections<Connector, Outgoing>,
    alarms: Alarms,
    /// The most bytes of an answer's header.
    header_bytes: usize,
}

impl Client {
    fn new(
        tls: &TlsOptions,
        network: &Network,
        limits: &Limits,
        idle: &Arc<IdlePool<Connector, Outgoing>>,
    ) -> Result<Client> {
        let tls = Arc::new(tls.client_config()?);
        let mut http1 = Builder::new();
        http1.max_buf_size(limits.header_bytes.max(READ)).max_headers(MAX_HEADERS);
        let alarms = Alarms::default();
        // What may come before a response's head: one as large as it may be, and what else the same poll reads.
        let excess = limits.header_bytes.saturating_add(READ_PER_POLL);
        let client = |addresses| {
            let connector = Connector::new(tls.clone(), addresses, network.clone(), alarms.clone(), limits);
            Connections::new(connector, http1.clone(), excess, idle.clone())
        };
        let (public, private) = (client(Addresses::Public), client(Addresses::Private));
        // Without any networks the two allow the same.
        let listed = if network.lists_any() { client(Addresses::Listed) } else { public.clone() };
        Ok(Client { public, listed, private, alarms, header_bytes: limits.header_bytes })
    }

    /// A timer that is not set yet.
    pub(super) fn alarm(&self) -> Alarm {
        self.alarms.alarm()
    }

    /// Sends a request and waits for the answer to begin. Redirects are answers like any other.
    pub(super) async fn send(
        &self,
        request: Box<Request<Outgoing>>,
        addresses: Addresses,
        timeouts: Timeouts,
        watch: &Watch,
    ) -> Result<Response<Answer>, Trouble> {
        let connections = match addresses {
            Addresses::Public => &self.public,
            Addresses::Listed => &self.listed,
            Addresses::Private => &self.private,
        };
        let answered = pin!(connections.send(request, || watch.connected()));
        let mut alarm = self.alarms.alarm();
        let response = match select(answered, pin!(watch.stalled(timeouts, &mut alarm))).await {
            Either::Left((Ok(response), _)) => self.bounded(response)?,
            Either::Left((Err(SendError::Http(error)), _)) if error.is_parse_too_large() => {
                return Err(self.too_large(&format!("more than {MAX_HEADERS} lines, or more bytes than")));
            }
            Either::Left((Err(error), _)) => return Err(Trouble::of_client(error)),
            Either::Right((trouble, _)) => return Err(trouble),
        };
        Ok(response.map(|body| Answer::new(body, timeouts.between_bytes, alarm)))
    }

    /// The answer, if its header is no larger than it may be.
    fn bounded(&self, response: Response<Arriving>) -> Result<Response<Arriving>, Trouble> {
        let bytes: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes <= self.header_bytes {
            return Ok(response);
        }
        Err(self.too_large(&format!("{bytes} bytes, more than")))
    }

    /// The header of an answer is larger than it may be.
    fn too_large(&self, how: &str) -> Trouble {
        let most = self.header_bytes;
        let set = crate::limits::named("header-bytes");
        let words = format!("its header has {how} {set} allows, which is {most}");
        Trouble { error: wasmtime_wasi_http::Error::HttpResponseHeaderSectionSize(None), words }
    }
}
