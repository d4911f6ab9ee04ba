//! A TLS handshake without the sandbox: whether a service's certificate can be trusted, and if not, why.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Shakes hands, with the roots that the store trusts: the bundled ones, the system's, and those in the file. Gives
/// what was agreed on, in words.
pub async fn handshake(ca_file: Option<&Path>, host: &str, stream: TcpStream) -> Result<String, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // What the system has and cannot be read is not this service's fault.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca_file {
        let unreadable = |e: &dyn std::fmt::Display| format!("`ca-file` {}: {e}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unreadable(&e))? {
            let certificate = certificate.map_err(|e| unreadable(&e))?;
            roots.add(certificate).map_err(|e| unreadable(&e))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is not a host name"))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| e.to_string())?;
    Ok(match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => format!("TLS 1.3, and the certificate is {host}'s"),
        _ => format!("TLS 1.2, and the certificate is {host}'s"),
    })
}
