//! TLS and egress: which certificates and which addresses are accepted.

mod front;

use front::{front, front_with};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sandbucket::{Egress, Error, Store, StoreOptions, TlsOptions};
use sandbucket_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, dev_server, engine, run, settings};

async fn open(endpoint: &str, tls: TlsOptions) -> Store {
    let options = StoreOptions::new().settings(settings(endpoint, &[("max-retries", "0")])).tls(tls);
    engine().open(options).await.expect("a store")
}

async fn words(store: &Store) -> String {
    match store.put("k", "body").await {
        Err(Error::Network(failure)) => failure.message,
        other => panic!("expected a network error, not {other:?}"),
    }
}

#[test]
fn certificate_must_match_name_and_trusted_authority() {
    run(async {
        let server = dev_server().await;
        let (port, pem) = front(&server.endpoint()).await;
        let endpoint = format!("https://localhost:{port}");
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, pem).unwrap();
        let trusting = TlsOptions { ca_file: Some(ca_file), ..TlsOptions::default() };

        let refused = words(&open(&endpoint, TlsOptions::default()).await).await;
        assert!(refused.contains("certificate") && refused.contains("ca-file"), "{refused}");

        let store = open(&endpoint, trusting.clone()).await;
        store.put("k", "body").await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "body");

        // The same server by a name that is not in its certificate.
        let other_name = words(&open(&format!("https://127.0.0.1:{port}"), trusting).await).await;
        assert!(other_name.contains("certificate"), "{other_name}");

        let careless = TlsOptions { allow_invalid_certs: true, ..TlsOptions::default() };
        let store = open(&format!("https://127.0.0.1:{port}"), careless).await;
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "body");
    });
}

