//! A certificate authority for one run, and the server's certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// Creates both, and writes the authority's certificate into the folder, for the clients to trust.
pub fn make(folder: &Path, address: &str) -> Result<(TlsAcceptor, PathBuf)> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "sandbucket-bench");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = authority.self_signed(&authority_key)?;
    let file = folder.join("ca.pem");
    std::fs::write(&file, certificate.pem()).with_context(|| format!("writing {}", file.display()))?;

    let key = KeyPair::generate()?;
    let issuer = Issuer::new(authority, authority_key);
    let signed = CertificateParams::new([address.to_owned()])?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![signed.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), file))
}
