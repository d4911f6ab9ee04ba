//! Puts and gets of blobs of every size, ranges, and metadata.

use std::time::{Duration, SystemTime};

use sandbucket::ByteRange;
use sandbucket_tests::{Kind, refused, run};

use crate::start;

#[test]
fn put_blob_round_trips() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let written = store
            .put("report.txt", "seven bytes, and some")
            .content_type("text/plain; charset=utf-8")
            .metadata("Author", "A. N. Other")
            .metadata("stage", "draft")
            .await
            .unwrap();

        let blob = store.get("report.txt").await.unwrap();
        assert_eq!(blob.range(), 0..21);
        let info = blob.info().clone();
        assert_eq!(info.size, 21);
        assert_eq!(info.content_type.as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(info.etag, written.etag);
        assert!(info.etag.as_deref().is_some_and(|tag| tag.starts_with('"') && tag.ends_with('"')), "{:?}", info.etag);
        let mut metadata = info.metadata.clone();
        metadata.sort();
        let wanted = [("author", "A. N. Other"), ("stage", "draft")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(metadata, wanted);
        let age = SystemTime::now().duration_since(info.last_modified.unwrap()).unwrap_or_default();
        assert!(age < Duration::from_secs(3600), "{age:?}");
        assert_eq!(blob.bytes().await.unwrap(), "seven bytes, and some");

        let head = store.head("report.txt").await.unwrap();
        assert_eq!((head.size, &head.etag, &head.content_type), (21, &info.etag, &info.content_type));
        assert_eq!(head.last_modified, info.last_modified);
        server.stop().await;
    });
}

#[test]
fn put_replaces_the_whole_blob() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let first = store.put("k", "the first, and longer").metadata("a", "1").await.unwrap();
        let second = store.put("k", "the second").await.unwrap();
        assert_ne!(first.etag, second.etag);
        let blob = store.get("k").await.unwrap();
        assert!(blob.info().metadata.is_empty(), "{:?}", blob.info().metadata);
        assert_eq!(blob.bytes().await.unwrap(), "the second");
    });
}

#[test]
fn empty_blob_round_trips() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("empty", "").await.unwrap();
        assert_eq!(store.head("empty").await.unwrap().size, 0);
        let blob = store.get("empty").await.unwrap();
        assert_eq!(blob.range(), 0..0);
        assert_eq!(blob.bytes().await.unwrap(), "");
        refused!(store.get("empty").range(0..1).await, InvalidRange);
    });
}

#[test]
fn missing_blob_is_not_found_and_its_delete_succeeds() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let failure = refused!(store.get("nothing").await, NotFound);
        assert!(failure.message.contains("nothing"), "{failure:?}");
        assert!(!failure.retryable);
        assert_eq!(failure.attempts, 1);
        let response = failure.response.unwrap();
        assert_eq!((response.status, response.code.as_deref()), (404, Some(server.kind.no_such_key())));
        // Garage sends no request ID.
        assert!(response.request_id.is_some() || server.kind == Kind::Garage);
        refused!(store.head("nothing").await, NotFound);
        store.delete("nothing").await.unwrap();

        store.put("k", "x").await.unwrap();
        store.delete("k").await.unwrap();
        refused!(store.get("k").await, NotFound);
    });
}

#[test]
fn get_range_supports_every_form_of_range() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("k", "0123456789").await.unwrap();
        let cases: [(ByteRange, std::ops::Range<u64>); 9] = [
            ((0..1).into(), 0..1),
            ((0..10).into(), 0..10),
            ((3..7).into(), 3..7),
            ((9..10).into(), 9..10),
            ((8..1000).into(), 8..10),
            ((4..).into(), 4..10),
            ((0..).into(), 0..10),
            (ByteRange::Last(3), 7..10),
            (ByteRange::Last(1000), 0..10),
        ];
        for (requested, got) in cases {
            let blob =
                store.get("k").range(requested.clone()).await.unwrap_or_else(|error| panic!("{requested:?}: {error}"));
            assert_eq!(blob.range(), got, "{requested:?}");
            assert_eq!(blob.info().size, 10, "{requested:?}");
            assert_eq!(
                blob.bytes().await.unwrap(),
                "0123456789"[got.start as usize..got.end as usize],
                "{requested:?}"
            );
        }
        refused!(store.get("k").range(10..11).await, InvalidRange);
        refused!(store.get("k").range(1 << 40..).await, InvalidRange);
        #[allow(clippy::reversed_empty_ranges)] // That is what must be refused.
        let backward = 7..4;
        refused!(store.get("k").range(backward).await, InvalidArgument);
    });
}

#[test]
fn blob_of_many_chunks_is_read_whole_and_by_range() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        // Larger than the host's read buffer, and not a multiple of it.
        let body: Vec<u8> = (0..21_000_001u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        store.put("large", body.clone()).await.unwrap();
        let blob = store.get("large").await.unwrap();
        assert_eq!(blob.range(), 0..body.len() as u64);
        assert!(blob.bytes().await.unwrap() == body, "the body differs");

        let blob = store.get("large").range(1_000_001..20_000_002).await.unwrap();
        assert_eq!(blob.info().size, body.len() as u64);
        assert!(blob.bytes().await.unwrap() == body[1_000_001..20_000_002], "the part differs");
        let blob = store.get("large").range(ByteRange::Last(12_000_000)).await.unwrap();
        assert!(blob.bytes().await.unwrap() == body[9_000_001..], "the end differs");

        // A dropped body costs only the bytes that were read.
        drop(store.get("large").await.unwrap());
        assert_eq!(store.head("large").await.unwrap().size, body.len() as u64);
    });
}

#[test]
fn blob_overwritten_during_a_read_is_never_mixed() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("k", vec![b'a'; 20 << 20]).await.unwrap();
        let blob = store.get("k").await.unwrap();
        store.put("k", vec![b'b'; 20 << 20]).await.unwrap();
        match blob.bytes().await {
            Ok(bytes) => assert!(bytes.iter().all(|byte| *byte == b'a'), "two blobs were mixed"),
            Err(error) => assert!(error.failure().is_some(), "{error:?}"),
        }
    });
}

#[test]
fn invalid_metadata_is_rejected_before_a_request() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        for (name, value) in [("a b", "x"), ("", "x"), ("a:b", "x"), ("ä", "x"), ("a", "x\r\nx-amz-acl: public-read")]
        {
            let failure = refused!(store.put("k", "x").metadata(name, value).await, InvalidArgument);
            assert_eq!(failure.attempts, 0, "{failure:?}");
        }
        refused!(store.put("k", "x").metadata("a", "x".repeat(8192)).await, InvalidArgument);
        refused!(store.put("k", "x").metadata("a", "1").metadata("A", "2").await, InvalidArgument);
        refused!(store.put("k", "x").content_type("text/plain\r\nx-amz-acl: public-read").await, InvalidArgument);
        refused!(store.put("k", "x").attribute("no-such-attribute", "1").await, Unsupported);
        refused!(store.head("k").await, NotFound);
    });
}

#[test]
fn attributes_round_trip() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("k", "x").attribute("cache-control", "max-age=60").await.unwrap();
        let attributes = store.head("k").await.unwrap().attributes;
        let wanted = ("cache-control".to_owned(), "max-age=60".to_owned());
        assert!(attributes.contains(&wanted), "{attributes:?}");
    });
}
