//! Idle connections: an engine bounds them over all of its stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use sandbucket::{Limits, StoreOptions, TlsOptions};
use sandbucket_tests::{builder, settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Starts a server on all loopback addresses that responds to every HEAD. Returns its port, the number of connections
/// accepted so far, and the number of open ones.
async fn server() -> (u16, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (made, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (made.clone(), open.clone());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let (made, open) = counts.clone();
            made.fetch_add(1, SeqCst);
            open.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
                while let Ok(count @ 1..) = tcp.read(&mut chunk).await {
                    request.extend_from_slice(&chunk[..count]);
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        let response = b"HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 5\r\n\r\n";
                        if tcp.write_all(response).await.is_err() {
                            break;
                        }
                    }
                }
                open.fetch_sub(1, SeqCst);
            });
        }
    });
    (port, made, open)
}

#[test]
fn idle_connections_are_bounded_engine_wide_and_the_newest_are_kept() {
    run(async {
        const AUTHORITIES: usize = 1500;
        const LIMIT: usize = 100;
        let mut limits = Limits::default();
        limits.max_idle_connections = LIMIT;
        let engine = builder().limits(limits).build().unwrap();
        let (port, made, open) = server().await;
        let head = async |nth: usize| {
            let endpoint = format!("http://127.0.{}.{}:{port}", nth / 250, 1 + nth % 250);
            // Other TLS options have their own client.
            let tls = TlsOptions { allow_invalid_certs: nth.is_multiple_of(2), ..TlsOptions::default() };
            let options = StoreOptions::new().settings(settings(&endpoint, &[("max-retries", "0")])).tls(tls);
            engine.open(options).await.unwrap().head("k").await.unwrap();
        };
        for nth in 0..AUTHORITIES {
            head(nth).await;
            // The server notices a closed connection slightly later.
            if nth % 100 == 0 {
                assert!(open.load(SeqCst) <= LIMIT + 100, "{} open", open.load(SeqCst));
            }
        }
        assert_eq!(made.load(SeqCst), AUTHORITIES);
        let began = Instant::now();
        while open.load(SeqCst) > LIMIT {
            assert!(began.elapsed() < Duration::from_secs(20), "{} stay open", open.load(SeqCst));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(open.load(SeqCst), LIMIT);
        for nth in AUTHORITIES - LIMIT..AUTHORITIES {
            head(nth).await;
        }
        assert_eq!(made.load(SeqCst), AUTHORITIES, "one of the newest was closed");
        head(0).await;
        assert_eq!(made.load(SeqCst), AUTHORITIES + 1);
    });
}
