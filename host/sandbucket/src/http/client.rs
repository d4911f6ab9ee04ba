//! The HTTP client: connections kept and used again, and requests that are watched.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{Either, select};
use http::{Request, Response, StatusCode};
use hyper::client::conn::http1::Builder;

use super::HttpGate;
use super::connector::{Connector, Network};
use super::egress::Egress;
use super::error::{HttpError, HttpErrorKind};
use super::ip_policy::Addresses;
use super::pool::{self, Connections, IdlePool, READ_PER_POLL, SendError};
use super::proxy::{Proxy, ProxyServer};
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use super::timeouts::{RequestProgress, Timeouts};
use super::timers::{Timer, TimerCache};
use super::tls::TlsOptions;
use super::tunnel::PROXY_ADVICE;
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
pub(super) type IncomingBody = pool::IncomingBody<Connector, RequestBody>;

/// The clients of an engine, one for each way of TLS and each proxy, which share a bound on how many connections are kept idle.
pub(crate) struct Clients {
    clients: Mutex<HashMap<ClientKey, Client>>,
    idle: Arc<IdlePool<Connector, RequestBody>>,
    network: Network,
}

type ClientKey = (TlsOptions, Option<Arc<ProxyServer>>);

/// Whether a client is kept: a store has it, or it goes through no proxy. Proxies come and go with the stores of tenants, and so
/// do the passwords in them.
fn is_needed((_, proxy): &ClientKey, client: &mut Client) -> bool {
    proxy.is_none() || Arc::strong_count(&client.in_use) > 1
}

impl Clients {
    pub(crate) fn new(network: Network, limits: &Limits) -> Clients {
        let Limits { idle_connections, max_idle_connections, idle_timeout, .. } = *limits;
        let idle = Arc::new(IdlePool::new(idle_connections, max_idle_connections, idle_timeout));
        Clients { clients: Mutex::default(), idle, network }
    }

    /// The way out of a store with these options. `proxy` is its own choice; without one the engine's holds.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for TLS options that cannot be used, and a proxy of the environment that cannot.
    pub(crate) fn gate(
        &self,
        tls: &TlsOptions,
        egress: Egress,
        proxy: Option<&Proxy>,
        (limits, own): (&Limits, &Limits),
    ) -> Result<HttpGate> {
        let direct = self.get(tls, limits)?;
        let clients = egress.urls().map(|url| match self.network.proxy(proxy, &url)? {
            None => Ok(direct.clone()),
            Some(server) => Ok(self.through(tls, &direct, server, limits)),
        });
        let clients = clients.collect::<Result<_>>()?;
        Ok(HttpGate::new(direct, clients, egress, own))
    }

    /// The client for this way of TLS that goes through no proxy.
    fn get(&self, tls: &TlsOptions, limits: &Limits) -> Result<Client> {
        let mut clients = self.clients();
        if let Some(client) = clients.get(&(tls.clone(), None)) {
            return Ok(client.clone());
        }
        let config = Arc::new(tls.client_config()?);
        let client = Client::new(config, None, &self.network, limits, &self.idle);
        clients.insert((tls.clone(), None), client.clone());
        Ok(client)
    }

    /// The client for this way of TLS that goes through a proxy, whose stores share no connections with others.
    fn through(&self, tls: &TlsOptions, direct: &Client, proxy: Arc<ProxyServer>, limits: &Limits) -> Client {
        let mut clients = self.clients();
        let way = (tls.clone(), Some(proxy));
        if let Some(client) = clients.get(&way) {
            return client.clone();
        }
        let client = Client::new(direct.tls.clone(), way.1.clone(), &self.network, limits, &self.idle);
        clients.insert(way, client.clone());
        client
    }

