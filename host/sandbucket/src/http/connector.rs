//! Establishes connections: DNS, address policy, TCP, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::ConnectError;
use super::ip_policy::{Addresses, Refusal, private_networks};
use super::pool::{Connect, Forward};
use super::proxy::{Proxy, ProxyEnvironment, ProxyServer};
use super::resolver::{LookupError, Resolver};
use super::timers::{Timer, TimerCache};
use crate::limits::Limits;
use crate::support::deadline::timeout;
use crate::support::environment::Environment;
use crate::telemetry::{ConnectionMetrics, OpenConnection};

/// Bytes that are encrypted and buffered before the connection takes them. With the default of rustls, 64 KiB, a body of 64 KiB and its
/// header take two writes; with this, PUTs take a tenth less CPU time. What is encrypted counts as sent, like what is in the kernel's
/// buffer, which may hold more.
pub(super) const ENCRYPTED: usize = 256 << 10;

/// Shared by all connections of an engine: resolver, allowed networks, proxy.
#[derive(Clone)]
pub(crate) struct Network {
    resolver: Arc<Resolver>,
    listed: Arc<[IpNet]>,
    proxy: Proxy,
    environment: Arc<ProxyEnvironment>,
    metrics: Arc<ConnectionMetrics>,
}

impl Network {
    /// With these networks allowed, and these name servers in place of the system's if there are any.
    pub(crate) fn new(
        listed: &[IpNet],
        name_servers: Vec<SocketAddr>,
        proxy: Proxy,
        limits: &Limits,
        metrics: Arc<ConnectionMetrics>,
    ) -> Network {
        // Leaves time to connect, and the error of a lookup says more than a timeout.
        let limit = limits.connect_timeout * 9 / 10;
        let environment = Arc::new(ProxyEnvironment::read(&Environment::of_process()));
        Network {
            resolver: Arc::new(Resolver::new(name_servers, limit)),
            listed: listed.into(),
            proxy,
            environment,
            metrics,
        }
    }

    /// Whether a store with this choice of its own may reach any URL through a proxy.
    pub(super) fn has_proxy(&self, own: Option<&Proxy>) -> bool {
        own.unwrap_or(&self.proxy).is_any(&self.environment)
    }

    /// The proxy for this URL, by a store's own choice or the engine's.
    pub(super) fn proxy(&self, own: Option<&Proxy>, to: &Uri) -> crate::Result<Option<Arc<ProxyServer>>> {
        own.unwrap_or(&self.proxy).server(&self.environment, to)
    }

    /// Whether any network is allowed.
    pub(super) fn lists_any(&self) -> bool {
        !self.listed.is_empty()
    }
}

/// Establishes connections to addresses of one kind.
pub(super) struct Connector {
    tls: TlsConnector,
    pub(super) addresses: Addresses,
    network: Network,
    /// Maximum time to connect.
    limit: Duration,
    /// Maximum time for which a write makes no progress.
    timeout: Duration,
    timers: TimerCache,
    proxy: Option<Arc<ProxyServer>>,
    /// Whether the proxy refuses tunnels to plain HTTP endpoints.
    pub(super) refuses_tunnels: AtomicBool,
}

impl Connector {
    pub(super) fn new(
        tls: Arc<rustls::ClientConfig>,
        addresses: Addresses,
        network: Network,
        timers: TimerCache,
        proxy: Option<Arc<ProxyServer>>,
        limits: &Limits,
    ) -> Connector {
        let (limit, timeout) = (limits.connect_timeout, limits.between_bytes_timeout);
        let (tls, refuses_tunnels) = (TlsConnector::from(tls), AtomicBool::new(false));
        Connector { tls, addresses, network, limit, timeout, timers, proxy, refuses_tunnels }
    }

    pub(super) fn tls_connector(&self) -> &TlsConnector {
        &self.tls
    }

    /// Whether the policy allows all private addresses.
    pub(super) fn allows_private(&self) -> bool {
        match self.addresses {
            Addresses::Public => false,
            Addresses::Listed => {
                private_networks().all(|private| self.network.listed.iter().any(|listed| listed.contains(&private)))
            }
            Addresses::Private => true,
        }
    }

    /// The refusal if the policy does not allow this address.
    pub(super) fn refuses(&self, address: IpAddr) -> Option<Refusal> {
        self.addresses.refuses(address, &self.network.listed)
    }

