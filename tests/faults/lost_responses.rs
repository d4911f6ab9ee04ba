//! Writes whose response is lost, and how their outcome is reconciled.

use super::*;

#[test]
fn conditional_put_with_an_id_reconciles_a_lost_response() {
    run(async {
        for break_off in [
            Act::silent().applied().then_reset(),
            Act::silent().applied().then_close(),
            Act::respond(503, "", "").applied(),
        ] {
            let bench = Bench::new([break_off]).await;
            let written = bench.store.put("new", "mine").if_absent().write_id("w-1").await.unwrap();
            assert_eq!(bench.server.blob("/sandbucket-tests/new").unwrap(), b"mine");
            assert_eq!(written.etag, bench.store.head("new").await.unwrap().etag);
            bench.ends_well().await;
        }
    });
}

#[test]
fn conditional_put_does_not_claim_another_writers_identical_blob() {
    run(async {
        // Our request is lost; the other writer's identical blob is as new as ours would be.
        for id in [None, Some("ours")] {
            let bench = Bench::new([]).await;
            bench.store.put("new", "lock").write_id("theirs").await.unwrap();
            bench.server.then([Act::silent().then_reset()]);
            let put = bench.store.put("new", "lock").if_absent();
            let put = if let Some(id) = id { put.write_id(id) } else { put };
            let failure = refused!(put.await, OutcomeUnknown);
            assert!(failure.message.contains("read the key before writing again"), "{failure:?}");
            bench.ends_well().await;
        }
    });
}

#[test]
fn conditional_put_that_was_not_applied_is_retried() {
    run(async {
        let bench = Bench::new([Act::silent().then_reset()]).await;
        bench.store.put("new", "mine").if_absent().await.unwrap();
        assert_eq!(bench.server.blob("/sandbucket-tests/new").unwrap(), b"mine");
        assert_eq!(bench.requests(), 2);
        assert!(bench.server.seen().iter().all(|seen| seen.header("if-none-match") == Some("*")));
        bench.ends_well().await;
    });
}

#[test]
fn conditional_put_won_by_another_writer_fails() {
    run(async {
        let bench = Bench::new([Act::silent().then_reset()]).await;
        bench.server.keep("/sandbucket-tests/new", "theirs");
        // The other blob existed before our first attempt, so ours was not applied.
        refused!(bench.store.put("new", "mine").if_absent().await, PreconditionFailed);
        assert_eq!(bench.server.blob("/sandbucket-tests/new").unwrap(), b"theirs");
        bench.ends_well().await;
    });
}

#[test]
fn conditional_update_with_an_id_reconciles_a_lost_response() {
    run(async {
        let bench = Bench::new([]).await;
        let tag = bench.store.head("k").await.unwrap().etag.unwrap();
        bench.server.then([Act::silent().applied().then_reset()]);
        bench.store.put("k", "mine").if_match(&tag).write_id("w-1").await.unwrap();
        assert_eq!(bench.server.blob(PATH).unwrap(), b"mine");
        // The ETag no longer matches: the same update fails at once.
        let before = bench.requests();
        refused!(bench.store.put("k", "again").if_match(&tag).await, PreconditionFailed);
        // The PUT, and a HEAD that checks whether it failed because of its quotes.
        assert_eq!(bench.requests(), before + 2);
        bench.ends_well().await;
    });
}

#[test]
fn conditional_put_with_unknown_outcome_is_a_distinct_error() {
    run(async {
        let bench = Bench::new([Act::silent().applied().then_reset()]).await;
        bench.server.then(vec![Act::silent().then_reset(); 20]);
        let error = bench.store.put("new", "mine").if_absent().await.unwrap_err();
        let failure = match &error {
            Error::OutcomeUnknown(failure) => failure,
            other => panic!("{other:?}"),
        };
        assert!(failure.message.contains("new"), "{failure:?}");
        assert!(bench.requests() <= 2 * ATTEMPTS, "{} requests", bench.requests());
    });
}
