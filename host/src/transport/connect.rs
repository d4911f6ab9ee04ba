//! Connections: names resolved, addresses held against the policy, TCP, TLS.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::egress::Addresses;
use super::trouble::ConnectError;

/// Makes connections to addresses of one kind.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    addresses: Addresses,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(tls: Arc<rustls::ClientConfig>, addresses: Addresses, limit: Duration) -> Connector {
        Connector { tls: TlsConnector::from(tls), addresses, limit }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let limit = self.limit;
        let connecting = async {
            let tcp = self.tcp(&host, port).await?;
            if !https {
                return Ok(Stream::Plain(TokioIo::new(tcp)));
            }
            let name = ServerName::try_from(host.clone())
                .map_err(|error| ConnectError::Tls { host: host.clone(), told: error.to_string() })?;
            let tls = self.tls.connect(name, tcp).await.map_err(|error| ConnectError::of_tls(&host, &error))?;
            Ok(Stream::Tls(Box::new(TokioIo::new(tls))))
        };
        match timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(ConnectError::Timeout { host, limit }),
        }
    }

    /// Tries the name's addresses in turn. Each has its share of the time, so that a dead one does not use it up.
    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let addresses = resolve(host, port).await?;
        let mut trouble = ConnectError::Name { host: host.to_owned(), told: "it has no address".to_owned() };
        let mut left = addresses.len() as u32;
        let end = tokio::time::Instant::now() + self.limit;
        for address in addresses {
            let share = end.saturating_duration_since(tokio::time::Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            if let Some(kind) = self.addresses.refuses(address.ip()) {
                trouble = ConnectError::Prohibited { host: host.to_owned(), address: address.ip(), kind };
                continue;
            }
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
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(ConnectError::Name { host: host.to_owned(), told: error.to_string() }),
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection, as hyper has it.
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

/// Does the same to whichever it is.
macro_rules! either {
    ($self:expr, $stream:ident => $do:expr) => {
        match $self.get_mut() {
            Stream::Plain($stream) => {
                let $stream = Pin::new($stream);
                $do
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $do
            }
        }
    };
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(cx, bytes))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
