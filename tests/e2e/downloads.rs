//! Uploads and downloads of every size, from every kind of body, over one connection or several.

use bytes::Bytes;
use futures::TryStreamExt;
use sandbucket::{Body, ByteRange, Error};
use sandbucket_tests::{refused, run};

use crate::start;

fn bytes(count: usize) -> Bytes {
    (0..count).map(|n| (n % 251) as u8).collect::<Vec<_>>().into()
}

#[test]
fn blobs_of_every_size_round_trip() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        for size in [0, 1, 1000, 16_384, 65_537, 300_000, 5 << 20] {
            let body = bytes(size);
            store.put("k", body.clone()).await.unwrap();
            let got = store.get("k").await.unwrap();
            assert_eq!((got.info().size, got.range()), (size as u64, 0..size as u64));
            assert!(got.bytes().await.unwrap() == body, "{size}");
            // The same bytes in several chunks.
            let (first, rest) = (body.slice(..size / 3), body.slice(size / 3..));
            store.put("pieces", vec![first, rest]).await.unwrap();
            let pieces: Vec<Bytes> = store.get("pieces").await.unwrap().try_collect().await.unwrap();
            assert!(pieces.concat() == body, "{size}");
        }
    });
}

#[test]
fn stream_of_known_length_is_put_in_one_request() {
    run(async {
        let server = start().await;
        // With and without a digest of the body that must be known before it is sent.
        for setting in server.kind.digest_settings() {
            let store = server.open(&[setting]).await;
            let body = bytes(3_000_000);
            let pieces = |of: &Bytes| {
                let pieces: Vec<_> =
                    of.chunks(70_001).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect();
                futures::stream::iter(pieces)
            };
            let length = body.len() as u64;
            store.put("k", Body::stream(length, pieces(&body))).await.unwrap();
            assert!(store.get("k").await.unwrap().bytes().await.unwrap() == body);
            // A stream of another length than announced leaves the old blob in place.
            for (claimed, words) in [(length + 1, "3000000"), (length - 1, "2999999")] {
                let failed = store.put("k", Body::stream(claimed, pieces(&bytes(3_000_000)))).await.unwrap_err();
                assert!(matches!(failed, Error::InvalidArgument(_) | Error::Io { .. }), "{failed:?}");
                assert!(failed.to_string().contains(words), "{failed}");
            }
            let failed = store.put("k", Body::stream(0, pieces(&bytes(1)))).await.unwrap_err();
            assert!(matches!(failed, Error::InvalidArgument(_) | Error::Io { .. }), "{failed:?}");
            // An unknown attribute is reported for a stream, too.
            let odd = store.put("k", Body::stream(length, pieces(&body))).attribute("no-such", "x");
            assert!(refused!(odd.await, Unsupported).message.contains("no-such"));
            let broken = futures::stream::iter([Ok(Bytes::from("abc")), Err(std::io::Error::other("no more"))]);
            let failed = store.put("k", Body::stream(10, broken)).await.unwrap_err();
            assert!(matches!(&failed, Error::Io { .. }) && failed.to_string().contains("no more"), "{failed:?}");
            assert!(store.get("k").await.unwrap().bytes().await.unwrap() == body);
        }
    });
}

#[test]
fn many_bodies_may_be_open_at_once() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        // More than the buffers of a connection.
        let body = bytes(8 << 20);
        store.put("k", body.clone()).await.unwrap();
        let mut open = Vec::new();
        for _ in 0..20 {
            open.push(store.get("k").await.unwrap());
        }
        // One instance has opened all of them, and is idle.
        let pool = store.pool();
        assert_eq!((pool.created, pool.idle, pool.busy), (1, 1, 0), "{pool:?}");
        for blob in open {
            assert!(blob.bytes().await.unwrap() == body);
        }
        // Dropped bodies leak nothing.
        for _ in 0..20 {
            drop(store.get("k").await.unwrap());
        }
        assert!(store.get("k").await.unwrap().bytes().await.unwrap() == body);
    });
}

#[test]
fn download_over_several_connections_returns_the_blob() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        const PART: usize = 100_000;
        for size in [0, 1, PART - 1, PART, PART + 1, 7 * PART + 3] {
            let body = bytes(size);
            store.put("k", body.clone()).await.unwrap();
            for at_once in [1, 2, 5] {
                let download = store.download("k").part_size(PART as u64).concurrency(at_once).await.unwrap();
                assert_eq!((download.info().size, download.range()), (size as u64, 0..size as u64));
                let pieces: Vec<Bytes> = download.try_collect().await.unwrap();
                assert!(pieces.concat() == body, "{size} by {at_once}");
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let file = std::fs::File::create(&path).unwrap();
            let reported = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
            let most = reported.clone();
            let progress = move |bytes| {
                most.fetch_max(bytes, std::sync::atomic::Ordering::Relaxed);
            };
            let download = store.download("k").part_size(PART as u64).progress(progress.clone());
            assert_eq!(download.file(file).await.unwrap().size, size as u64);
            assert!(std::fs::read(&path).unwrap() == body, "{size}");
            assert_eq!(reported.swap(0, std::sync::atomic::Ordering::Relaxed), size as u64);
            // A stream reports progress, too, also with one part at a time.
            let download = store.download("k").part_size(PART as u64).concurrency(1).progress(progress);
            download.await.unwrap().try_collect::<Vec<_>>().await.unwrap();
            assert_eq!(reported.load(std::sync::atomic::Ordering::Relaxed), size as u64);
        }
    });
}

#[test]
fn download_of_a_range_returns_the_range() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let body = bytes(1_000_000);
        store.put("k", body.clone()).await.unwrap();
        let ranges: [(ByteRange, std::ops::Range<usize>); 4] = [
            ((10..700_000).into(), 10..700_000),
            ((250_000..).into(), 250_000..1_000_000),
            ((999_000..5_000_000).into(), 999_000..1_000_000),
            (ByteRange::Last(300_001), 699_999..1_000_000),
        ];
        for (range, expected) in ranges {
            let download = store.download("k").range(range.clone()).part_size(100_000).await.unwrap();
            assert_eq!(download.range(), expected.start as u64..expected.end as u64, "{range:?}");
            let pieces: Vec<Bytes> = download.try_collect().await.unwrap();
            assert!(pieces.concat() == body[expected], "{range:?}");
        }
        refused!(store.download("k").range(2_000_000..).await, InvalidRange);
        refused!(store.download("nothing").await, NotFound);
        refused!(store.download("k").concurrency(0).await, InvalidArgument);
    });
}

#[test]
fn download_of_an_overwritten_blob_fails() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("k", bytes(1_000_000)).await.unwrap();
        let mut download = store.download("k").part_size(100_000).concurrency(1).await.unwrap();
        let first = download.try_next().await.unwrap().unwrap();
        assert!(first == bytes(1_000_000)[..first.len()]);
        store.put("k", vec![0; 1_000_000]).await.unwrap();
        let mut came = first.len();
        let failed = loop {
            match download.try_next().await {
                Ok(Some(piece)) => came += piece.len(),
                Ok(None) => panic!("the stream ended without an error"),
                Err(failed) => break failed,
            }
        };
        assert!(matches!(failed, Error::PreconditionFailed(_)), "{failed:?}");
        assert_eq!(came, 100_000, "only what is of the first content");
        assert!(download.try_next().await.unwrap().is_none());
    });
}
