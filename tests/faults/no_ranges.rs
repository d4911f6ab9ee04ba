//! Services, proxies and caches that ignore `Range` and respond with the whole blob.

use futures::TryStreamExt;
use object_store::ObjectStore;
use sandbucket_object_store::SandbucketStore;

use super::*;

const PART: u64 = 64 << 10;

/// Bytes without a repeating pattern.
fn blob(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A service that ignores ranges, with a blob of 16 parts.
async fn bench(script: impl IntoIterator<Item = Act>) -> (Bench, Vec<u8>) {
    let bench = Bench::new(script).await;
    bench.server.ignore_ranges();
    let body = blob(16 * PART as usize);
    bench.server.keep(PATH, body.clone());
    (bench, body)
}

async fn bytes(stream: impl futures::Stream<Item = Result<bytes::Bytes, Error>>) -> Result<Vec<u8>, Error> {
    stream
        .try_fold(Vec::new(), async |mut all, piece| {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
}

#[test]
fn download_uses_the_first_response_and_sends_no_further_request() {
    run(async {
        let (bench, body) = bench([]).await;
        let download = bench.store.download("k").part_size(PART).await.unwrap();
        assert_eq!((download.range(), download.info().size), (0..body.len() as u64, body.len() as u64));
        assert_eq!(bytes(download).await.unwrap(), body);
        assert_eq!(bench.requests(), 1);
        for range in [100_000..700_000_u64, 0..10, 1_000_000..9_000_000] {
            let before = bench.requests();
            let end = (range.end as usize).min(body.len());
            let download = bench.store.download("k").range(range.clone()).part_size(PART).await.unwrap();
            assert_eq!(bytes(download).await.unwrap(), &body[range.start as usize..end]);
            assert_eq!(bench.requests() - before, 1, "{range:?}");
        }
        let before = bench.requests();
        let last = bench.store.download("k").range(sandbucket::ByteRange::Last(10)).await.unwrap();
        assert_eq!(bytes(last).await.unwrap(), &body[body.len() - 10..]);
        assert_eq!(bench.requests() - before, 1);
        bench.ends_well().await;
    });
}

#[test]
fn download_into_a_file_uses_the_first_response_and_sends_no_further_request() {
    run(async {
        let (bench, body) = bench([]).await;
        let file = tempfile::tempfile().unwrap();
        let read = file.try_clone().unwrap();
        bench.store.download("k").part_size(PART).file(file).await.unwrap();
        let mut got = vec![0; body.len()];
        std::os::unix::fs::FileExt::read_exact_at(&read, &mut got, 0).unwrap();
        assert_eq!(got, body);
        assert_eq!(bench.requests(), 1);
        bench.ends_well().await;
    });
}

#[test]
fn chunked_response_without_ranges_is_downloaded_in_one_request() {
    run(async {
        let body = blob(16 * PART as usize);
        let mut response = b"HTTP/1.1 200 OK\r\netag: \"x\"\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        response.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        response.extend_from_slice(&body);
        response.extend_from_slice(b"\r\n0\r\n\r\n");
        let bench = Bench::new([Act::raw(response)]).await;
        let download = bench.store.download("k").part_size(PART).await.unwrap();
        assert_eq!(bytes(download).await.unwrap(), body);
        assert_eq!(bench.requests(), 1);
        bench.ends_well().await;
    });
}

#[test]
fn interrupted_download_restarts_and_skips_received_bytes() {
    run(async {
        let (bench, body) = bench([Act::well().up_to(300_000).then_close()]).await;
        let download = bench.store.download("k").part_size(PART).await.unwrap();
        assert_eq!(bytes(download).await.unwrap(), body);
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}

#[test]
fn restarts_from_the_beginning_are_limited() {
    run(async {
        // Each response goes further than the one before.
        let further = (1..=4).map(|part| Act::well().up_to(part * 200_000).then_close());
        let (bench, body) = bench(further).await;
        let download = bench.store.download("k").part_size(PART).await.unwrap();
        let failure = refused!(bytes(download).await, Integrity);
        assert!(failure.message.contains("ignores `Range`"), "{failure:?}");
        assert_eq!(bench.requests(), 4);
        // The same limit applies to a read without a range.
        bench.server.then((1..=4).map(|part| Act::well().up_to(part * 200_000).then_close()));
        let failure = refused!(bench.read().await, Integrity);
        assert!(failure.message.contains("ignores `Range`"), "{failure:?}");
        assert_eq!(bench.read().await.unwrap(), body);
        bench.ends_well().await;
    });
}

#[test]
fn get_ranges_of_object_store_read_the_whole_blob_once() {
    run(async {
        // Eight concurrent bodies on a busy machine must not count as a stall.
        let bench = Bench::with([], &[("timeout", "30s")]).await;
        let body = blob(24 << 20);
        bench.server.keep(PATH, body.clone());
        let store = SandbucketStore::new(bench.store.clone());
        let mib = 1 << 20;
        let ranges: Vec<_> = (0..8).map(|nth| nth * 3 * mib + 7..nth * 3 * mib + 1007).collect();
        let wanted: Vec<_> = ranges.iter().map(|range| &body[range.start as usize..range.end as usize]).collect();
        let path = object_store::path::Path::from("k");
        assert_eq!(store.get_ranges(&path, &ranges).await.unwrap(), wanted);
        assert_eq!(bench.requests(), ranges.len());
        bench.server.ignore_ranges();
        let before = bench.requests();
        assert_eq!(store.get_ranges(&path, &ranges).await.unwrap(), wanted);
        let seen = &bench.server.seen()[before..];
        assert!(seen.len() <= ranges.len() + 1, "{} requests", seen.len());
        let beyond = [0..10, 30 * mib..31 * mib];
        assert!(store.get_ranges(&path, &beyond).await.is_err());
        bench.ends_well().await;
    });
}
