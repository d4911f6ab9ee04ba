//! Proxies, well-behaved and misbehaving.

use sandbucket::{Egress, Proxy, StoreOptions, TlsOptions};
use sandbucket_tests::faulty::proxy::{FaultyProxy, Manners};
use sandbucket_tests::{builder, engine, settings};

use super::front::front;
use super::*;

/// A name that resolves through the proxy only.
const HOST: &str = "s3.behind-the-proxy.test";

fn options(endpoint: &str, proxy: &str) -> StoreOptions {
    options_with_timeout(endpoint, proxy, "1s")
}

fn options_with_timeout(endpoint: &str, proxy: &str, timeout: &str) -> StoreOptions {
    let further = [("region", "eu-central-1"), ("timeout", timeout), ("max-retries", "2")];
    let tls = TlsOptions { allow_invalid_certs: true, ..TlsOptions::default() };
    let proxy = Proxy::url(proxy).expect("the URL of a proxy");
    StoreOptions::new().settings(settings(endpoint, &further)).tls(tls).allow_private().proxy(proxy)
}

/// A store whose calls succeed. A slow machine must not make them retry.
async fn store(endpoint: &str, proxy: &str) -> Store {
    engine().open(options_with_timeout(endpoint, proxy, "20s")).await.expect("the store opens")
}

