//! Uploads on a service that stops midway: how far they read ahead, and which uploads they abort.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;

use super::*;
use sandbucket_tests::faulty::etag;

const PART: usize = 64 * 1024;
/// Size of the chunks that the source yields.
const PIECE: usize = 16 * 1024;

fn begun() -> Act {
    Act::respond(200, "", "<InitiateMultipartUploadResult><UploadId>the-id</UploadId></InitiateMultipartUploadResult>")
}

fn taken() -> Act {
    Act::respond(200, "etag: \"part\"\r\n", "")
}

fn pieces(count: usize) -> impl futures::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    futures::stream::iter((0..count).map(|_| Ok(vec![7; PIECE])))
}

#[test]
fn upload_reads_ahead_within_its_memory_limit() {
    run(async {
        const CONCURRENCY: usize = 3;
        // No part gets a response.
        let script = [vec![begun()], vec![Act::silent().then_stall(); CONCURRENCY]].concat();
        let server = Faulty::start(script).await;
        let store = open(&server.endpoint(), &[]).await;
        let read = Arc::new(AtomicUsize::new(0));
        let counted = read.clone();
        let source = pieces(1000).inspect(move |_| {
            counted.fetch_add(PIECE, Ordering::Relaxed);
        });
        let upload = store.upload("k").part_size(PART).concurrency(CONCURRENCY);
        let upload = tokio::spawn(async move { upload.stream(source).await });
        while server.left() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The parts in flight, the part being filled, and the chunk that does not fit it.
        let read = read.load(Ordering::Relaxed);
        assert!((CONCURRENCY * PART..=(CONCURRENCY + 1) * PART + PIECE).contains(&read), "{read} bytes were read");
        upload.abort();
        assert!(upload.await.unwrap_err().is_cancelled());
        sandbucket_tests::engine().drain().await;
        let last = server.seen().into_iter().find(|seen| seen.method == "DELETE").expect("the upload is aborted");
        assert_eq!(last.target, format!("{PATH}?uploadId=the-id"));
    });
}

#[test]
fn upload_is_aborted_if_a_part_or_the_completion_is_rejected() {
    run(async {
        let refused = || Act::error(403, "AccessDenied");
        for (script, requested) in [
            (vec![begun(), taken(), refused()], vec!["POST", "PUT", "PUT"]),
            (vec![begun(), taken(), taken(), refused()], vec!["POST", "PUT", "PUT", "POST"]),
        ] {
            let bench = Bench::new(script).await;
            // After the abort, its parts cannot be listed.
            bench.server.then([Act::respond(204, "", ""), Act::error(404, "NoSuchUpload")]);
            let upload = bench.store.upload("k").part_size(PART).concurrency(1);
            let failure = refused!(upload.stream(pieces(8)).await, AccessDenied);
            is_decent(&failure, 1);
            let seen = bench.server.seen();
            let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
            assert_eq!(methods, [requested, vec!["DELETE", "GET"]].concat());
            assert!(seen[1..].iter().all(|seen| seen.target.contains("uploadId=the-id")), "{seen:?}");
            assert_eq!(bench.server.blob(PATH).unwrap(), b"right", "what was there stays");
            bench.ends_well().await;
        }
    });
}

/// The ETag of a blob of `parts` parts.
fn composite(parts: usize) -> String {
    let sum = etag(&vec![7; PART]);
    let sum: Vec<u8> =
        (0..16).map(|n| u8::from_str_radix(&sum.trim_matches('"')[2 * n..2 * n + 2], 16).unwrap()).collect();
    format!("\"{}-{parts}\"", etag(&sum.repeat(parts)).trim_matches('"'))
}

fn taken_as_sent() -> Act {
    Act::respond(200, &format!("etag: {}\r\n", etag(&vec![7; PART])), "")
}

fn still_there() -> Act {
    Act::respond(
        200,
        "",
        "<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>\"e\"</ETag><Size>5</Size></Part></ListPartsResult>",
    )
}

