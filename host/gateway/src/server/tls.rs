//! The certificate of the S3 endpoint, replaced when its files change.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::config::TlsConfig;
use crate::error::{Error, Result};

/// Maximum size of a file in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The present certificate.
#[derive(Debug)]
pub(crate) struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    /// Reads the certificate.
    ///
    /// # Errors
    /// [`Error::Config`] if a file cannot be read, or the key is not that of the certificate.
    pub(crate) fn load(config: &TlsConfig) -> Result<Arc<Certificate>> {
        Ok(Arc::new(Certificate(ArcSwap::from_pointee(read(config)?))))
    }

    /// Reads it again. The former certificate stays if that fails.
    ///
    /// # Errors
    /// As [`load`](Certificate::load).
    pub(crate) fn reload(&self, config: &TlsConfig) -> Result<()> {
        self.0.store(Arc::new(read(config)?));
        Ok(())
    }

    /// The settings of connections.
    ///
    /// # Errors
    /// [`Error::Config`] if the library has no protocol version in common with them, which its build decides.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Error::config(format!("serve.tls: {error}")))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn read(config: &TlsConfig) -> Result<CertifiedKey> {
    let TlsConfig { cert, key } = config;
    let wrong = |path: &Path, message: String| Error::Config { path: Some(path.to_owned()), line: None, message };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file(cert)?).collect();
    let chain = chain.map_err(|error| wrong(cert, format!("it is no PEM file of certificates: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(cert, "it contains no certificate".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&file(key)?);
    let private = private.map_err(|error| wrong(key, format!("it is no PEM file of a private key: {error}")))?;
    let provider = crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, private, &provider)
        .map_err(|error| wrong(key, format!("the key does not fit the certificate: {error}")))
}

fn file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    read.map_err(Error::io(format!("reading {}", path.display())))?;
    if bytes.len() as u64 > MAX_FILE {
        let message = format!("it has more than {MAX_FILE} bytes");
        return Err(Error::Config { path: Some(path.to_owned()), line: None, message });
    }
    Ok(bytes)
}
