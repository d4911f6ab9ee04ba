//! Slow, oversized and idle clients, and the shutdown.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bench, bytes, run};
use sandbucket::TenantsConfig;
use sandbucket_tests::python::hex;

/// Sends bytes, and returns the response up to the end of the connection.
pub async fn exchange(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    rest(stream).await
}

/// Everything up to the end of a connection, or its reset.
async fn rest(mut stream: TcpStream) -> String {
    let mut response = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        response.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&response).into_owned()
}

fn address(bench: &Bench) -> String {
    bench.running.addresses()[0].to_string()
}

#[test]
fn slow_and_oversized_headers_are_bounded() {
    run(async {
        let limits = "[serve.limits]\nheader-timeout = '500ms'\nheader-size = '8KiB'\n";
        let bench = Bench::with(limits).await;
        let address = address(&bench);
        // Half a header, and none.
        for head in ["GET / HTTP/1.1\r\nhost: x\r\n", ""] {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            rest(stream).await;
        }
        // One byte at a time does not extend the time.
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let mut sent = 0;
        while sent < 600 && stream.write_all(b"G").await.is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(sent < 600, "the connection is still open");
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(64 << 10));
        let response = exchange(&address, long.as_bytes()).await;
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 431"), "{response}");
        let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(500));
        let response = exchange(&address, many.as_bytes()).await;
        assert!(response.starts_with("HTTP/1.1 431"), "{response}");
        // Others are served.
        bench.boto("alice-rw").await.ok("list_buckets", json!({})).await;
        bench.running.stop().await;
    });
}

