//! Connections through a proxy: to the proxy, and through the tunnel that it opens (RFC 9110, section 9.3.6).
//!
//! The CONNECT request replaces `hyper_util::client::legacy::connect::proxy::Tunnel`, which keeps neither status nor reason of a
//! refusal: errors name them, and a plain endpoint falls back to a proxy that forwards. Responses are parsed by httparse; hyper is not
//! involved.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::connector::{Connector, ENCRYPTED, Kind};
use super::egress::is_local_name;
use super::error::ConnectError;
use super::proxy::ProxyServer;
use crate::text::sanitize;

/// Bytes of the head of a proxy's response, and its header fields.
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 64;

/// Bytes of a proxy's reason phrase that an error shows.
const MAX_REASON: usize = 80;

/// A tunnel that the proxy did not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    #[error("it requires a user and a password: {PROXY_ADVICE}")]
    Unauthorized,
    #[error("it refused with the status {status}{reason}")]
    Refused { status: u16, reason: String },
    #[error("its response is not HTTP")]
    NoHttp,
    #[error("the head of its response has more than {MAX_HEAD} bytes or {MAX_FIELDS} fields")]
    TooLong,
    #[error("it closed the connection without a response")]
    Closed,
    #[error("it sent bytes before the tunnel was used")]
    Early,
    #[error(transparent)]
    Io(io::Error),
}

/// Advice where a proxy responds with 407.
pub(super) const PROXY_ADVICE: &str = "they go before the host in the URL of the proxy (the setting `proxy`, `StoreOptions::proxy` \
                                       or the variable `HTTPS_PROXY`), as in http://USER:PASSWORD@HOST:PORT";

/// A connection to a proxy, or a tunnel through it.
enum ToProxy {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<ToProxy> for Kind {
    fn from(connection: ToProxy) -> Kind {
        match connection {
            ToProxy::Plain(tcp) => Kind::Plain(TokioIo::new(tcp)),
            ToProxy::Tls(tls) => Kind::Tls(Box::new(TokioIo::new(*tls))),
        }
    }
}

impl Connector {
    /// Connects to this host through the proxy, and returns whether the proxy forwards requests: it opens a tunnel, or forwards if the
    /// endpoint is plain HTTP and it opens no tunnel there, as many do to port 443 only.
    pub(super) async fn through(
        &self,
        proxy: &ProxyServer,
        host: &str,
        port: u16,
        https: bool,
    ) -> Result<(Kind, bool), ConnectError> {
        self.check_target(host)?;
        if !https && self.refuses_tunnels.load(Relaxed) {
            return Ok((self.to_proxy(proxy).await?.into(), true));
        }
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let opened = match self.to_proxy(proxy).await? {
            ToProxy::Plain(tcp) => open(tcp, &target, proxy).await.map(ToProxy::Plain),
            ToProxy::Tls(tls) => open(*tls, &target, proxy).await.map(|tls| ToProxy::Tls(Box::new(tls))),
        };
        match opened {
            Ok(tunnel) if !https => Ok((tunnel.into(), false)),
            Ok(ToProxy::Plain(tcp)) => Ok((Kind::Tls(Box::new(TokioIo::new(self.tls(host, tcp).await?))), false)),
            Ok(ToProxy::Tls(tls)) => Ok((Kind::TlsInTls(Box::new(TokioIo::new(self.tls(host, *tls).await?))), false)),
            Err(TunnelError::Refused { status, .. }) if !https => {
                // Other errors may be the endpoint's, and temporary.
                if matches!(status, 0..=499 | 501) {
                    self.refuses_tunnels.store(true, Relaxed);
                }
                Ok((self.to_proxy(proxy).await?.into(), true))
            }
            Err(TunnelError::Closed) if !https => Ok((self.to_proxy(proxy).await?.into(), true)),
            Err(error) => Err(ConnectError::Proxy { proxy: proxy.to_string(), target, source: error }),
        }
    }

    async fn to_proxy(&self, proxy: &ProxyServer) -> Result<ToProxy, ConnectError> {
        let connecting = async {
            let tcp = self.tcp(&proxy.host, proxy.port, proxy.addresses(self.addresses)).await?;
            if !proxy.https {
                return Ok(ToProxy::Plain(tcp));
            }
            Ok(ToProxy::Tls(Box::new(self.tls(&proxy.host, tcp).await?)))
        };
        connecting.await.map_err(|error| ConnectError::ToProxy { proxy: proxy.to_string(), source: Box::new(error) })
    }

    /// The proxy resolves the name, so that its addresses are unknown here. The policy applies to what is plainly not public.
    fn check_target(&self, host: &str) -> Result<(), ConnectError> {
        let refusal = match host.parse() {
            Ok(address) => self.refuses(address).map(|refusal| (address, refusal)),
            Err(_) if is_local_name(host) && !self.allows_private() => {
                return Err(ConnectError::LocalName { host: host.to_owned() });
            }
            Err(_) => None,
        };
        match refusal {
            Some((address, refusal)) => Err(ConnectError::Prohibited { host: host.to_owned(), address, refusal }),
            None => Ok(()),
        }
    }

    pub(super) async fn tls<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<TlsStream<S>, ConnectError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| ConnectError::Tls { host: host.to_owned(), source: error.into() })?;
        let connected = self.tls_connector().connect(name, stream).await;
        let mut tls = connected.map_err(|error| ConnectError::of_tls(host, error))?;
        tls.get_mut().1.set_buffer_limit(Some(ENCRYPTED));
        Ok(tls)
    }
}

/// Requests a tunnel to the target.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    target: &str,
    proxy: &ProxyServer,
) -> Result<S, TunnelError> {
    let io = TunnelError::Io;
    let mut request = zeroize::Zeroizing::new(Vec::with_capacity(4096));
    for piece in ["CONNECT ", target, " HTTP/1.1\r\nhost: ", target, "\r\n"] {
        request.extend_from_slice(piece.as_bytes());
    }
    if let Some(value) = &proxy.authorization {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(io)?;
    stream.flush().await.map_err(io)?;
    let (mut head, mut left) = (Vec::new(), MAX_HEAD as u64);
    loop {
        if left == 0 {
            return Err(TunnelError::TooLong);
        }
        match (&mut stream).take(left).read_buf(&mut head).await.map_err(io)? {
            0 => return Err(TunnelError::Closed),
            read => left -= read as u64,
        }
        // Informational responses may come first.
        while let Some((length, status)) = parsed(&head)? {
            head.drain(..length);
            match status {
                Ok(100..=199) => {}
                Ok(_) if head.is_empty() => return Ok(stream),
                Ok(_) => return Err(TunnelError::Early),
                Err(refused) => return Err(refused),
            }
        }
    }
}

/// The length of a response's head and its status; none if the head is incomplete.
#[allow(clippy::type_complexity)]
fn parsed(head: &[u8]) -> Result<Option<(usize, Result<u16, TunnelError>)>, TunnelError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(head) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(TunnelError::TooLong),
        Err(_) => return Err(TunnelError::NoHttp),
    };
    let status = match response.code.unwrap_or_default() {
        status @ 100..=299 => Ok(status),
        407 => Err(TunnelError::Unauthorized),
        status => {
            let reason = sanitize(response.reason.unwrap_or_default(), MAX_REASON);
            let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
            Err(TunnelError::Refused { status, reason })
        }
    };
    Ok(Some((length, status)))
}
