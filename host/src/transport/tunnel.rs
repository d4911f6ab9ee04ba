//! Connections through a proxy: to the proxy, and through the tunnel that it opens (RFC 9110, section 9.3.6).

use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::client::TlsStream;

use super::connect::{Connector, ENCRYPTED, Kind};
use super::egress::is_local_name;
use super::proxy::ProxyServer;
use super::trouble::ConnectError;
use crate::text::sanitize;

/// Bytes of the head of a proxy's response, and its header fields.
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 64;

/// Bytes of a proxy's reason phrase that an error shows.
const MAX_REASON: usize = 80;

/// Why a proxy opened no tunnel.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum TunnelError {
    #[error("it wants a user and a password: {PROXY_ADVICE}")]
    Unauthorized,
    #[error("it refused with the status {status}{reason}")]
    Refused { status: u16, reason: String },
    #[error("what it sent is no HTTP response")]
    NoHttp,
    #[error("the head of its response has more than {MAX_HEAD} bytes or {MAX_FIELDS} fields")]
    TooLong,
    #[error("it closed the connection without a response")]
    Closed,
    #[error("it sent bytes before the tunnel was used")]
    Early,
    #[error("{0}")]
    Io(String),
}

/// What can be done where a proxy answers 407.
pub(super) const PROXY_ADVICE: &str = "they go before the host in the URL of the proxy (the setting `proxy`, `StoreOptions::proxy` \
                                       or the variable `HTTPS_PROXY`), as in http://USER:PASSWORD@HOST:PORT";

impl Connector {
    /// Connects to this host by way of the proxy: to a tunnel for HTTPS, else to the proxy, which forwards.
    pub(super) async fn through(
        &self,
        proxy: &ProxyServer,
        host: &str,
        port: u16,
        https: bool,
    ) -> Result<Kind, ConnectError> {
        self.check_target(host)?;
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let through = |error| ConnectError::Proxy { proxy: proxy.to_string(), target: target.clone(), error };
        let to_proxy = |error: ConnectError| ConnectError::ToProxy { proxy: proxy.to_string(), error: Arc::new(error) };
        let tcp = self.tcp(&proxy.host, proxy.port, proxy.addresses(self.addresses)).await.map_err(to_proxy)?;
        if !proxy.https {
            if !https {
                return Ok(Kind::Plain(TokioIo::new(tcp)));
            }
            let tcp = open(tcp, &target, proxy).await.map_err(through)?;
            return Ok(Kind::Tls(Box::new(TokioIo::new(self.tls(host, tcp).await?))));
        }
        let tls = self.tls(&proxy.host, tcp).await.map_err(to_proxy)?;
        if !https {
            return Ok(Kind::Tls(Box::new(TokioIo::new(tls))));
        }
        let tls = open(tls, &target, proxy).await.map_err(through)?;
        Ok(Kind::TlsInTls(Box::new(TokioIo::new(self.tls(host, tls).await?))))
    }

    /// The proxy resolves the name, and what it leads to is not known here. What is plainly not public is held against the
    /// policy.
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
            .map_err(|error| ConnectError::Tls { host: host.to_owned(), told: error.to_string() })?;
        let connected = self.tls_connector().connect(name, stream).await;
        let mut tls = connected.map_err(|error| ConnectError::of_tls(host, &error))?;
        tls.get_mut().1.set_buffer_limit(Some(ENCRYPTED));
        Ok(tls)
    }
}

/// Has the proxy open a tunnel to the target.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    target: &str,
    proxy: &ProxyServer,
) -> Result<S, TunnelError> {
    let io = |error: io::Error| TunnelError::Io(error.to_string());
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
        // Informational responses may come before the one that counts.
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

/// The length and the meaning of the head of a response; none where more of it is to come.
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
