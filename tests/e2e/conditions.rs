//! Preconditions: four of a read, two of a write.

use std::time::Duration;

use sandbucket_tests::{Kind, refused, run};

use crate::start;

const HOUR: Duration = Duration::from_secs(3600);

/// Why Garage is skipped.
const IGNORED: &str = "it ignores a write's preconditions: it responds 200 and writes";

#[test]
fn reads_honour_etag_conditions() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let tag = store.put("k", "body").await.unwrap().etag.unwrap();

        assert_eq!(store.get("k").if_match(&tag).await.unwrap().bytes().await.unwrap(), "body");
        assert_eq!(store.head("k").if_match(&tag).await.unwrap().size, 4);
        refused!(store.get("k").if_match("\"other\"").await, PreconditionFailed);
        refused!(store.head("k").if_match("\"other\"").await, PreconditionFailed);

        refused!(store.get("k").if_none_match(&tag).await, NotModified);
        refused!(store.head("k").if_none_match(&tag).await, NotModified);
        assert_eq!(store.get("k").if_none_match("\"other\"").await.unwrap().bytes().await.unwrap(), "body");
    });
}

#[test]
fn reads_honour_date_conditions() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("k", "body").await.unwrap();
        let written = store.head("k").await.unwrap().last_modified.unwrap();

        refused!(store.get("k").if_modified_since(written + HOUR).await, NotModified);
        refused!(store.head("k").if_modified_since(written).await, NotModified);
        assert_eq!(store.get("k").if_modified_since(written - HOUR).await.unwrap().bytes().await.unwrap(), "body");

        refused!(store.get("k").if_unmodified_since(written - HOUR).await, PreconditionFailed);
        refused!(store.head("k").if_unmodified_since(written - HOUR).await, PreconditionFailed);
        assert_eq!(store.get("k").if_unmodified_since(written).await.unwrap().bytes().await.unwrap(), "body");
    });
}

#[test]
fn etag_conditions_take_precedence_over_dates() {
    run(async {
        let server = start().await;
        if server.cannot(Kind::Moto, "it responds 412 where the tag matches and the date does not") {
            return;
        }
        let store = server.open(&[]).await;
        let tag = store.put("k", "body").await.unwrap().etag.unwrap();
        let written = store.head("k").await.unwrap().last_modified.unwrap();
        store.get("k").if_match(&tag).if_unmodified_since(written - HOUR).await.unwrap();
        refused!(store.get("k").if_none_match(&tag).if_modified_since(written - HOUR).await, NotModified);
    });
}

#[test]
fn put_if_absent_succeeds_once() {
    run(async {
        let server = start().await;
        if server.cannot(Kind::Garage, IGNORED) {
            return;
        }
        let store = server.open(&[]).await;
        store.put("k", "first").if_absent().await.unwrap();
        let failure = refused!(store.put("k", "second").if_absent().await, PreconditionFailed);
        assert_eq!(failure.attempts, 1);
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "first");

        // Of many concurrent writers one succeeds.
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.put("contested", format!("writer {n}")).if_absent().await.is_ok() })
            })
            .collect();
        let mut won = 0;
        for writer in writers {
            won += usize::from(writer.await.unwrap());
        }
        assert_eq!(won, 1);
    });
}

#[test]
fn put_if_match_replaces_the_matching_version_only() {
    run(async {
        let server = start().await;
        if server.cannot(Kind::Garage, IGNORED) {
            return;
        }
        let store = server.open(&[]).await;
        let tag = store.put("k", "first").await.unwrap().etag.unwrap();
        let next = store.put("k", "second").if_match(&tag).await.unwrap().etag.unwrap();
        refused!(store.put("k", "third").if_match(&tag).await, PreconditionFailed);
        assert_eq!(store.get("k").if_match(&next).await.unwrap().bytes().await.unwrap(), "second");
        let error = store.put("nothing", "x").if_match(&tag).await.unwrap_err();
        // S3 reports a missing key, other services a failed condition.
        assert!(
            matches!(error, sandbucket::Error::NotFound(_) | sandbucket::Error::PreconditionFailed(_)),
            "{error:?}"
        );
        refused!(store.head("nothing").await, NotFound);
    });
}
