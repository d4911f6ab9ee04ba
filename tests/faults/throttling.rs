//! Throttling: responses that ask for a retry or for a delay.

use super::*;

#[test]
fn response_503_is_retried() {
    run(async {
        let bench = Bench::new([Act::error(503, "ServiceUnavailable")]).await;
        bench.store.put("k", "written twice").await.unwrap();
        assert_eq!(bench.server.blob(PATH).unwrap(), b"written twice");
        assert_eq!(bench.requests(), 2);
        assert_eq!(bench.server.seen()[0].body, b"written twice");
        bench.ends_well().await;
    });
}

#[test]
fn lasting_503_is_reported_with_its_status() {
    run(async {
        let bench = Bench::new(always(Act::error(503, "ServiceUnavailable"))).await;
        let failure = match bench.read().await {
            Err(Error::Throttled(failure) | Error::Service(failure)) => *failure,
            other => panic!("{other:?}"),
        };
        is_decent(&failure, ATTEMPTS);
        assert!(failure.retryable);
        assert_eq!((status(&failure), code(&failure)), (503, Some("ServiceUnavailable")));
        assert_eq!(failure.response.unwrap().request_id.as_deref(), Some("REQ-ServiceUnavailable"));
        bench.ends_well().await;
    });
}

#[test]
fn slow_down_is_retried_with_backoff() {
    run(async {
        let bench = Bench::new(always(Act::error(503, "SlowDown"))).await;
        let failure = refused!(bench.read().await, Throttled);
        is_decent(&failure, ATTEMPTS);
        assert_eq!(code(&failure), Some("SlowDown"));
        bench.server.then([Act::error(503, "SlowDown"), Act::error(500, "InternalError")]);
        assert_eq!(bench.read().await.unwrap(), b"right");
        bench.ends_well().await;
    });
}

#[test]
fn retryable_error_codes_are_retried_whatever_their_status() {
    run(async {
        for (status, code) in
            [(400, "RequestTimeout"), (408, "RequestTimeout"), (500, "InternalError"), (502, "x"), (504, "y")]
        {
            let bench = Bench::new([Act::error(status, code)]).await;
            assert_eq!(bench.read().await.unwrap(), b"right", "{status} {code}");
            assert_eq!(bench.requests(), 2, "{status} {code}");
            bench.ends_well().await;
        }
    });
}

#[test]
fn final_errors_are_not_retried() {
    run(async {
        for (status, code) in
            [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidRequest"), (501, "NotImplemented")]
        {
            let bench = Bench::new([Act::error(status, code)]).await;
            let error = bench.read().await.unwrap_err();
            let failure = error.failure().unwrap_or_else(|| panic!("{error:?}"));
            is_decent(failure, 1);
            assert!(!error.is_retryable(), "{error:?}");
            assert_eq!(bench.requests(), 1, "{status} {code}");
            bench.ends_well().await;
        }
    });
}

#[test]
fn retry_after_delays_the_retry() {
    run(async {
        let bench = Bench::new([Act::respond(429, "retry-after: 2\r\n", "")]).await;
        let start = Instant::now();
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}

#[test]
fn retry_after_beyond_the_time_limit_ends_the_call() {
    run(async {
        let bench = Bench::new([Act::respond(429, "retry-after: 3600\r\n", "")]).await;
        let got = bench.store.get("k").time_limit(Duration::from_secs(5)).await;
        let failure = refused!(got, Throttled);
        is_decent(&failure, 1);
        assert!(failure.retryable);
        bench.ends_well().await;
    });
}
