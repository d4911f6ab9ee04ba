//! The HTTP client: pooled connections, and timeouts of requests.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{Either, select};
use http::{Request, Response, StatusCode};
use hyper::client::conn::http1::Builder;

use super::HttpGate;
use super::connection_limit::ConnectionLimit;
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

/// Maximum number of header lines of a response. S3 sends about ten, and one for each piece of user metadata, of which 2 KiB are
/// allowed.
const MAX_HEADERS: usize = 256;

/// Bytes read from a connection at once, and so the buffer of each idle one: 128 KiB of a body and the header before it. More makes
/// fewer system calls, but the buffers in use are then not in the processor's cache. Half as much takes a tenth longer for blobs of
/// 16 MiB; twice as much takes a sixth longer for 64 responses of 1 MiB at once.
const READ: usize = 132 << 10;

/// The body of a response, as it arrives over its connection.
pub(super) type IncomingBody = pool::IncomingBody<Connector, RequestBody>;

/// The clients of an engine, one for each set of TLS options and each proxy. They share a bound on idle connections.
pub(crate) struct Clients {
    clients: Mutex<HashMap<ClientKey, Client>>,
    idle: Arc<IdlePool<Connector, RequestBody>>,
    network: Network,
    connection_limit: Option<ConnectionLimit>,
}

type ClientKey = (TlsOptions, Option<Arc<ProxyServer>>);

/// Whether to keep a client: a store has it, or it uses no proxy. Proxies, and the passwords in them, are dropped with the stores of
/// their tenants.
fn is_needed((_, proxy): &ClientKey, client: &mut Client) -> bool {
    proxy.is_none() || Arc::strong_count(&client.in_use) > 1
}

impl Clients {
    pub(crate) fn new(network: Network, limits: &Limits) -> Clients {
        let Limits { idle_connections, max_idle_connections, idle_timeout, .. } = *limits;
        let idle = Arc::new(IdlePool::new(idle_connections, max_idle_connections, idle_timeout));
        let connection_limit = ConnectionLimit::of(limits);
        Clients { clients: Mutex::default(), idle, network, connection_limit }
    }

    /// The gate of a store with these options. `proxy` is its own choice; without one the engine's applies.
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
        let urls = self.network.has_proxy(proxy).then(|| egress.urls()).into_iter().flatten();
        let clients = urls.map(|url| match self.network.proxy(proxy, &url)? {
            None => Ok(direct.clone()),
            Some(server) => Ok(self.through(tls, &direct, server, limits)),
        });
        let clients = clients.collect::<Result<_>>()?;
        Ok(HttpGate::new(direct, clients, egress, own, self.connection_limit.clone()))
    }

    /// The client with these TLS options and no proxy.
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

    /// The client with these TLS options and this proxy, whose stores share no connections with others.
    fn through(&self, tls: &TlsOptions, direct: &Client, proxy: Arc<ProxyServer>, limits: &Limits) -> Client {
        let mut clients = self.clients();
        let key = (tls.clone(), Some(proxy));
        if let Some(client) = clients.get(&key) {
            return client.clone();
        }
        let client = Client::new(direct.tls.clone(), key.1.clone(), &self.network, limits, &self.idle);
        clients.insert(key, client.clone());
        client
    }

    /// Closes connections that have been idle for too long, and drops the proxies of closed stores.
    pub(crate) fn sweep(&self) {
        self.idle.sweep();
        self.clients().retain(is_needed);
    }

    /// The number of idle connections.
    pub(crate) fn idle(&self) -> usize {
        self.idle.count()
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientKey, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client for one set of TLS options, and one proxy or none.
///
/// There is a pool of connections for each policy on addresses: one made under a wider policy must not serve a store with a
/// narrower one.
#[derive(Clone)]
pub(crate) struct Client {
    public: Connections<Connector, RequestBody>,
    listed: Connections<Connector, RequestBody>,
    private: Connections<Connector, RequestBody>,
    timers: TimerCache,
    /// Maximum length of a response's header in bytes.
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
        // The bytes before a response's head: a head of the maximum length, and what else the same poll reads.
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

    /// Sends a request and waits for the head of its response. Redirects are responses like any other.
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
        // Boxed: otherwise the future of each call, which is moved, has room for it.
        let sending = Box::pin(connections.send(request, watch));
        let mut timer = self.timers.timer();
        let response = match select(sending, pin!(watch.stalled(timeouts, &mut timer))).await {
            Either::Left((Ok(response), _)) => self.forwarded(self.bounded(response)?)?,
            Either::Left((Err(SendError::Http(error)), _)) if error.is_parse_too_large() => {
                return Err(self.too_large(&format!("more than {MAX_HEADERS} lines, or more bytes than")));
            }
            Either::Left((Err(error), _)) => return Err(self.through_proxy(HttpError::of_client(error))),
            Either::Right((error, _)) => return Err(self.through_proxy(error)),
        };
        Ok(response.map(|body| ResponseBody::new(body, timeouts.between_bytes, timer)))
    }

    /// Fails if a proxy requires a password. Its other errors look like a service's.
    fn forwarded(&self, response: Response<IncomingBody>) -> Result<Response<IncomingBody>, HttpError> {
        match &self.proxy {
            Some(proxy) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(HttpError::denied(format!("the proxy {proxy} requires a user and a password: {PROXY_ADVICE}")))
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

    /// Fails if the header is larger than the limit.
    fn bounded(&self, response: Response<IncomingBody>) -> Result<Response<IncomingBody>, HttpError> {
        let bytes: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes <= self.header_bytes {
            return Ok(response);
        }
        Err(self.too_large(&format!("{bytes} bytes, more than")))
    }

    /// The error of a header that is larger than the limit.
    fn too_large(&self, how: &str) -> HttpError {
        let most = self.header_bytes;
        let set = crate::limits::named("header-bytes");
        let message = format!("its header has {how} {set} allows, which is {most}");
        HttpError::new(HttpErrorKind::HttpResponseHeaderSectionSize, message)
    }
}
