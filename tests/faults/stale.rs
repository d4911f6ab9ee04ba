//! Stale pooled connections: the service restarted, or a NAT or load balancer dropped its state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures::future::join_all;

use super::*;

/// A store with several idle connections, on each of which the server does `act` from now on.
async fn stale(act: Act, further: &[(&str, &str)]) -> (Bench, usize) {
    let slow = Act::well().delayed(Duration::from_millis(200));
    let bench = Bench::with(vec![slow; 6], further).await;
    for read in join_all((0..6).map(|_| bench.read())).await {
        assert_eq!(read.unwrap(), b"right");
    }
    let connections = bench.server.connections();
    assert!(connections > 1, "the requests went over one connection");
    bench.server.make_stale(act);
    (bench, connections)
}

impl Bench {
    /// The number of requests on the first `connections` connections, without the first `before` requests.
    fn on_stale(&self, connections: usize, before: usize) -> usize {
        self.server.seen()[before..].iter().filter(|seen| seen.connection <= connections).count()
    }
}

#[test]
fn idempotent_requests_that_a_stale_connection_resets_consume_no_attempt() {
    run(async {
        for act in [Act::silent().then_reset(), Act::silent().then_close(), Act::silent().before_body().then_reset()] {
            for operation in ["get", "head", "put"] {
                let (bench, connections) = stale(act.clone(), &[("max-retries", "0")]).await;
                let before = bench.requests();
                let store = &bench.store;
                match operation {
                    "get" => assert_eq!(bench.read().await.unwrap(), b"right"),
                    "head" => assert_eq!(store.head("k").await.unwrap().size, 5),
                    _ => drop(store.put("k", "new").await.unwrap()),
                }
                let seen = &bench.server.seen()[before..];
                assert_eq!(bench.on_stale(connections, before), 1, "{operation}: {seen:?}");
                assert_eq!(seen.len(), 2, "{operation}: {seen:?}");
                if operation == "put" {
                    assert_eq!(bench.server.blob(PATH).unwrap(), b"new");
                }
                bench.ends_well().await;
            }
        }
    });
}

#[test]
fn resent_body_is_complete_and_its_progress_ends_at_its_length() {
    run(async {
        let (bench, _) = stale(Act::silent().before_body().then_reset(), &[("max-retries", "0")]).await;
        let body = vec![7; 3 << 20];
        let last = Arc::new(AtomicU64::new(0));
        let reported = last.clone();
        bench.store.put("k", body.clone()).progress(move |bytes| reported.store(bytes, Relaxed)).await.unwrap();
        assert_eq!(bench.server.blob(PATH).unwrap(), body);
        assert_eq!(last.load(Relaxed), body.len() as u64);
        bench.ends_well().await;
    });
}

#[test]
fn dead_idle_connections_cost_one_timeout() {
    run(async {
        for act in [Act::silent().then_stall(), Act::silent().before_body().then_freeze()] {
            let (bench, connections) = stale(act, &[("max-retries", "1")]).await;
            let before = bench.requests();
            bench.store.put("k", "new").await.unwrap();
            assert_eq!(bench.on_stale(connections, before), 1);
            assert_eq!(bench.server.blob(PATH).unwrap(), b"new");
            bench.ends_well().await;
        }
    });
}

#[test]
fn dead_idle_connections_cost_each_concurrent_call_one_timeout() {
    run(async {
        let (bench, connections) = stale(Act::silent().then_stall(), &[("max-retries", "1")]).await;
        let before = bench.requests();
        let puts = (0..12).map(|number| bench.store.put(format!("{number}"), "new").into_future());
        for put in join_all(puts).await {
            put.unwrap();
        }
        assert!(bench.on_stale(connections, before) <= connections);
        bench.ends_well().await;
    });
}

#[test]
fn conditional_write_is_not_resent_by_the_pool_and_retried_on_a_new_connection() {
    run(async {
        let (bench, connections) = stale(Act::silent().then_reset(), &[("max-retries", "0")]).await;
        let before = bench.requests();
        assert!(bench.store.put("new", "x").if_absent().await.is_err());
        let seen = &bench.server.seen()[before..];
        assert!(seen.iter().filter(|seen| seen.method == "PUT").count() == 1, "{seen:?}");
        assert_eq!(bench.on_stale(connections, before), 1, "{seen:?}");
        bench.ends_well().await;

        let (bench, connections) = stale(Act::silent().then_reset(), &[("max-retries", "2")]).await;
        let before = bench.requests();
        bench.store.put("new", "x").if_absent().await.unwrap();
        assert_eq!(bench.on_stale(connections, before), 1);
        bench.ends_well().await;
    });
}

#[test]
fn complete_upload_on_a_stale_connection_succeeds() {
    run(async {
        for act in [Act::silent().then_reset(), Act::silent().then_stall()] {
            let (bench, connections) = stale(act, &[("max-retries", "3")]).await;
            let before = bench.requests();
            let part = sandbucket::Part::new(1, "\"part\"");
            let completed = "<CompleteMultipartUploadResult><ETag>\"all-1\"</ETag></CompleteMultipartUploadResult>";
            bench.server.then([Act::respond(200, "", completed)]);
            let written = bench.store.complete_upload("k", "the-id", [part]).await.unwrap();
            assert_eq!(written.etag.as_deref(), Some("\"all-1\""));
            // The service may take minutes to complete: a dead connection would go unnoticed as long, so the request takes
            // a new one.
            assert_eq!(bench.on_stale(connections, before), 0);
            bench.ends_well().await;
        }
    });
}

#[test]
fn body_truncated_on_a_stale_connection_resumes_over_a_new_one() {
    run(async {
        let half = format!(
            "HTTP/1.1 200 OK\r\netag: {}\r\ncontent-length: 5\r\n\r\nri",
            sandbucket_tests::faulty::etag(b"right")
        );
        for act in [Act::raw(half.clone()).then_reset(), Act::raw(half).then_stall()] {
            let (bench, connections) = stale(act, &[]).await;
            let before = bench.requests();
            assert_eq!(bench.read().await.unwrap(), b"right");
            assert_eq!(bench.on_stale(connections, before), 1);
            bench.ends_well().await;
        }
    });
}

#[test]
fn connection_that_became_idle_while_another_was_dead_is_evicted() {
    run(async {
        let slow = Act::well().delayed(Duration::from_millis(500));
        let bench = Bench::with([slow, Act::well()], &[("max-retries", "1")]).await;
        let (slow, fast) = (bench.read(), async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            assert_eq!(bench.read().await.unwrap(), b"right");
            assert_eq!(bench.server.connections(), 2);
            bench.server.make_stale(Act::silent().then_stall());
            bench.store.put("k", "right").await.unwrap();
        });
        let (read, ()) = tokio::join!(slow, fast);
        assert_eq!(read.unwrap(), b"right");
        assert_eq!(bench.on_stale(2, 2), 1);
        bench.ends_well().await;
    });
}

#[test]
fn failed_reconnect_after_a_stale_connection_reports_a_request_that_may_have_been_sent() {
    run(async {
        let (bench, _) = stale(Act::silent().then_reset(), &[("max-retries", "0")]).await;
        // The port is closed; open connections are still served.
        bench.server.stop_listening().await;
        let failure = refused!(bench.store.put("k", "new").await, Network);
        assert!(failure.message.contains("broke"), "{failure:?}");
        assert!(failure.retryable && failure.attempts == 1, "{failure:?}");
    });
}
