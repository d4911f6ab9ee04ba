//! TLS with reload, virtual-hosted style, and redirects to the tenant's service.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName};
use sandbucket_tests::plain;
use sandbucket_tests::python::hex;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::{Bench, run};

/// Writes a new certificate and its key, and returns it.
pub fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// The first bytes of the response to a request for `/`, if the server shows this certificate.
async fn get(address: std::net::SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut response = vec![0; 1024];
    let count = stream.read(&mut response).await?;
    Ok(String::from_utf8_lossy(&response[..count]).into_owned())
}

#[test]
fn certificate_is_reloaded_and_a_faulty_one_is_not() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let first = certificate(folder.path());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let tls = format!("[serve.tls]\ncert = '{}'\nkey = '{}'\n", path("tls.crt"), path("tls.key"));
        let bench = Bench::with(&tls).await;
        let address = bench.running.addresses()[0];
        assert!(get(address, &first).await.unwrap().starts_with("HTTP/1.1 403"));
        let second = certificate(folder.path());
        bench.gateway.reload_certificate().unwrap();
        assert!(get(address, &first).await.is_err());
        assert!(get(address, &second).await.unwrap().starts_with("HTTP/1.1 403"));
        // The key of another certificate.
        let other = tempfile::tempdir().unwrap();
        certificate(other.path());
        std::fs::copy(other.path().join("tls.key"), folder.path().join("tls.key")).unwrap();
        bench.gateway.reload_certificate().unwrap_err();
        assert!(get(address, &second).await.unwrap().starts_with("HTTP/1.1 403"));
        // Without TLS, and without a handshake.
        let plain = super::limits::exchange(&address.to_string(), b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(!plain.contains("HTTP/1.1"), "{plain}");
        bench.running.stop().await;
    });
}

#[test]
fn bucket_in_the_host_is_understood() {
    run(async {
        let bench = Bench::with("domains = ['s3.example.test']\n").await;
        let mut alice = bench.boto("alice-rw").await;
        alice.ok("put_object", json!({"Bucket": "alice-photos", "Key": "k", "Body": {"hex": hex(b"abc")}})).await;
        let client = sandbucket_tests::python::Boto::start("http://s3.example.test", "alice-rw", super::SECRET).await;
        let presign = json!({"op": "presign-virtual", "bucket": "alice-photos", "key": "k", "expires": 60});
        let url = client.unwrap().call(presign).await.unwrap()["url"].as_str().unwrap().to_owned();
        let uri: http::Uri = url.parse().unwrap();
        assert_eq!(uri.host(), Some("alice-photos.s3.example.test"));
        let head = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            uri.path_and_query().unwrap(),
            uri.authority().unwrap()
        );
        let address = bench.running.addresses()[0].to_string();
        let response = super::limits::exchange(&address, head.as_bytes()).await;
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("abc"), "{response}");
        bench.running.stop().await;
    });
}

#[test]
fn large_reads_are_redirected_to_the_tenants_service() {
    run(async {
        let bench = Bench::with("[serve.redirect]\nabove = '1KiB'\n").await;
        let mut alice = bench.boto("alice-rw").await;
        for (key, length) in [("small", 10), ("large", 5000)] {
            let body = json!({"hex": hex(&super::bytes(length))});
            alice.ok("put_object", json!({"Bucket": "alice-photos", "Key": key, "Body": body})).await;
        }
        for (key, range, redirected) in
            [("small", None, false), ("large", None, true), ("large", Some("bytes=0-9"), false)]
        {
            let presign =
                json!({"op": "presign", "method": "get_object", "bucket": "alice-photos", "key": key, "expires": 60});
            let url = alice.0.call(presign).await.unwrap()["url"].as_str().unwrap().to_owned();
            let uri: http::Uri = url.parse().unwrap();
            let range = range.map(|range| format!("range: {range}\r\n")).unwrap_or_default();
            let address = bench.running.addresses()[0].to_string();
            let head = format!(
                "GET {} HTTP/1.1\r\nhost: {address}\r\n{range}connection: close\r\n\r\n",
                uri.path_and_query().unwrap()
            );
            let response = super::limits::exchange(&address, head.as_bytes()).await;
            assert_eq!(response.starts_with("HTTP/1.1 307"), redirected, "{key}: {response}");
            if redirected {
                let location = response.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
                assert!(location.starts_with(&bench.alice.endpoint()) && !location.contains(bench.alice.secret_key()));
                let got = plain::fetch("GET", location, &[], "").await.unwrap();
                assert!(got.status == 200 && got.body == super::bytes(5000), "{}", got.status);
            }
        }
        bench.running.stop().await;
    });
}
