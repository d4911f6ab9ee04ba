//! Retries: how long an outage they outlast, and how they end when a service is down for long.

use futures::future::join_all;
use sandbucket_tests::engine;

use super::*;

/// A store with default retries and a short timeout.
async fn store_with_default_retries(endpoint: &str) -> Store {
    open(endpoint, &[("timeout", "2s")]).await
}

#[test]
fn default_retries_outlast_a_restart_of_the_service() {
    run(async {
        // 503 while it restarts: 7 retries take 6 to 13 seconds.
        let starting = || Act::error(503, "SlowDown");
        let server = Faulty::start(vec![starting(); 7]).await;
        server.keep(PATH, "right");
        let store = store_with_default_retries(&server.endpoint()).await;
        let got = store.get("k").await.expect("the service is back in time").bytes().await.unwrap();
        assert_eq!((got.as_ref(), server.seen().len()), (&b"right"[..], 8));
    });
}

#[test]
fn default_retries_outlast_refused_connections() {
    run(async {
        let server = Faulty::start([]).await;
        let endpoint = server.endpoint();
        let port = server.port();
        drop(server);
        let store = store_with_default_retries(&endpoint).await;
        let put = tokio::spawn(async move { store.put("k", "x").await });
        tokio::time::sleep(Duration::from_secs(3)).await;
        let server = Faulty::start_on(port).await;
        put.await.unwrap().expect("the service is back in time");
        assert_eq!(server.blob(PATH).unwrap(), b"x");
    });
}

#[test]
fn failing_store_exhausts_its_retry_quota_and_recovers_with_the_service() {
    run(async {
        const CALLS: usize = 64;
        const ROUNDS: usize = 12;
        let server = Faulty::always(Act::error(503, "ServiceUnavailable")).await;
        let settings = [("max-retries", "2"), ("timeout", "5s")];
        let store = open(&server.endpoint(), &settings).await;
        for _ in 0..ROUNDS {
            let calls = (0..CALLS).map(|n| store.head(format!("k{n}")).into_future());
            for outcome in join_all(calls).await {
                outcome.expect_err("the service only fails");
            }
        }
        let requests = server.seen().len();
        // The quota allows 512 retries: 64 concurrent calls, 8 each.
        assert!(requests <= CALLS * ROUNDS + 512, "{requests} requests");
        assert!(requests >= CALLS * ROUNDS + 500, "{requests} requests");
        let failure = store.list("").await.expect_err("the service only fails");
        assert_eq!(failure.failure().map(|failure| failure.attempts), Some(1), "{failure}");
        let error = store.head("k").await.expect_err("the service only fails");
        assert!(error.to_string().contains("retry quota"), "{error}");
        // Another store has its own quota.
        let other = engine().store(sandbucket_tests::settings(&server.endpoint(), &settings)).await.unwrap();
        let error = other.head("k").await.expect_err("the service only fails");
        assert_eq!(error.failure().map(|failure| failure.attempts), Some(3), "{error}");
        // Successes refill it.
        server.recover();
        server.keep(PATH, "right");
        for _ in 0..50 {
            store.head("k").await.expect("the service is back");
        }
        server.then([Act::error(503, "ServiceUnavailable"), Act::error(503, "ServiceUnavailable")]);
        store.head("k").await.expect("two retries");
    });
}

#[test]
fn adaptive_mode_lowers_the_rate_of_a_throttled_store() {
    run(async {
        /// The number of requests of eight loops in three seconds.
        async fn requests(mode: &str) -> usize {
            let server = Faulty::always(Act::error(503, "SlowDown")).await;
            let settings = [("max-retries", "0"), ("timeout", "5s"), ("retry-mode", mode)];
            let store = open(&server.endpoint(), &settings).await;
            let ends = Instant::now() + Duration::from_secs(3);
            let loops = (0..8).map(async |n| {
                // Reads and lists share the rate.
                while Instant::now() < ends {
                    let error = if n % 2 == 0 { store.head("k").await.err() } else { store.list("").await.err() };
                    error.expect("the service only throttles");
                }
            });
            // Calls that wait when the time is over are dropped.
            let _ = tokio::time::timeout(Duration::from_secs(4), join_all(loops)).await;
            server.seen().len()
        }
        let (standard, adaptive) = (requests("standard").await, requests("adaptive").await);
        assert!(adaptive * 4 < standard, "{adaptive} requests, {standard} without the adaptive mode");
    });
}
