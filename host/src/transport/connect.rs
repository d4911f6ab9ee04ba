//! Connections: names resolved, addresses held against the policy, TCP, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::addresses::Addresses;
use super::alarm::{Alarm, Alarms};
use super::connections::Connect;
use super::resolver::{LookupError, Resolver};
use super::trouble::ConnectError;
use crate::deadline::timeout;
use crate::limits::Limits;

/// The most that is encrypted ahead of what a connection takes, and held for it, in bytes. rustls has 64 KiB, at which a body
/// of 64 KiB goes out in two writes, for its header; PUTs take a tenth less processor time with this. What is encrypted
/// counts as sent, as what is in the kernel's buffer does, which may hold more.
const ENCRYPTED: usize = 256 << 10;

/// What all connections of an engine share: the resolver, and the networks that stores may reach beside public addresses.
#[derive(Clone)]
pub(crate) struct Network {
    resolver: Arc<Resolver>,
    listed: Arc<[IpNet]>,
}

impl Network {
    /// With these networks allowed, and these name servers in place of the system's if there are any.
    pub(crate) fn new(listed: &[IpNet], name_servers: Vec<SocketAddr>, limits: &Limits) -> Network {
        // What is left of the time is for connecting, and a lookup's own error says more.
        let limit = limits.connect_timeout * 9 / 10;
        Network { resolver: Arc::new(Resolver::new(name_servers, limit)), listed: listed.into() }
    }

    /// Whether any network is allowed.
    pub(super) fn lists_any(&self) -> bool {
        !self.listed.is_empty()
    }
}

/// Makes connections to addresses of one kind.
pub(super) struct Connector {
    tls: TlsConnector,
    addresses: Addresses,
    network: Network,
    /// For a connection to come about.
    limit: Duration,
    /// For a write to go on.
    patience: Duration,
    alarms: Alarms,
}

impl Connector {
    pub(super) fn new(
        tls: Arc<rustls::ClientConfig>,
        addresses: Addresses,
        network: Network,
        alarms: Alarms,
        limits: &Limits,
    ) -> Connector {
        let (limit, patience) = (limits.connect_timeout, limits.between_bytes_timeout);
        Connector { tls: TlsConnector::from(tls), addresses, network, limit, patience, alarms }
    }

    async fn make(&self, uri: Uri) -> Result<Stream, ConnectError> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let limit = self.limit;
        let stream = |kind| Stream { kind, patience: self.patience, alarms: self.alarms.clone(), stuck: None };
        let connecting = async {
            let tcp = self.tcp(&host, port).await?;
            if !https {
                return Ok(stream(Kind::Plain(TokioIo::new(tcp))));
            }
            let name = ServerName::try_from(host.clone())
                .map_err(|error| ConnectError::Tls { host: host.clone(), told: error.to_string() })?;
            let mut tls = self.tls.connect(name, tcp).await.map_err(|error| ConnectError::of_tls(&host, &error))?;
            tls.get_mut().1.set_buffer_limit(Some(ENCRYPTED));
            Ok(stream(Kind::Tls(Box::new(TokioIo::new(tls)))))
        };
        match timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(ConnectError::Timeout { host, limit }),
        }
    }

    /// Tries the addresses of the host that may be reached, in turn. Each has its share of the time, so that a dead one does
    /// not use it up.
    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let begun = Instant::now();
        let found = self.resolve(host).await.map_err(|error| ConnectError::Name { host: host.to_owned(), error })?;
        let mut trouble = ConnectError::Name { host: host.to_owned(), error: LookupError::NoAddress };
        let refusal = |address: &IpAddr| self.addresses.refuses(*address, &self.network.listed);
        // However often the name is resolved, it is the address itself that is held against the policy.
        let (allowed, refused): (Vec<IpAddr>, Vec<IpAddr>) =
            found.iter().partition(|address| refusal(address).is_none());
        if let Some(address) = refused.first()
            && let Some(refusal) = refusal(address)
        {
            trouble = ConnectError::Prohibited { host: host.to_owned(), address: *address, refusal };
        }
        let end = begun + self.limit;
        for (tried, address) in allowed.iter().enumerate() {
            let left = (allowed.len() - tried) as u32;
            let share = end.saturating_duration_since(Instant::now()) / left;
            let address = SocketAddr::new(*address, port);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    // A request is written in one piece; what is small should not wait for more.
                    let _ = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    trouble = ConnectError::Refused { address, told: error.to_string() };
                }
                Ok(Err(error)) => trouble = ConnectError::Unreachable { address, told: error.to_string() },
                Err(_) => trouble = ConnectError::Timeout { host: address.to_string(), limit: share },
            }
        }
        Err(trouble)
    }

    async fn resolve(&self, host: &str) -> Result<Arc<[IpAddr]>, LookupError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::new([address]));
        }
        self.network.resolver.lookup(host, self.addresses == Addresses::Private).await
    }
}

impl Connect for Connector {
    type Stream = Stream;
    type Error = ConnectError;

    async fn connect(&self, to: Uri) -> Result<Stream, ConnectError> {
        // Behind a pointer: it is seldom that one is made.
        Box::pin(self.make(to)).await
    }
}

/// A connection, as hyper has it.
///
/// Reading has no clock here: a kept connection may be silent for as long as it is kept, and answers are watched where
/// they are awaited. Writing has: nobody may be waiting any more for a request whose answer came early.
pub(super) struct Stream {
    kind: Kind,
    patience: Duration,
    alarms: Alarms,
    /// While nothing can be written: what rings when it has been so for too long, and when that is. It is for others again
    /// when the write goes on.
    stuck: Option<(Alarm, Instant)>,
}

enum Kind {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// Does the same to whichever it is.
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
        }
    };
}

impl Stream {
    /// Bounds how long one write may stand still.
    fn watched<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let (alarm, end) = self.stuck.get_or_insert_with(|| (self.alarms.alarm(), Instant::now() + self.patience));
        ready!(alarm.poll(cx, *end));
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
