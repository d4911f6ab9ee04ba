//! Which certificates are trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::config::input::{self, InputError, MAX_CERTIFICATES};
use crate::error::{Error, Result};

/// How a store's endpoint shows who it is. By default the system's certificate authorities are trusted, and Mozilla's,
/// which are built in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// A PEM file with further certificate authorities to trust: a regular file of at most 4 MiB.
    pub ca_file: Option<PathBuf>,
    /// Takes any certificate. Whoever is between here and the service can then read and change everything: for test
    /// benches only.
    pub allow_invalid_certs: bool,
}

impl TlsOptions {
    /// What rustls makes of them: for connections that are to be held to the same rules.
    ///
    /// # Errors
    /// [`Error::Config`] for a `ca_file` that cannot be read or has no certificate in it.
    pub fn client_config(&self) -> Result<ClientConfig> {
        config(self)
    }
}

fn config(options: &TlsOptions) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Plugin { message: format!("TLS does not start: {error}") })?;
    if options.allow_invalid_certs {
        tracing::warn!("allow-invalid-certs: whoever is on the way to the service can read and change everything");
        let verifier = Arc::new(Anyone { provider });
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    check_system_file()?;
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::debug!(%error, "some of the system's certificate authorities cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(file) = &options.ca_file {
        add(&mut roots, file)?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// `SSL_CERT_FILE` names the file with the system's authorities, which `rustls_native_certs` reads whatever it is: of a FIFO
/// or a device it would not come back. One that is missing is left to it.
fn check_system_file() -> Result<()> {
    let Some(file) = std::env::var_os("SSL_CERT_FILE") else { return Ok(()) };
    match input::check(Path::new(&file), MAX_CERTIFICATES) {
        Err(error @ (InputError::Kind(..) | InputError::TooLong(_))) => Err(Error::Config {
            path: None,
            line: None,
            key: Some("SSL_CERT_FILE".to_owned()),
            message: format!("{}: the file {error}", Path::new(&file).display()),
        }),
        _ => Ok(()),
    }
}

/// Adds all certificates of a PEM file, of which there must be some.
fn add(roots: &mut RootCertStore, file: &Path) -> Result<()> {
    let wrong = |message: String| Error::Config {
        path: None,
        line: None,
        key: Some("ca-file".to_owned()),
        message: format!("{}: {message}", file.display()),
    };
    let pem = input::read(file, MAX_CERTIFICATES).map_err(|error| wrong(format!("the file {error}")))?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(format!("this is no PEM: {error}")))?;
        roots.add(certificate).map_err(|error| wrong(format!("a certificate in it cannot be used: {error}")))?;
        count += 1;
    }
    if count == 0 {
        return Err(wrong("there is no certificate in it: expected PEM, `-----BEGIN CERTIFICATE-----`".to_owned()));
    }
    Ok(())
}

/// Takes any certificate for any name; that the other side holds its key is still checked.
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
