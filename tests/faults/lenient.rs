//! Lenient parsing of what services omit or format differently: missing or unusual metadata is accepted, truncated data is
//! an error.

use futures::TryStreamExt;
use sandbucket::BlobInfo;

use super::*;

/// A chunked response, complete or truncated after these chunks.
fn chunked(status: u16, headers: &str, chunks: &[&str], complete: bool) -> Act {
    let mut text = format!("HTTP/1.1 {status} OK\r\ntransfer-encoding: chunked\r\n{headers}\r\n");
    for chunk in chunks {
        text.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    if complete { Act::raw(text + "0\r\n\r\n") } else { Act::raw(text).then_close() }
}

const TAG: &str = "etag: \"x\"\r\n";

#[test]
fn short_chunked_response_is_read_and_its_size_is_known() {
    run(async {
        let bench = Bench::new([
            chunked(200, TAG, &["he", "llo"], true),
            chunked(200, TAG, &[], true),
            chunked(200, TAG, &["hello"], true),
            chunked(206, "etag: \"x\"\r\ncontent-range: bytes 1-3/5\r\n", &["e", "ll"], true),
            chunked(200, TAG, &["hello"], true),
        ])
        .await;
        for (body, size) in [("hello", 5), ("", 0)] {
            let blob = bench.store.get("k").await.unwrap();
            assert_eq!((blob.info().size, blob.range()), (size, 0..size));
            assert_eq!(blob.bytes().await.unwrap(), body);
        }
        for _ in 0..2 {
            let blob = bench.store.get("k").range(1..4).await.unwrap();
            assert_eq!((blob.range(), blob.bytes().await.unwrap()), (1..4, "ell".into()));
        }
        refused!(bench.store.get("k").range(9..).await, InvalidRange);
        bench.ends_well().await;
    });
}

#[test]
fn long_chunked_response_is_read_to_its_end() {
    run(async {
        let chunk = "0123456789".repeat(10_000);
        let long = || chunked(200, TAG, &[&chunk, &chunk, &chunk], true);
        let bench = Bench::new([long(), long(), long(), long()]).await;
        let blob = bench.store.get("k").await.unwrap();
        assert_eq!((blob.info().known_size(), blob.info().size), (None, BlobInfo::UNKNOWN_SIZE));
        assert_eq!(blob.bytes().await.unwrap(), chunk.repeat(3));
        let pieces: Vec<_> = bench.store.get("k").range(5..).await.unwrap().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), chunk.repeat(3).as_bytes()[5..]);
        // A download requests a first part, and then the whole blob.
        let file = tempfile::NamedTempFile::new().unwrap();
        let info = bench.store.download("k").file(file.reopen().unwrap()).await.unwrap();
        assert_eq!((info.size, std::fs::read(file.path()).unwrap()), (300_000, chunk.repeat(3).into_bytes()));
        drop(bench);
    });
}

#[test]
fn chunked_response_that_breaks_off_is_resumed_or_an_error() {
    run(async {
        let chunk = "0123456789".repeat(10_000);
        let torn = || chunked(200, TAG, &[&chunk], false);
        let rest = Act::respond(206, "etag: \"x\"\r\ncontent-range: bytes 100000-100004/100005\r\n", "hello");
        let bench = Bench::new([torn(), rest]).await;
        let blob = bench.store.get("k").await.unwrap();
        assert_eq!(blob.bytes().await.unwrap(), chunk.clone() + "hello");
        assert_eq!(bench.server.seen()[1].header("range"), Some("bytes=100000-"));
        assert_eq!(bench.server.seen()[1].header("if-match"), Some("\"x\""));
        // Without an ETag a resumed read cannot verify that the content is the same.
        let untagged = "last-modified: Mon, 02 Jan 2006 15:04:05 GMT\r\n";
        bench.server.then([chunked(200, untagged, &[&chunk], false), chunked(200, untagged, &["hello"], false)]);
        let failure = match bench.store.get("k").await {
            Ok(blob) => refused!(blob.bytes().await, Integrity),
            Err(error) => panic!("{error}"),
        };
        assert!(failure.message.contains("broke off after 100000"), "{failure:?}");
        refused!(bench.read().await, Integrity);
        bench.ends_well().await;
    });
}

#[test]
fn body_that_ends_with_the_connection_only_is_an_error() {
    run(async {
        let bench = Bench::new(always(Act::raw("HTTP/1.1 200 OK\r\netag: \"x\"\r\n\r\nhello").then_close())).await;
        is_decent(&refused!(bench.read().await, Integrity), ATTEMPTS);
        bench.ends_well().await;
    });
}

#[test]
fn head_without_content_length_returns_the_other_metadata() {
    run(async {
        let bare = "HTTP/1.1 200 OK\r\netag: \"x\"\r\nx-amz-meta-a: 1\r\nconnection: close\r\n\r\n";
        let bench = Bench::new([Act::raw(bare).then_close()]).await;
        let info = bench.store.head("k").await.unwrap();
        assert_eq!((info.known_size(), info.etag.as_deref()), (None, Some("\"x\"")));
        assert_eq!(info.metadata, [("a".to_owned(), "1".to_owned())]);
        bench.ends_well().await;
    });
}