async fn failure(store: &Store) -> Failure {
    match store.head("k").await {
        Err(Error::Network(failure) | Error::Timeout(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn https_endpoint_is_reached_through_a_tunnel() {
    run(async {
        let server = Faulty::start([]).await;
        server.keep(PATH, "right");
        let (port, _) = front(&server.endpoint()).await;
        let proxy = FaultyProxy::start(Manners::Good, &format!("http://127.0.0.1:{port}")).await;
        let store = store(&format!("https://{HOST}"), &proxy.url("")).await;
        for _ in 0..3 {
            assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "right");
        }
        store.put("large", vec![7; 3 << 20]).await.unwrap();
        let seen = proxy.seen();
        assert_eq!(seen, [format!("CONNECT {HOST}:443 HTTP/1.1\r\nhost: {HOST}:443\r\n\r\n")], "one tunnel is kept");
        assert!(server.seen().iter().all(|seen| seen.header("host") == Some(HOST)));
    });
}

#[test]
fn plain_endpoint_is_reached_through_a_forwarding_proxy() {
    run(async {
        let server = Faulty::start([]).await;
        server.keep(PATH, "right");
        let rejection = Manners::OnlyForwards("HTTP/1.1 403 Forbidden\r\n\r\n");
        let proxy = FaultyProxy::start(rejection, &server.endpoint()).await;
        let store = store(&format!("http://{HOST}:9000"), &proxy.url("user:p%40ss@")).await;
        for _ in 0..3 {
            assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "right");
        }
        store.put("k", "new").await.unwrap();
        assert_eq!(server.blob(PATH).unwrap(), b"new");
        for seen in server.seen() {
            assert!(seen.target.starts_with(&format!("http://{HOST}:9000{PATH}")), "{seen:?}");
            assert_eq!(seen.header("host"), Some(format!("{HOST}:9000").as_str()));
            assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpwQHNz"));
        }
        let seen = proxy.seen();
        assert_eq!(seen.len(), 2, "the connection is kept: {seen:?}");
        assert!(seen[0].contains("proxy-authorization: Basic dXNlcjpwQHNz\r\n"), "{seen:?}");
        // The store remembers that the proxy opens no tunnels.
        server.make_stale(Act::silent().then_reset());
        store.head("k").await.unwrap();
        assert!(proxy.seen()[2..].iter().all(|head| head.starts_with("HEAD http://")), "{:?}", proxy.seen());
    });
}

#[test]
fn plain_endpoint_is_reached_through_a_tunnel_if_the_proxy_opens_one() {
    run(async {
        let server = Faulty::start([]).await;
        server.keep(PATH, "right");
        let proxy = FaultyProxy::start(Manners::OnlyTunnels, &server.endpoint()).await;
        let store = store(&format!("http://{HOST}"), &proxy.url("user:hush-hush@")).await;
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "right");
        assert!(proxy.seen()[0].starts_with(&format!("CONNECT {HOST}:80 HTTP/1.1\r\n")), "{:?}", proxy.seen());
        let seen = server.seen();
        assert_eq!((seen[0].target.as_str(), seen[0].header("proxy-authorization")), (PATH, None));
    });
}

#[test]
fn temporarily_refused_tunnel_is_retried() {
    run(async {
        let server = Faulty::start([]).await;
        server.keep(PATH, "right");
        for rejection in ["HTTP/1.1 502 Bad Gateway\r\n\r\n", ""] {
            let proxy = FaultyProxy::start(Manners::OnlyForwards(rejection), &server.endpoint()).await;
            let store = store(&format!("http://{HOST}"), &proxy.url("")).await;
            assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "right");
            let methods =
                proxy.seen().iter().map(|head| head.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
            assert_eq!(methods, ["CONNECT", "GET"]);
            server.make_stale(Act::silent().then_reset());
            store.head("k").await.unwrap();
            let methods =
                proxy.seen().iter().map(|head| head.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
            assert_eq!(methods[2..], ["CONNECT", "HEAD"]);
        }
    });
}

#[test]
fn https_proxy_is_reached_over_tls() {
    run(async {
        let server = Faulty::start([]).await;
        server.keep(PATH, "right");
        let (behind, _) = front(&server.endpoint()).await;
        for (endpoint, server) in [
            (format!("https://{HOST}"), format!("http://127.0.0.1:{behind}")),
            (format!("http://{HOST}"), server.endpoint()),
        ] {
            let proxy = FaultyProxy::start(Manners::Good, &server).await;
            let (port, _) = front(&proxy.url("")).await;
            let store = store(&endpoint, &format!("https://localhost:{port}")).await;
            assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "right", "{endpoint}");
            assert_eq!(proxy.seen().len(), 1);
        }
    });
}

#[test]
fn endpoints_certificate_is_verified_in_the_tunnel() {
    run(async {
        let server = Faulty::start([]).await;
        let (port, _) = front(&server.endpoint()).await;
        let proxy = FaultyProxy::start(Manners::Good, &format!("http://127.0.0.1:{port}")).await;
        let options = options(&format!("https://{HOST}"), &proxy.url("")).tls(TlsOptions::default());
        let failure = failure(&engine().open(options).await.unwrap()).await;
        assert!(failure.message.contains("certificate") && failure.message.contains(HOST), "{failure:?}");
        assert!(server.seen().is_empty());
    });
}

#[test]
fn proxy_that_requires_a_password_is_an_error_that_names_the_setting() {
    run(async {
        for endpoint in [format!("https://{HOST}"), format!("http://{HOST}")] {
            let proxy = FaultyProxy::start(Manners::Wants("Basic right".to_owned()), "http://127.0.0.1:1").await;
            for user in ["", "user:hush-hush@"] {
                let before = proxy.seen().len();
                let failure = failure(&store(&endpoint, &proxy.url(user)).await).await;
                let words = &failure.message;
                assert!(words.contains(&proxy.url("")) && words.contains("USER:PASSWORD"), "{words}");
                assert!(!format!("{failure:?}").contains("hush"), "{failure:?}");
                assert_eq!(proxy.seen().len(), before + 1, "it was asked again: {words}");
            }
        }
    });
}

#[test]
fn refused_tunnel_error_names_the_proxy_its_status_and_the_target() {
    run(async {
        let huge = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 64 << 10], b"\r\n\r\n".to_vec()].concat();
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(1000));
        for (manners, expected) in [
            (Manners::Says(b"HTTP/1.1 403 Forbidden by policy\r\n\r\nno".to_vec()), "403 (Forbidden by policy)"),
            (Manners::Says(b"HTTP/1.1 502 \r\n\r\n".to_vec()), "status 502"),
            (Manners::Says(huge), "head of its response"),
            (Manners::Says(many.into_bytes()), "head of its response"),
            (Manners::Says(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n".to_vec()), "before the tunnel was used"),
            (Manners::Says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()), "response is not HTTP"),
            (Manners::Says(Vec::new()), "without a response"),
            (Manners::Says(b"HTTP/1.1 20".to_vec()), "without a response"),
            (Manners::Floods(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()), "head of its response"),
            (Manners::Floods(b"x".to_vec()), "response is not HTTP"),
            (Manners::Stalls, "through the proxy"),
        ] {
            let proxy = FaultyProxy::start(manners.clone(), "http://127.0.0.1:1").await;
            let failure = failure(&store(&format!("https://{HOST}"), &proxy.url("user:hush-hush@")).await).await;
            let words = &failure.message;
            assert!(words.contains(expected), "{manners:?}: {words}");
            assert!(words.contains(&proxy.url("")) && words.contains(HOST), "{manners:?}: {words}");
            assert!(words.len() < 4096 && !format!("{failure:?}").contains("hush"), "{failure:?}");
        }
    });
}

#[test]
fn informational_response_before_the_tunnel_is_skipped() {
    run(async {
        // The TLS handshake that follows fails, as the server has none.
        let twice = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec();
        let proxy = FaultyProxy::start(Manners::Says(twice), "http://127.0.0.1:1").await;
        let failure = failure(&store(&format!("https://{HOST}"), &proxy.url("")).await).await;
        assert!(failure.message.contains("TLS with"), "{failure:?}");
    });
}

