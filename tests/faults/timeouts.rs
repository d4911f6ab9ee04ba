//! Timeouts: a service that stops responding, reading or sending.

use super::*;
use sandbucket::{Engine, Limits};
use sandbucket_tests::faulty::etag;
use sandbucket_tests::{builder, settings};

#[test]
fn missing_response_is_a_timeout() {
    run(async {
        let bench = Bench::new(always(Act::silent().then_stall())).await;
        let failure = refused!(bench.read().await, Timeout);
        is_decent(&failure, ATTEMPTS);
        assert!(failure.retryable);
        bench.ends_well().await;
    });
}

#[test]
fn response_body_that_stalls_is_a_timeout() {
    run(async {
        let tag = etag(b"right");
        let half = Act::respond(200, &format!("etag: {tag}\r\ncontent-length: 5\r\n"), "ri").then_stall();
        let header = format!("etag: {tag}\r\ncontent-range: bytes 2-4/5\r\ncontent-length: 3\r\n");
        let none = Act::respond(206, &header, "").then_stall();
        let bench = Bench::new([half, none.clone(), none.clone(), none]).await;
        let failure = refused!(bench.read().await, Timeout);
        is_decent(&failure, 4);
        bench.ends_well().await;
    });
}

#[test]
fn timeout_error_names_the_limit_that_is_shorter_than_the_setting() {
    run(async {
        let mut limits = Limits::default();
        limits.first_byte_timeout = Duration::from_millis(500);
        limits.between_bytes_timeout = Duration::from_millis(500);
        limits.resumes = 0;
        let engine = builder().limits(limits).build().unwrap();
        let half = Act::respond(200, "etag: \"x\"\r\ncontent-length: 5\r\n", "ri").then_stall();
        for (act, name) in [(Act::silent().then_stall(), "first-byte-timeout"), (half, "between-bytes-timeout")] {
            let server = Faulty::start([act.clone(), act]).await;
            let error_message = async |engine: &Engine, timeout| {
                let settings = settings(&server.endpoint(), &[("timeout", timeout), ("max-retries", "0")]);
                let read = async { engine.store(settings).await?.get("k").await?.bytes().await };
                match read.await {
                    Err(error @ Error::Timeout(_)) => error.to_string(),
                    other => panic!("{other:?}"),
                }
            };
            let limited = error_message(&engine, "5s").await;
            assert!(limited.contains("500ms, which is all that `") && limited.contains(name), "{limited}");
            // If the setting is shorter, the error names the setting.
            if name == "first-byte-timeout" {
                let shorter = error_message(&engine, "200ms").await;
                assert!(shorter.contains("200") && !shorter.contains("-timeout"), "{shorter}");
            }
        }
    });
}

#[test]
fn response_head_that_stalls_is_a_timeout() {
    run(async {
        let bench = Bench::new(always(Act::raw("HTTP/1.1 200 OK\r\netag: \"x\"\r\ncont").then_stall())).await;
        let failure = refused!(bench.read().await, Timeout);
        is_decent(&failure, ATTEMPTS);
        bench.ends_well().await;
    });
}

#[test]
fn service_that_stops_reading_the_body_is_a_timeout() {
    run(async {
        let bench = Bench::with([Act::silent().before_body().then_freeze()], &[("max-retries", "0")]).await;
        let failure = refused!(bench.store.put("k", vec![7; 16 << 20]).await, Timeout);
        is_decent(&failure, 1);
        bench.ends_well().await;
    });
}

#[test]
fn endless_drip_of_a_body_ends_at_the_calls_time_limit() {
    run(async {
        let drip = Act::drip("HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 1000000\r\n\r\n");
        let bench = Bench::with([drip], &[("max-retries", "0")]).await;
        let got = bench.store.get("k").time_limit(Duration::from_secs(3)).await;
        let failure = match got {
            Ok(blob) => refused!(blob.bytes().await, Timeout),
            other => refused!(other, Timeout),
        };
        is_decent(&failure, 1);
        bench.ends_well().await;
    });
}

#[test]
fn slow_drip_of_headers_is_a_timeout() {
    run(async {
        let bench = Bench::with([Act::drip("HTTP/1.1 200 OK\r\nx-drip: ")], &[("max-retries", "0")]).await;
        let failure = refused!(bench.read().await, Timeout);
        is_decent(&failure, 1);
        bench.ends_well().await;
    });
}

#[test]
fn slow_drip_of_an_error_body_is_a_timeout() {
    run(async {
        let drip = Act::drip("HTTP/1.1 403 Forbidden\r\ncontent-length: 1000000\r\n\r\n");
        let bench = Bench::with([drip], &[("max-retries", "0")]).await;
        // The status has arrived and the body never ends: either may be reported.
        let failure = match bench.store.get("k").time_limit(Duration::from_secs(3)).await {
            Err(Error::AccessDenied(failure) | Error::Timeout(failure)) => *failure,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it went well"),
        };
        is_decent(&failure, 1);
        bench.ends_well().await;
    });
}
