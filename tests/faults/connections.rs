//! Connections that break.

use super::*;
use sandbucket_tests::faulty::etag;

/// A response truncated after two bytes of the blob.
fn half() -> Act {
    Act::respond(200, &format!("etag: {}\r\ncontent-length: 5\r\n", etag(b"right")), "ri")
}

#[test]
fn reset_before_the_response_is_retried() {
    run(async {
        let bench = Bench::new([Act::silent().then_reset()]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}

#[test]
fn lasting_resets_are_a_network_error() {
    run(async {
        let bench = Bench::new(always(Act::silent().then_reset())).await;
        let failure = refused!(bench.read().await, Network);
        is_decent(&failure, ATTEMPTS);
        assert!(failure.retryable);
        assert_eq!(bench.requests(), ATTEMPTS);
        bench.ends_well().await;
    });
}

#[test]
fn connection_closed_without_a_response_is_retried() {
    run(async {
        let bench = Bench::new([Act::silent().then_close(), Act::silent().then_close()]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.requests(), 3);
        bench.ends_well().await;
    });
}

#[test]
fn stale_pooled_connection_is_retried() {
    run(async {
        let bench = Bench::with([Act::well().then_close(), Act::well().then_reset()], &[("max-retries", "1")]).await;
        for _ in 0..3 {
            assert_eq!(bench.read().await.unwrap(), b"right");
        }
        bench.ends_well().await;
    });
}

#[test]
fn reset_in_the_body_resumes_the_read() {
    run(async {
        // The read resumes with a range and `if-match`.
        let bench = Bench::new([half().then_reset()]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        let seen = bench.server.seen();
        assert_eq!(seen.len(), 2);
        let right = etag(b"right");
        assert_eq!((seen[1].header("range"), seen[1].header("if-match")), (Some("bytes=2-4"), Some(right.as_str())));
        bench.ends_well().await;
    });
}

#[test]
fn overwritten_blob_is_not_resumed() {
    run(async {
        let other = "etag: \"other\"\r\ncontent-length: 5\r\n";
        let bench = Bench::new([Act::respond(200, other, "ri").then_close()]).await;
        let failure = refused!(bench.read().await, PreconditionFailed);
        is_decent(&failure, 2);
        bench.ends_well().await;
        // Nor on a service that ignores conditions.
        let whole = Act::respond(200, "etag: \"x\"\r\n", "wrong");
        let bench = Bench::new([half().then_close(), whole]).await;
        let failure = refused!(bench.read().await, PreconditionFailed);
        is_decent(&failure, 2);
        assert!(failure.message.contains("changed while it was being read"), "{failure:?}");
        bench.ends_well().await;
    });
}

#[test]
fn read_resumes_on_a_service_that_ignores_ranges() {
    run(async {
        let whole = Act::respond(200, &format!("etag: {}\r\n", etag(b"right")), "right");
        let bench = Bench::new([half().then_close(), whole]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        bench.ends_well().await;
    });
}

#[test]
fn truncated_body_resumes_the_read() {
    run(async {
        let bench = Bench::new([half().then_close()]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}

#[test]
fn truncated_bodies_are_never_returned() {
    run(async {
        let tag = etag(b"right");
        let none =
            Act::respond(206, &format!("etag: {tag}\r\ncontent-range: bytes 2-4/5\r\ncontent-length: 3\r\n"), "");
        let script = [half().then_close(), none.clone().then_close(), none.clone().then_close(), none.then_close()];
        let bench = Bench::new(script).await;
        let failure = refused!(bench.read().await, Integrity);
        // As many attempts as `resumes` allows.
        is_decent(&failure, 4);
        assert!(failure.message.contains("after 2 of the 5 bytes"), "{failure:?}");
        bench.ends_well().await;
    });
}

#[test]
fn put_on_a_broken_connection_is_resent_whole() {
    run(async {
        let bench = Bench::new([Act::silent().before_body().then_reset()]).await;
        let body = vec![7; 3 << 20];
        bench.store.put("k", body.clone()).await.unwrap();
        assert_eq!(bench.server.blob(PATH).unwrap(), body);
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}