#[test]
fn unusual_dates_do_not_fail_a_get() {
    run(async {
        let second = Some(UNIX_EPOCH + Duration::from_secs(1_730_800_800));
        for (date, read) in [
            ("Tue, 05 Nov 2024 10:00:00 GMT", second),
            ("Tuesday, 05-Nov-24 10:00:00 GMT", second),
            ("Tue Nov  5 10:00:00 2024", second),
            ("Tue, 5 Nov 2024 10:00:00 +0000", second),
            ("2024-11-05T10:00:00.123Z", second),
            ("Mon, 01 Jan 0001 00:00:00 GMT", None),
            ("soon", None),
        ] {
            let bench = Bench::new([Act::respond(200, &format!("last-modified: {date}\r\n"), "body")]).await;
            let blob = bench.store.get("k").await.unwrap();
            assert_eq!(blob.info().last_modified, read, "{date}");
            assert_eq!(blob.bytes().await.unwrap(), "body");
        }
    });
}

#[test]
fn listing_with_circular_continuation_tokens_is_an_error() {
    run(async {
        let page = |key: &str, next: &str| {
            let body = format!(
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>\
                 <Contents><Key>{key}</Key><Size>1</Size></Contents></ListBucketResult>"
            );
            Act::respond(200, "content-type: application/xml\r\n", body)
        };
        let bench = Bench::new([page("a", "t1"), page("b", "t2"), page("c", "t3"), page("d", "t2")]).await;
        let mut entries = bench.store.list("").entries();
        let mut keys = Vec::new();
        let failure = loop {
            match entries.try_next().await {
                Ok(entry) => keys.push(entry.expect("an end in an error").key),
                Err(Error::Integrity(failure)) => break failure,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(keys, ["a", "b", "c", "d"]);
        assert!(failure.message.contains("circle"), "{failure:?}");
        assert!(entries.try_next().await.unwrap().is_none());
        bench.ends_well().await;
    });
}

#[test]
fn download_of_a_blob_with_a_weak_etag_uses_one_connection() {
    run(async {
        let part = Act::respond(206, "etag: W/\"x\"\r\ncontent-range: bytes 0-4/10\r\n", "hello");
        let bench = Bench::new([part, Act::respond(200, "etag: W/\"x\"\r\n", "hellohello")]).await;
        let pieces: Vec<_> = bench.store.download("k").part_size(5).await.unwrap().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"hellohello");
        assert!(bench.server.seen().iter().all(|request| request.header("if-match").is_none()));
        bench.ends_well().await;
    });
}

#[test]
fn conditional_put_to_a_service_that_rejects_quoted_etags_succeeds() {
    run(async {
        let unmet = || Act::error(412, "PreconditionFailed");
        let tag = sandbucket_tests::faulty::etag(b"right");
        let bench = Bench::new([unmet(), Act::well(), Act::respond(200, TAG, "")]).await;
        bench.store.put("k", "new").if_match(&tag).await.unwrap();
        let seen = bench.server.seen();
        let requested: Vec<_> =
            seen.iter().map(|request| (request.method.as_str(), request.header("if-match"))).collect();
        let bare = tag.trim_matches('"');
        assert_eq!(requested, [("PUT", Some(tag.as_str())), ("HEAD", None), ("PUT", Some(bare))]);
        // If the ETag differs, the write fails.
        bench.server.then([unmet()]);
        refused!(bench.store.put("k", "new").if_match("\"other\"").await, PreconditionFailed);
        drop(bench);
    });
}

#[test]
fn get_of_an_archived_blob_is_a_distinct_error() {
    run(async {
        let bench = Bench::new([Act::error(403, "InvalidObjectState")]).await;
        let failure = refused!(bench.store.get("k").await, Archived);
        assert!(failure.message.contains("RestoreObject"), "{failure:?}");
        bench.ends_well().await;
    });
}

#[test]
fn missing_bucket_and_html_404_are_not_reported_as_a_missing_blob() {
    run(async {
        let page = Act::respond(404, "content-type: text/html\r\n", "<html>Not Found</html>");
        let bench = Bench::new([page, Act::error(404, "NoSuchBucket"), Act::error(404, "NoSuchKey")]).await;
        let failure = refused!(bench.store.delete("k").await, NotFound);
        assert!(failure.message.contains("endpoint"), "{failure:?}");
        let error = bench.store.delete("k").await.unwrap_err();
        assert!(error.is_missing_bucket(), "{error}");
        bench.store.delete("k").await.unwrap();
        bench.ends_well().await;
    });
}

#[test]
fn delete_reports_existence_if_the_service_does() {
    run(async {
        let absent = || Act::error(404, "NoSuchKey");
        let bench = Bench::new([absent(), Act::respond(204, "", ""), Act::silent().then_reset(), absent()]).await;
        assert_eq!(bench.store.delete("k").await.unwrap().existed, Some(false));
        // Amazon S3 responds 204 in both cases.
        assert_eq!(bench.store.delete("k").await.unwrap().existed, None);
        // The first attempt may have deleted it.
        assert_eq!(bench.store.delete("k").await.unwrap().existed, None);
        bench.ends_well().await;
    });
}