    async fn make(&self, uri: Uri) -> Result<Stream, ConnectError> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let limit = self.limit;
        let stream = |kind| Stream {
            kind,
            timeout: self.timeout,
            timers: self.timers.clone(),
            stuck: None,
            is_forwarded: false,
            _open: None,
        };
        let connecting = async {
            if let Some(proxy) = &self.proxy {
                let (kind, is_forwarded) = self.through(proxy, &host, port, https).await?;
                return Ok(Stream { is_forwarded, ..stream(kind) });
            }
            let tcp = self.tcp(&host, port, self.addresses).await?;
            if !https {
                return Ok(stream(Kind::Plain(TokioIo::new(tcp))));
            }
            Ok(stream(Kind::Tls(Box::new(TokioIo::new(self.tls(&host, tcp).await?)))))
        };
        match timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => {
                let host = match &self.proxy {
                    Some(proxy) => format!("{host} through the proxy {proxy}"),
                    None => host,
                };
                Err(ConnectError::Timeout { host, limit })
            }
        }
    }

    /// Tries the host's addresses that this policy allows, one after the other. Each has its share of the time, so that a dead one does not
    /// use it up.
    pub(super) async fn tcp(&self, host: &str, port: u16, policy: Addresses) -> Result<TcpStream, ConnectError> {
        let begun = Instant::now();
        let found =
            self.resolve(host, policy).await.map_err(|source| ConnectError::Name { host: host.to_owned(), source })?;
        let mut failed = ConnectError::Name { host: host.to_owned(), source: LookupError::NoAddress };
        let refusal = |address: &IpAddr| policy.refuses(*address, &self.network.listed);
        // The policy applies to the address itself, so that a name that is resolved again cannot pass it by.
        let (allowed, refused): (Vec<IpAddr>, Vec<IpAddr>) =
            found.iter().partition(|address| refusal(address).is_none());
        if let Some(address) = refused.first()
            && let Some(refusal) = refusal(address)
        {
            failed = ConnectError::Prohibited { host: host.to_owned(), address: *address, refusal };
        }
        let end = begun + self.limit;
        for (tried, address) in allowed.iter().enumerate() {
            let left = (allowed.len() - tried) as u32;
            let share = end.saturating_duration_since(Instant::now()) / left;
            let address = SocketAddr::new(*address, port);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    // A request is written in one piece: without this, a small one would wait for more.
                    let _ = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                Ok(Err(source)) if source.kind() == io::ErrorKind::ConnectionRefused => {
                    failed = ConnectError::Refused { address, source };
                }
                Ok(Err(source)) => failed = ConnectError::Unreachable { address, source },
                Err(_) => failed = ConnectError::Timeout { host: address.to_string(), limit: share },
            }
        }
        Err(failed)
    }

    async fn resolve(&self, host: &str, policy: Addresses) -> Result<Arc<[IpAddr]>, LookupError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::new([address]));
        }
        self.network.resolver.lookup(host, policy == Addresses::Private).await
    }
}

impl Connect for Connector {
    type Stream = Stream;
    type Error = ConnectError;

    async fn connect(&self, to: Uri) -> Result<Stream, ConnectError> {
        let (began, metrics) = (Instant::now(), &self.network.metrics);
        // Boxed: new connections are rare.
        let made = Box::pin(self.make(to)).await.inspect_err(|_| metrics.failed())?;
        Ok(Stream { _open: Some(metrics.opened(began.elapsed())), ..made })
    }

    fn forward(&self, stream: &Stream) -> Option<Forward> {
        self.proxy
            .as_ref()
            .filter(|_| stream.is_forwarded)
            .map(|proxy| Forward { authorization: proxy.authorization.clone() })
    }
}

/// The stream of a connection.
///
/// Reads have no timeout here: an idle connection may be silent, and the timeouts of a response apply where it is awaited. Writes have
/// one: no task may be waiting for a request whose response arrived early.
pub(super) struct Stream {
    kind: Kind,
    timeout: Duration,
    timers: TimerCache,
    /// While nothing can be written: the timer of the write and its deadline.
    stuck: Option<(Timer, Instant)>,
    /// Whether it leads to a proxy that forwards requests.
    is_forwarded: bool,
    /// Counts it, while it exists.
    _open: Option<OpenConnection>,
}

pub(super) enum Kind {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
    /// To an HTTPS endpoint through an HTTPS proxy.
    TlsInTls(Box<TokioIo<TlsStream<TlsStream<TcpStream>>>>),
}

/// Calls the same method of any kind.
macro_rules! either {
    ($kind:expr, $stream:ident => $do:expr) => {
        match $kind {
            Kind::Plain($stream) => {
                let $stream = Pin::new($stream);
                $do
            }
            Kind::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $do
            }
            Kind::TlsInTls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $do
            }
        }
    };
}

impl Stream {
    /// Applies the timeout of writes.
    fn watched<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let (timer, end) = self.stuck.get_or_insert_with(|| (self.timers.timer(), Instant::now() + self.timeout));
        ready!(timer.poll(cx, *end));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.kind, stream => stream.poll_read(cx, buffer))
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = either!(&mut self.kind, stream => stream.poll_write(cx, bytes));
        self.watched(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = either!(&mut self.kind, stream => stream.poll_flush(cx));
        self.watched(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = either!(&mut self.kind, stream => stream.poll_shutdown(cx));
        self.watched(cx, shut)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Plain(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
            Kind::TlsInTls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = either!(&mut self.kind, stream => stream.poll_write_vectored(cx, bytes));
        self.watched(cx, written)
    }
}