    /// Closes connections that have been idle for too long, and forgets the proxies of stores that are gone.
    pub(crate) fn sweep(&self) {
        self.idle.sweep();
        self.clients().retain(is_needed);
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientKey, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client for one way of TLS, and one proxy or none.
///
/// There is a pool of connections for each policy on addresses: one made under a wider policy must not serve a store with a
/// narrower one.
#[derive(Clone)]
pub(crate) struct Client {
    public: Connections<Connector, RequestBody>,
    listed: Connections<Connector, RequestBody>,
    private: Connections<Connector, RequestBody>,
    timers: TimerCache,
    /// The most bytes of an answer's header.
    header_bytes: usize,
    tls: Arc<rustls::ClientConfig>,
    proxy: Option<Arc<ProxyServer>>,
    /// Counts the copies of this client.
    in_use: Arc<()>,
}

impl Client {
    fn new(
        tls: Arc<rustls::ClientConfig>,
        proxy: Option<Arc<ProxyServer>>,
        network: &Network,
        limits: &Limits,
        idle: &Arc<IdlePool<Connector, RequestBody>>,
    ) -> Client {
        let mut http1 = Builder::new();
        http1.max_buf_size(limits.header_bytes.max(READ)).max_headers(MAX_HEADERS);
        let timers = TimerCache::default();
        // What may come before a response's head: one as large as it may be, and what else the same poll reads.
        let excess = limits.header_bytes.saturating_add(READ_PER_POLL);
        let client = |addresses| {
            let (tls, network, timers) = (tls.clone(), network.clone(), timers.clone());
            let connector = Connector::new(tls, addresses, network, timers, proxy.clone(), limits);
            Connections::new(connector, http1.clone(), excess, idle.clone())
        };
        let (public, private) = (client(Addresses::Public), client(Addresses::Private));
        // Without any networks the two allow the same.
        let listed = if network.lists_any() { client(Addresses::Listed) } else { public.clone() };
        Client {
            public,
            listed,
            private,
            timers,
            header_bytes: limits.header_bytes,
            tls,
            proxy,
            in_use: Arc::default(),
        }
    }

    /// A timer that is not set yet.
    pub(super) fn timer(&self) -> Timer {
        self.timers.timer()
    }

    /// Sends a request and waits for the answer to begin. Redirects are answers like any other.
    pub(super) async fn send(
        &self,
        request: Box<Request<RequestBody>>,
        addresses: Addresses,
        timeouts: Timeouts,
        watch: &RequestProgress,
    ) -> Result<Response<ResponseBody>, HttpError> {
        let connections = match addresses {
            Addresses::Public => &self.public,
            Addresses::Listed => &self.listed,
            Addresses::Private => &self.private,
        };
        // Behind a pointer: it would have its room in the future of each call, which is made and moved.
        let answered = Box::pin(connections.send(request, watch));
        let mut timer = self.timers.timer();
        let response = match select(answered, pin!(watch.stalled(timeouts, &mut timer))).await {
            Either::Left((Ok(response), _)) => self.forwarded(self.bounded(response)?)?,
            Either::Left((Err(SendError::Http(error)), _)) if error.is_parse_too_large() => {
                return Err(self.too_large(&format!("more than {MAX_HEADERS} lines, or more bytes than")));
            }
            Either::Left((Err(error), _)) => return Err(self.through_proxy(HttpError::of_client(error))),
            Either::Right((error, _)) => return Err(self.through_proxy(error)),
        };
        Ok(response.map(|body| ResponseBody::new(body, timeouts.between_bytes, timer)))
    }

    /// The answer, unless it is a proxy's that wants a password. Other errors of a proxy that forwards requests look like a
    /// service's.
    fn forwarded(&self, response: Response<IncomingBody>) -> Result<Response<IncomingBody>, HttpError> {
        match &self.proxy {
            Some(proxy) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(HttpError::denied(format!("the proxy {proxy} wants a user and a password: {PROXY_ADVICE}")))
            }
            _ => Ok(response),
        }
    }

    /// Names the proxy that the request went through.
    fn through_proxy(&self, error: HttpError) -> HttpError {
        match &self.proxy {
            Some(proxy) => error.through(proxy),
            None => error,
        }
    }

    /// The answer, if its header is no larger than it may be.
    fn bounded(&self, response: Response<IncomingBody>) -> Result<Response<IncomingBody>, HttpError> {
        let bytes: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes <= self.header_bytes {
            return Ok(response);
        }
        Err(self.too_large(&format!("{bytes} bytes, more than")))
    }

    /// The header of an answer is larger than it may be.
    fn too_large(&self, how: &str) -> HttpError {
        let most = self.header_bytes;
        let set = crate::limits::named("header-bytes");
        let message = format!("its header has {how} {set} allows, which is {most}");
        HttpError::new(HttpErrorKind::HttpResponseHeaderSectionSize, message)
    }
}