/// A self-signed certificate for localhost, marked as an authority as `openssl req -x509` does.
fn self_signed(authority: IsCa, last_year: i32) -> (rcgen::Certificate, Vec<u8>) {
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.is_ca = authority;
    parameters.not_before = date_time_ymd(2000, 1, 1);
    parameters.not_after = date_time_ymd(last_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    (parameters.self_signed(&key).unwrap(), key.serialize_der())
}

#[test]
fn self_signed_certificate_is_accepted_only_if_ca_file_holds_it() {
    run(async {
        let server = dev_server().await;
        let folder = tempfile::tempdir().unwrap();
        let trusting = |pem: &str| {
            // An engine reads a file once.
            let ca_file = tempfile::Builder::new().tempfile_in(folder.path()).unwrap().into_temp_path().keep().unwrap();
            std::fs::write(&ca_file, pem).unwrap();
            TlsOptions { ca_file: Some(ca_file), ..TlsOptions::default() }
        };
        for authority in
            [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::Ca(BasicConstraints::Constrained(0)), IsCa::ExplicitNoCa]
        {
            let (certificate, key) = self_signed(authority, 2100);
            let (other, _) = self_signed(authority, 2100);
            let port = front_with(&server.endpoint(), certificate.der().clone(), &key).await;
            let endpoint = format!("https://localhost:{port}");

            let bundle = format!("{}{}", other.pem(), certificate.pem());
            for pem in [certificate.pem(), bundle] {
                let store = open(&endpoint, trusting(&pem)).await;
                store.put("k", "body").await.unwrap();
            }
            let stranger = words(&open(&endpoint, trusting(&other.pem())).await).await;
            assert!(stranger.contains("not trusted") && stranger.contains("ca-file"), "{stranger}");
            let nobody = words(&open(&endpoint, TlsOptions::default()).await).await;
            assert!(nobody.contains("not trusted") && nobody.contains("ca-file"), "{nobody}");
            let by_address = format!("https://127.0.0.1:{port}");
            let other_name = words(&open(&by_address, trusting(&certificate.pem())).await).await;
            assert!(other_name.contains("subjectAltName"), "{other_name}");

            let (expired, key) = self_signed(authority, 2001);
            let port = front_with(&server.endpoint(), expired.der().clone(), &key).await;
            let endpoint = format!("https://localhost:{port}");
            let expired = words(&open(&endpoint, trusting(&expired.pem())).await).await;
            assert!(expired.contains("expired") && expired.contains("new one"), "{expired}");
        }
    });
}

#[test]
fn certificate_that_openssl_makes_by_default_is_accepted_or_the_error_says_what_to_create() {
    run(async {
        let server = dev_server().await;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let openssl = |arguments: &[&str]| {
            let output = std::process::Command::new("openssl").args(arguments).output().expect("openssl");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let (key, with_name, without, request, version_1) =
            (at("key.pem"), at("with.pem"), at("without.pem"), at("request.pem"), at("v1.pem"));
        let new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", &key];
        openssl(&[&new[..], &["-x509", "-addext", "subjectAltName=DNS:localhost", "-out", &with_name]].concat());
        let reuse = ["req", "-key", &key, "-subj", "/CN=localhost"];
        openssl(&[&reuse[..], &["-x509", "-out", &without]].concat());
        openssl(&[&reuse[..], &["-new", "-out", &request]].concat());
        openssl(&["x509", "-req", "-in", &request, "-signkey", &key, "-out", &version_1]);
        let key = PrivateKeyDer::from_pem_file(&key).unwrap();
        for (file, words_of_error) in
            [(&with_name, ""), (&without, "subjectAltName=DNS:HOST"), (&version_1, "subjectAltName=DNS:HOST")]
        {
            let certificate = CertificateDer::from_pem_file(file).unwrap();
            let key = match &key {
                PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der(),
                other => panic!("{other:?}"),
            };
            let port = front_with(&server.endpoint(), certificate, key).await;
            let tls = TlsOptions { ca_file: Some(file.into()), ..TlsOptions::default() };
            let store = open(&format!("https://localhost:{port}"), tls).await;
            if words_of_error.is_empty() {
                store.put("k", "body").await.unwrap();
            } else {
                let error = words(&store).await;
                assert!(error.contains(words_of_error), "{file}: {error}");
            }
        }
    });
}

#[test]
fn server_without_tls_is_a_distinct_error() {
    run(async {
        let server = dev_server().await;
        let endpoint = server.endpoint().replace("http://", "https://");
        let said = words(&open(&endpoint, TlsOptions::default()).await).await;
        assert!(said.contains("TLS"), "{said}");
    });
}

#[test]
fn malformed_ca_file_error_names_the_file() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing here").unwrap();
        for file in [empty, folder.path().join("missing.pem")] {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let tls = TlsOptions { ca_file: Some(file), ..TlsOptions::default() };
            let options = StoreOptions::new().settings(settings("https://localhost:1", &[])).tls(tls);
            let error = engine().open(options).await.unwrap_err();
            assert!(matches!(&error, Error::Config { key: Some(key), .. } if key == "ca-file"), "{error:?}");
            assert!(error.to_string().contains(&name), "{error}");
        }
    });
}

#[test]
fn only_the_allowed_authority_is_reached() {
    run(async {
        let server = dev_server().await;
        let closed =
            engine().open(StoreOptions::new().settings(settings(&server.endpoint(), &[])).egress(Egress::none()));
        let said = words(&closed.await.unwrap()).await;
        assert!(said.contains("nothing") && said.contains(server.endpoint().as_str()), "{said}");

        let elsewhere = Egress::only("https://s3.example.com").unwrap();
        let options = StoreOptions::new().settings(settings(&server.endpoint(), &[])).egress(elsewhere);
        let said = words(&engine().open(options).await.unwrap()).await;
        assert!(said.contains("https://s3.example.com"), "{said}");
    });
}

/// A public name must not resolve to this machine, though nothing in the request shows that it does.
#[test]
fn connected_address_is_checked() {
    run(async {
        let server = dev_server().await;
        let endpoint = server.endpoint();
        let port = endpoint.rsplit(':').next().unwrap();
        // `localhost` is private by its name; under the policy of a public name it is not.
        let strict = Egress::only(&format!("http://localhost:{port}")).unwrap().only_public();
        let options = StoreOptions::new()
            .setting("bucket", BUCKET)
            .setting("endpoint", format!("http://localhost:{port}"))
            .setting("access-key", ACCESS_KEY)
            .setting("secret-key", SECRET_KEY)
            .egress(strict);
        let said = words(&engine().open(options).await.unwrap()).await;
        assert!(said.contains("loopback") && said.contains("allow-private"), "{said}");
    });
}
