//! Every type of range of the standard library, and empty ranges.

use std::ops::Bound;

use bytes::BytesMut;
use futures::TryStreamExt;
use sandbucket::ByteRange;
use sandbucket_tests::{Service, refused, run};

async fn join(mut all: BytesMut, piece: bytes::Bytes) -> sandbucket::Result<BytesMut> {
    all.extend_from_slice(&piece);
    Ok(all)
}

#[test]
fn empty_range_returns_no_bytes() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[]).await;
        let etag = store.put("k", "0123456789").await.expect("stored").etag.expect("a tag");
        for range in [ByteRange::from(5..5), (0..0).into(), (100..100).into(), ByteRange::Last(0)] {
            let blob = store.get("k").range(range.clone()).await.expect("it is there");
            assert!(blob.range().is_empty() && blob.info().size == 10, "{blob:?}");
            assert_eq!(blob.bytes().await.expect("nothing"), "");
            let downloading = store.download("k").range(range.clone()).await.expect("it is there");
            let bytes: BytesMut = downloading.try_fold(BytesMut::new(), join).await.expect("nothing");
            assert_eq!(bytes, "");
            refused!(store.get("missing").range(range.clone()).await, NotFound);
            refused!(store.get("k").range(range.clone()).if_match("\"other\"").await, PreconditionFailed);
            refused!(store.get("k").range(range).if_none_match(etag.as_str()).await, NotModified);
        }
    });
}

#[test]
fn get_accepts_every_range_type() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[]).await;
        store.put("k", "0123456789").await.expect("stored");
        let (start, end) = (2usize, 4usize);
        for (range, expected) in [
            (ByteRange::from(2..=4), "234"),
            (ByteRange::from(..=4), "01234"),
            (ByteRange::from(..), "0123456789"),
            (ByteRange::from((Bound::Excluded(7), Bound::Unbounded)), "89"),
            (ByteRange::of(start..end), "23"),
        ] {
            let read =
                store.get("k").range(range.clone()).await.expect("it is there").bytes().await.expect("the bytes");
            assert_eq!(read, expected, "{range:?}");
        }
    });
}