#[test]
fn complete_upload_reconciles_lost_response_whatever_the_date() {
    run(async {
        // Amazon S3 dates the blob at the initiation, which is long past for a long upload.
        let done = || {
            let head = format!("etag: {}\r\nlast-modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n", composite(2));
            Act::raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{head}\r\n", 2 * PART))
        };
        let gone = || Act::error(404, "NoSuchUpload");
        let absent = || Act::raw("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        let lost = || Act::silent().then_reset();
        for (absent_first, script) in [
            (false, vec![begun(), taken_as_sent(), taken_as_sent(), lost(), gone(), done()]),
            (true, vec![begun(), taken_as_sent(), taken_as_sent(), absent(), lost(), gone(), done()]),
        ] {
            let bench = Bench::new(script).await;
            let upload = bench.store.upload("k").part_size(PART).concurrency(1);
            let upload = if absent_first { upload.if_absent() } else { upload };
            let written = upload.stream(pieces(2 * PART / PIECE)).await.expect("it is ours");
            assert_eq!(written.etag, Some(composite(2)));
            assert!(bench.server.seen().iter().all(|seen| seen.method != "DELETE"));
            bench.ends_well().await;
        }
    });
}

#[test]
fn upload_whose_completion_may_be_in_progress_is_not_aborted() {
    run(async {
        let script = vec![begun(), taken(), taken(), Act::silent().then_stall(), still_there()];
        let bench = Bench::with(script, &[("completion-timeout", "2s")]).await;
        let upload = bench.store.upload("k").part_size(PART).concurrency(1);
        let failure = refused!(upload.stream(pieces(2 * PART / PIECE)).await, OutcomeUnknown);
        assert!(failure.message.contains("read the key"), "{failure:?}");
        sandbucket_tests::engine().drain().await;
        let methods: Vec<_> = bench.server.seen().iter().map(|seen| seen.method.clone()).collect();
        assert_eq!(methods, ["POST", "PUT", "PUT", "POST", "GET"], "completed once, and never aborted");
        bench.ends_well().await;
        // Nor if the caller drops it during the completion.
        let bench = Bench::new(vec![begun(), taken(), taken(), Act::silent().then_stall()]).await;
        let upload = bench.store.upload("k").part_size(PART).concurrency(1);
        let upload = tokio::spawn(async move { upload.stream(pieces(2 * PART / PIECE)).await });
        while bench.server.left() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        upload.abort();
        assert!(upload.await.unwrap_err().is_cancelled());
        sandbucket_tests::engine().drain().await;
        assert!(bench.server.seen().iter().all(|seen| seen.method != "DELETE"), "{:?}", bench.server.seen());
    });
}

#[test]
fn slow_copy_is_requested_once() {
    run(async {
        let there = || Act::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: \"e\"\r\n\r\n");
        let bench = Bench::with([there(), Act::silent().then_stall()], &[("completion-timeout", "2s")]).await;
        let failure = refused!(bench.store.copy("k", "l").await, OutcomeUnknown);
        assert!(failure.message.contains("may have made the copy"), "{failure:?}");
        assert_eq!(bench.requests(), 2);
        bench.ends_well().await;
    });
}

#[test]
fn completion_and_copy_may_outlast_the_timeout() {
    run(async {
        let slow = |body: &str| Act::respond(200, "", body).delayed(Duration::from_secs(3));
        let completed = || slow("<CompleteMultipartUploadResult><ETag>\"e-2\"</ETag></CompleteMultipartUploadResult>");
        // The bench's timeout is one second.
        let bench = Bench::new([begun(), taken(), taken(), completed()]).await;
        let upload = bench.store.upload("k").part_size(PART).concurrency(1);
        upload.stream(pieces(2 * PART / PIECE)).await.expect("the service takes its time");
        bench.server.then([slow("<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>")]);
        bench.store.copy("k", "l").length_hint(5).await.expect("the service takes its time");
        assert_eq!(bench.requests(), 5);
        bench.ends_well().await;
    });
}

#[test]
fn length_hint_enlarges_parts_from_the_first_one() {
    run(async {
        let completed = "<CompleteMultipartUploadResult><ETag>\"of-3\"</ETag></CompleteMultipartUploadResult>";
        let script = [vec![begun()], vec![taken(); 3], vec![Act::respond(200, "", completed)]].concat();
        let server = Faulty::start(script).await;
        let store = open(&server.endpoint(), &[]).await;
        // 9,000 parts of one byte would not suffice, nor would 10,000 of one MiB.
        let upload = store.upload("k").part_size(1).length_hint(9_000 * (1 << 20) + 1).concurrency(1);
        upload.stream(pieces(5 * (1 << 20) / PIECE)).await.unwrap();
        let lengths: Vec<_> =
            server.seen().iter().filter(|seen| seen.method == "PUT").map(|seen| seen.body.len() >> 10).collect();
        assert_eq!(lengths, [2048, 2048, 1024]);
    });
}
