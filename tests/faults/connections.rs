//! Connections that break.

use super::*;

#[test]
fn a_reset_before_the_answer_is_tried_again() {
    run(async {
        let bench = Bench::new([Act::silent().then_reset()]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}

#[test]
fn resets_without_end_are_a_network_error() {
    run(async {
        let bench = Bench::new(always(Act::silent().then_reset())).await;
        let failure = refused!(bench.read().await, Network);
        is_decent(&failure, TRIES);
        assert!(failure.retryable);
        assert_eq!(bench.requests(), TRIES);
        bench.ends_well().await;
    });
}

#[test]
fn a_connection_closed_without_an_answer_is_tried_again() {
    run(async {
        let bench = Bench::new([Act::silent().then_close(), Act::silent().then_close()]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.requests(), 3);
        bench.ends_well().await;
    });
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_costs_no_call() {
    run(async {
        let bench = Bench::with([Act::well().then_close(), Act::well().then_reset()], &[("max-retries", "1")]).await;
        for _ in 0..3 {
            assert_eq!(bench.read().await.unwrap(), b"right");
        }
        bench.ends_well().await;
    });
}

#[test]
fn a_reset_in_the_body_is_tried_again() {
    run(async {
        let half = Act::answer(200, "etag: \"x\"\r\ncontent-length: 5\r\n", "ri").then_reset();
        let bench = Bench::new([half]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}

#[test]
fn half_a_body_is_read_again() {
    run(async {
        let half = Act::answer(200, "etag: \"x\"\r\ncontent-length: 5\r\n", "ri").then_close();
        let bench = Bench::new([half]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}

#[test]
fn half_bodies_without_end_are_never_returned() {
    run(async {
        let half = Act::answer(200, "etag: \"x\"\r\ncontent-length: 5\r\n", "ri").then_close();
        let bench = Bench::new(always(half)).await;
        let failure = refused!(bench.read().await, Integrity);
        is_decent(&failure, TRIES);
        bench.ends_well().await;
    });
}

#[test]
fn a_put_whose_connection_breaks_is_sent_again_whole() {
    run(async {
        let bench = Bench::new([Act::silent().before_body().then_reset()]).await;
        let body = vec![7; 3 << 20];
        bench.store.put("k", body.clone()).await.unwrap();
        assert_eq!(bench.server.blob(PATH).unwrap(), body);
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}
