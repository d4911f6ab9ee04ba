//! A TLS handshake without the sandbox: whether a service's certificate is trusted, and if not, why.

use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use sandbucket::TlsOptions;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Performs a handshake like the store, and describes the negotiated parameters.
pub async fn handshake(options: &TlsOptions, host: &str, stream: TcpStream) -> Result<String, String> {
    let config = options.client_config().map_err(|e| e.to_string())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is not a host name"))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| e.to_string())?;
    Ok(match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => format!("TLS 1.3, and the certificate is {host}'s"),
        _ => format!("TLS 1.2, and the certificate is {host}'s"),
    })
}
