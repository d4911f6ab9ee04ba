//! Which certificates are trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::error::{Error, Result};
use crate::support::input::{self, InputError, MAX_CERTIFICATES};

/// How a store's endpoint shows who it is. By default the system's certificate authorities are trusted, and Mozilla's,
/// which are built in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// A PEM file with further certificate authorities to trust, or with the service's own certificate: a regular file of at
    /// most 4 MiB. A certificate must name the host in its subjectAltName, whoever signed it.
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
        tracing::warn!("allow-invalid-certs: anyone on the path to the service can read and change everything");
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
    let Some(file) = &options.ca_file else {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    };
    let certificates = add(&mut roots, file)?;
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| Error::Plugin { message: format!("TLS does not start: {error}") })?;
    let verifier = Arc::new(SelfSigned { authorities, certificates });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
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

/// Adds all certificates of a PEM file, of which there must be some that can be used; and returns them.
fn add(roots: &mut RootCertStore, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |message: String| Error::Config {
        path: None,
        line: None,
        key: Some("ca-file".to_owned()),
        message: format!("{}: {message}", file.display()),
    };
    let pem = input::read(file, MAX_CERTIFICATES).map_err(|error| wrong(format!("the file {error}")))?;
    let mut certificates = Vec::new();
    let mut unusable = None;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(format!("this is no PEM: {error}")))?;
        match roots.add(certificate.clone()) {
            Ok(()) => certificates.push(certificate),
            // As among the system's authorities, whose list AWS_CA_BUNDLE may name.
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "a certificate cannot be used");
                unusable = Some(error);
            }
        }
    }
    match (certificates.is_empty(), unusable) {
        (false, _) => Ok(certificates),
        (true, Some(error)) => Err(wrong(format!("no certificate in it can be used: {error}"))),
        (true, None) => {
            Err(wrong("there is no certificate in it: expected PEM, `-----BEGIN CERTIFICATE-----`".to_owned()))
        }
    }
}

/// Takes what certificate authorities have signed, and a server's certificate that is one of `ca-file` itself although it is
/// marked as an authority's: `openssl req -x509` makes such. OpenSSL takes them too, and so does curl.
#[derive(Debug)]
struct SelfSigned {
    authorities: Arc<WebPkiServerVerifier>,
    /// Those of `ca-file`.
    certificates: Vec<CertificateDer<'static>>,
}

/// Whether a certificate is refused because it is marked as an authority's. Its validity in time is checked before that.
pub(super) fn is_authority(error: &CertificateError) -> bool {
    let CertificateError::Other(error) = error else { return false };
    matches!(error.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Whether a certificate is refused because it is older than X.509's version 3, and so names no host as it must.
pub(super) fn is_outdated(error: &CertificateError) -> bool {
    let CertificateError::Other(error) = error else { return false };
    matches!(error.0.downcast_ref(), Some(webpki::Error::UnsupportedCertVersion))
}

impl ServerCertVerifier for SelfSigned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.authorities.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(error))
                if is_authority(&error) && self.certificates.contains(certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
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