#[test]
fn stalled_bodies_end_in_both_directions() {
    run(async {
        let bench = Bench::with("[serve.limits]\nbody-timeout = '500ms'\n").await;
        let mut alice = bench.boto("alice-rw").await;
        let body = json!({"hex": hex(&bytes(32 << 20))});
        alice.ok("put_object", json!({"Bucket": "alice-photos", "Key": "large", "Body": body})).await;
        let presign = |method: &str, key: &str| json!({"op": "presign", "method": method, "bucket": "alice-photos", "key": key, "expires": 60});
        let path = async |alice: &mut super::Client, method: &str, key: &str| {
            let url = alice.0.call(presign(method, key)).await.unwrap()["url"].as_str().unwrap().to_owned();
            let uri: http::Uri = url.parse().unwrap();
            uri.path_and_query().unwrap().to_string()
        };
        // A reader that takes nothing: the connection breaks off before all bytes were sent.
        let get = path(&mut alice, "get_object", "large").await;
        let mut stream = TcpStream::connect(address(&bench)).await.unwrap();
        let host = address(&bench);
        stream.write_all(format!("GET {get} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        let counts = || bench.gateway.counts().remove("alice").unwrap_or_default();
        while counts().in_flight == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while counts().in_flight > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(rest(stream).await.len() < 32 << 20);
        // A writer that sends a byte now and then.
        let put = path(&mut alice, "put_object", "slow").await;
        let mut stream = TcpStream::connect(address(&bench)).await.unwrap();
        let head = format!("PUT {put} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let trickle = tokio::spawn(async move {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let mut response = vec![0; 4096];
        let count = reader.read(&mut response).await.unwrap();
        let response = String::from_utf8_lossy(&response[..count]).into_owned();
        assert!(response.starts_with("HTTP/1.1 400") && response.contains("RequestTimeout"), "{response}");
        trickle.abort();
        alice.fails("head_object", json!({"Bucket": "alice-photos", "Key": "slow"}), "404", 404).await;
        bench.running.stop().await;
    });
}

#[test]
fn clients_beyond_the_limit_of_connections_wait() {
    run(async {
        let bench = Bench::with("[serve.limits]\nconnections = 2\nheader-timeout = '1s'\n").await;
        let address = address(&bench);
        let idle = [TcpStream::connect(&address).await.unwrap(), TcpStream::connect(&address).await.unwrap()];
        // Served once the idle ones have been closed.
        bench.boto("alice-rw").await.ok("list_buckets", json!({})).await;
        for stream in idle {
            assert_eq!(rest(stream).await, "");
        }
        bench.running.stop().await;
    });
}

#[test]
fn excess_of_a_budget_is_slow_down_with_the_time_to_wait() {
    run(async {
        let bench = Bench::start().await;
        let budget = "[tenants.alice.budget]\ncalls-per-second = 1\nqueue-wait = '1ms'\n";
        let text = super::tenants(&bench.alice, &bench.bob) + budget;
        bench.gateway.apply(&TenantsConfig::parse(&text).unwrap()).await.unwrap();
        let mut alice = bench.boto("alice-rw").await;
        let presign =
            json!({"op": "presign", "method": "get_object", "bucket": "alice-photos", "key": "k", "expires": 600});
        let url = alice.0.call(presign).await.unwrap()["url"].as_str().unwrap().to_owned();
        let uri: http::Uri = url.parse().unwrap();
        let host = address(&bench);
        let head =
            format!("GET {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n", uri.path_and_query().unwrap());
        // One per second passes; of ten at once, most do not.
        let responses = (0..10).map(|_| exchange(&host, head.as_bytes()));
        let responses = futures::future::join_all(responses).await;
        let throttled: Vec<_> = responses.iter().filter(|response| response.starts_with("HTTP/1.1 503")).collect();
        assert!(!throttled.is_empty(), "{responses:?}");
        for response in throttled {
            assert!(response.contains("SlowDown"), "{response}");
            let after = response.lines().find_map(|line| line.strip_prefix("retry-after: "));
            let seconds: u64 = after.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{response}"));
            assert!((1..=10).contains(&seconds), "{response}");
        }
        let counts = bench.gateway.counts().remove("alice").unwrap();
        assert!(counts.throttled > 0 && counts.server_errors == 0, "{counts:?}");
        // Others are not affected.
        let mut bob = bench.boto("bob-rw").await;
        for _ in 0..5 {
            bob.fails("head_object", json!({"Bucket": "bob-photos", "Key": "k"}), "404", 404).await;
        }
        bench.running.stop().await;
    });
}

#[test]
fn half_closed_connections_end() {
    run(async {
        let bench = Bench::with("[serve.limits]\nheader-timeout = '60s'\n").await;
        for request in ["", "GET / HTTP/1.1\r\nho", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let mut stream = TcpStream::connect(address(&bench)).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            // Long before the time for a header.
            let response = tokio::time::timeout(Duration::from_secs(30), rest(stream)).await;
            assert!(response.is_ok(), "{request:?}: the connection stays open");
        }
        bench.running.stop().await;
    });
}

#[test]
fn shutdown_lets_requests_in_flight_finish_within_the_time() {
    run(async {
        let bench = Bench::with("[serve.limits]\nbody-timeout = '30s'\ndrain = '30s'\n").await;
        let mut alice = bench.boto("alice-rw").await;
        let presign =
            json!({"op": "presign", "method": "put_object", "bucket": "alice-photos", "key": "late", "expires": 60});
        let url = alice.0.call(presign).await.unwrap()["url"].as_str().unwrap().to_owned();
        let uri: http::Uri = url.parse().unwrap();
        let host = address(&bench);
        let mut stream = TcpStream::connect(&host).await.unwrap();
        let head =
            format!("PUT {} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\n\r\nab", uri.path_and_query().unwrap());
        stream.write_all(head.as_bytes()).await.unwrap();
        while bench.gateway.counts().get("alice").is_none_or(|counts| counts.in_flight == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (store, running) = (bench.alice.open(&[]).await, bench.running);
        let stop = tokio::spawn(running.stop());
        while TcpStream::connect(&host).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stream.write_all(b"cd").await.unwrap();
        let response = rest(stream).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        stop.await.unwrap();
        assert_eq!(store.get("photos/late").await.unwrap().bytes().await.unwrap(), "abcd");
    });
}

#[test]
fn shutdown_does_not_wait_for_a_stalled_request() {
    run(async {
        let bench = Bench::with("[serve.limits]\ndrain = '500ms'\n").await;
        let mut alice = bench.boto("alice-rw").await;
        let presign =
            json!({"op": "presign", "method": "put_object", "bucket": "alice-photos", "key": "never", "expires": 60});
        let url = alice.0.call(presign).await.unwrap()["url"].as_str().unwrap().to_owned();
        let uri: http::Uri = url.parse().unwrap();
        let host = address(&bench);
        let mut stream = TcpStream::connect(&host).await.unwrap();
        let head =
            format!("PUT {} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\n\r\nab", uri.path_and_query().unwrap());
        stream.write_all(head.as_bytes()).await.unwrap();
        while bench.gateway.counts().get("alice").is_none_or(|counts| counts.in_flight == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.running.stop().await;
        assert_eq!(rest(stream).await, "");
    });
}