#[test]
fn body_of_a_closed_tunnel_resumes_through_another() {
    run(async {
        let server = Faulty::start([]).await;
        let body = vec![7; 1 << 20];
        server.keep(PATH, body.clone());
        let (port, _) = front(&server.endpoint()).await;
        let proxy = FaultyProxy::start(Manners::ClosesAfter(600 << 10), &format!("http://127.0.0.1:{port}")).await;
        let store = store(&format!("https://{HOST}"), &proxy.url("")).await;
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), body);
        assert_eq!(proxy.seen().len(), 2);
        assert!(server.seen()[1].header("range").is_some());
    });
}

#[test]
fn unreachable_proxy_error_names_the_proxy() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        for endpoint in [format!("https://{HOST}"), format!("http://{HOST}")] {
            let failure = failure(&store(&endpoint, &url).await).await;
            assert!(failure.message.contains(&format!("the proxy {url} cannot be used")), "{failure:?}");
        }
    });
}

#[test]
fn private_endpoint_is_not_reached_through_a_proxy() {
    run(async {
        let engine =
            sandbucket::Engine::builder().cache_dir(sandbucket_tests::CACHE).proxy(Proxy::none()).build().unwrap();
        let proxy = FaultyProxy::start(Manners::Good, "http://127.0.0.1:1").await;
        let trusted = || Proxy::url(&proxy.url("")).unwrap().allow_private();
        for host in ["127.0.0.1", "10.1.2.3", "[::1]", "169.254.169.254", "localhost", "minio.internal", "minio"] {
            for scheme in ["http", "https"] {
                let settings = settings(&format!("{scheme}://{host}"), &[("max-retries", "0")]);
                let store = engine.open(StoreOptions::new().settings(settings).proxy(trusted())).await.unwrap();
                let failure = failure(&store).await;
                assert!(
                    failure.message.contains("may not reach") || failure.message.contains("no store may"),
                    "{failure:?}"
                );
            }
        }
        assert!(proxy.seen().is_empty(), "{:?}", proxy.seen());
        // Nor is a proxy at a private address that a tenant configures.
        let settings = settings(&format!("https://{HOST}"), &[("max-retries", "0")]);
        let tenants = Proxy::url(&proxy.url("")).unwrap();
        let store = engine.open(StoreOptions::new().settings(settings.clone()).proxy(tenants)).await.unwrap();
        let failure = failure(&store).await;
        assert!(
            failure.message.contains("a loopback address") && failure.message.contains("Proxy::allow_private"),
            "{failure:?}"
        );
        assert!(proxy.seen().is_empty());
        // The plugin reaches its endpoint only, and nothing without one.
        let none = StoreOptions::new().settings(settings).egress(Egress::none()).proxy(trusted());
        assert!(engine.open(none).await.unwrap().head("k").await.is_err());
        assert!(proxy.seen().is_empty());
    });
}

#[test]
fn store_overrides_the_engines_proxy() {
    run(async {
        let server = Faulty::start([]).await;
        server.keep(PATH, "right");
        let engines = FaultyProxy::start(Manners::Good, &server.endpoint()).await;
        let own = FaultyProxy::start(Manners::Good, &server.endpoint()).await;
        let port = server.port();
        let proxy = Proxy::url(&engines.url("")).unwrap().no_proxy(format!("localhost:{port}"));
        let engine = builder().proxy(proxy).build().unwrap();
        let open = async |endpoint: &str, proxy: Option<Proxy>| {
            let options = StoreOptions::new().settings(settings(endpoint, &[])).allow_private();
            let options = if let Some(proxy) = proxy { options.proxy(proxy) } else { options };
            engine.open(options).await.unwrap().head("k").await.unwrap();
            (engines.seen().len(), own.seen().len())
        };
        assert_eq!(open(&format!("http://{HOST}"), None).await, (1, 0));
        assert_eq!(open(&format!("http://{HOST}"), Some(Proxy::url(&own.url("")).unwrap())).await, (1, 1));
        assert_eq!(open(&format!("http://localhost:{port}"), None).await, (1, 1));
        assert_eq!(open(&server.endpoint(), Some(Proxy::none())).await, (1, 1));
        // Proxies with different passwords share no connection.
        assert_eq!(open(&format!("http://{HOST}"), Some(Proxy::url(&own.url("other:user@")).unwrap())).await, (1, 2));
    });
}

#[test]
fn stale_connection_to_a_proxy_is_replaced() {
    run(async {
        let server = Faulty::start([]).await;
        server.keep(PATH, "right");
        let rejection = Manners::OnlyForwards("HTTP/1.1 501 Not Implemented\r\n\r\n");
        let proxy = FaultyProxy::start(rejection, &server.endpoint()).await;
        let store = store(&format!("http://{HOST}"), &proxy.url("user:pass@")).await;
        store.head("k").await.unwrap();
        server.make_stale(Act::silent().then_reset());
        store.head("k").await.unwrap();
        let seen = server.seen();
        assert_eq!(seen.len(), 3);
        assert!(
            seen.iter().all(|seen| seen.header("proxy-authorization").is_some() && seen.target.starts_with("http://"))
        );
    });
}
