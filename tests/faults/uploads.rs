//! Uploads on a service that stops in their midst: how far ahead they read, and what they leave behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;

use super::*;

const PART: usize = 64 * 1024;
/// What the source gives at once.
const PIECE: usize = 16 * 1024;

fn begun() -> Act {
    Act::answer(200, "", "<InitiateMultipartUploadResult><UploadId>the-id</UploadId></InitiateMultipartUploadResult>")
}

fn taken() -> Act {
    Act::answer(200, "etag: \"part\"\r\n", "")
}

fn pieces(count: usize) -> impl futures::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    futures::stream::iter((0..count).map(|_| Ok(vec![7; PIECE])))
}

#[test]
fn a_source_is_read_no_further_ahead_than_memory_may_be_used() {
    run(async {
        const AT_ONCE: usize = 3;
        // No part is ever answered.
        let script = [vec![begun()], vec![Act::silent().then_stall(); AT_ONCE]].concat();
        let server = Faulty::start(script).await;
        let store = open(&server.endpoint(), &[]).await;
        let read = Arc::new(AtomicUsize::new(0));
        let counted = read.clone();
        let source = pieces(1000).inspect(move |_| {
            counted.fetch_add(PIECE, Ordering::Relaxed);
        });
        let upload = store.upload("k").part_size(PART).concurrency(AT_ONCE);
        let upload = tokio::spawn(async move { upload.stream(source).await });
        while server.left() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        // What is under way, a part that is being filled, and the piece that does not fit it.
        let read = read.load(Ordering::Relaxed);
        assert!((AT_ONCE * PART..=(AT_ONCE + 1) * PART + PIECE).contains(&read), "{read} bytes were read");
        upload.abort();
        assert!(upload.await.unwrap_err().is_cancelled());
        sandbucket::cleared_away().await;
        let last = server.seen().into_iter().find(|seen| seen.method == "DELETE").expect("the upload is aborted");
        assert_eq!(last.target, format!("{PATH}?uploadId=the-id"));
    });
}

#[test]
fn a_part_or_a_completion_that_is_refused_leaves_nothing_behind() {
    run(async {
        let refused = || Act::error(403, "AccessDenied");
        for (script, asked) in [
            (vec![begun(), taken(), refused()], vec!["POST", "PUT", "PUT"]),
            (vec![begun(), taken(), taken(), refused()], vec!["POST", "PUT", "PUT", "POST"]),
        ] {
            let bench = Bench::new(script).await;
            // Once aborted, there is no list of its parts.
            bench.server.then([Act::answer(204, "", ""), Act::error(404, "NoSuchUpload")]);
            let upload = bench.store.upload("k").part_size(PART).concurrency(1);
            let failure = refused!(upload.stream(pieces(8)).await, AccessDenied);
            is_decent(&failure, 1);
            let seen = bench.server.seen();
            let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
            assert_eq!(methods, [asked, vec!["DELETE", "GET"]].concat());
            assert!(seen[1..].iter().all(|seen| seen.target.contains("uploadId=the-id")), "{seen:?}");
            assert_eq!(bench.server.blob(PATH).unwrap(), b"right", "what was there stays");
            bench.ends_well().await;
        }
    });
}

#[test]
fn an_announced_length_makes_parts_larger_from_the_first_one() {
    run(async {
        let completed = "<CompleteMultipartUploadResult><ETag>\"of-3\"</ETag></CompleteMultipartUploadResult>";
        let script = [vec![begun()], vec![taken(); 3], vec![Act::answer(200, "", completed)]].concat();
        let server = Faulty::start(script).await;
        let store = open(&server.endpoint(), &[]).await;
        // 9,000 parts of one byte would not do, nor 10,000 of a mebibyte.
        let upload = store.upload("k").part_size(1).length_hint(9_000 * (1 << 20) + 1).concurrency(1);
        upload.stream(pieces(5 * (1 << 20) / PIECE)).await.unwrap();
        let lengths: Vec<_> =
            server.seen().iter().filter(|seen| seen.method == "PUT").map(|seen| seen.body.len() >> 10).collect();
        assert_eq!(lengths, [2048, 2048, 1024]);
    });
}
