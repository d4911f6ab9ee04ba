//! Malformed, contradictory and oversized responses.

use super::*;

#[test]
fn non_http_response_is_an_error() {
    run(async {
        for garbage in [
            "SSH-2.0-OpenSSH_9.9\r\n",
            "\r\n\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "\0\u{1}\u{2}",
            "HTTP/9.9 200 OK\r\n\r\n",
        ] {
            let bench = Bench::new(always(Act::raw(garbage).then_close())).await;
            let failure = match bench.read().await {
                Err(Error::Network(failure) | Error::Integrity(failure)) => *failure,
                other => panic!("{garbage:?}: {other:?}"),
            };
            is_decent(&failure, ATTEMPTS);
            bench.ends_well().await;
        }
    });
}

#[test]
fn contradictory_lengths_are_an_error() {
    run(async {
        for lengths in
            ["content-length: 5\r\ncontent-length: 6\r\n", "content-length: -5\r\n", "content-length: five\r\n"]
        {
            let raw = format!("HTTP/1.1 200 OK\r\netag: \"x\"\r\n{lengths}\r\nright");
            let bench = Bench::new(always(Act::raw(raw).then_close())).await;
            let failure = match bench.read().await {
                Err(Error::Network(failure) | Error::Integrity(failure)) => *failure,
                other => panic!("{lengths:?}: {other:?}"),
            };
            is_decent(&failure, ATTEMPTS);
            bench.ends_well().await;
        }
    });
}

#[test]
fn success_without_etag_is_accepted_for_a_dated_blob_and_an_empty_put_response() {
    run(async {
        let dated = Act::respond(200, "last-modified: Mon, 02 Jan 2006 15:04:05 GMT\r\n", "untagged");
        let bench = Bench::new([dated]).await;
        let blob = bench.store.get("k").await.unwrap();
        assert_eq!(blob.info().etag, None);
        assert_eq!(blob.bytes().await.unwrap(), "untagged");
        bench.server.then(always(Act::respond(200, "", "what is this")));
        is_decent(&refused!(bench.read().await, Integrity), ATTEMPTS);
        bench.server.then([Act::respond(200, "", "")]);
        assert_eq!(bench.store.put("k", "x").await.unwrap().etag, None);
        for body in ["OK", "<html>Welcome</html>", "<Error><Code>InternalError</Code></Error>"] {
            bench.server.then(always(Act::respond(200, "", body)));
            is_decent(&refused!(bench.store.put("k", "x").await, Integrity), ATTEMPTS);
        }
        // An error document with a success status, as some services send it.
        bench.server.then([Act::respond(200, "etag: \"x\"\r\n", "<Error><Code>InternalError</Code></Error>")]);
        bench.store.put("k", "x").await.unwrap();
        assert_eq!(bench.server.blob(PATH).unwrap(), b"x");
        bench.ends_well().await;
    });
}

#[test]
fn response_with_another_range_than_requested_is_an_error() {
    run(async {
        let wrong = [
            // Another range, a longer one, an impossible size, and none.
            "content-range: bytes 1-3/5\r\n",
            "content-range: bytes 0-4/5\r\n",
            "content-range: bytes 0-2/1\r\n",
            "content-range: pages 0-2/5\r\n",
            "",
        ];
        for range in wrong {
            let act = Act::respond(206, &format!("etag: \"x\"\r\n{range}"), "rig");
            let bench = Bench::new(always(act)).await;
            let got = bench.store.get("k").range(0..3).await;
            let failure = refused!(got, Integrity);
            assert!(failure.message.len() < 4096);
            drop(bench);
        }
    });
}

#[test]
fn requested_range_is_cut_from_a_response_that_ignores_range() {
    run(async {
        let bench = Bench::new([Act::respond(200, "etag: \"x\"\r\n", "right")]).await;
        let blob = bench.store.get("k").range(1..3).await.unwrap();
        assert_eq!((blob.range(), blob.info().size), (1..3, 5));
        assert_eq!(blob.bytes().await.unwrap(), "ig");
        bench.ends_well().await;
    });
}

#[test]
fn bytes_after_a_response_are_not_parsed_as_the_next_response() {
    run(async {
        let mut two = b"HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 5\r\n\r\nright".to_vec();
        two.extend_from_slice(b"HTTP/1.1 200 OK\r\netag: \"y\"\r\ncontent-length: 5\r\n\r\nwrong");
        let bench = Bench::new([Act::raw(two)]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.read().await.unwrap(), b"right");
        bench.ends_well().await;
    });
}

#[test]
fn huge_content_length_allocates_no_memory() {
    run(async {
        let act =
            Act::raw("HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 99999999999999\r\n\r\nright").then_close();
        let bench = Bench::new(always(act)).await;
        let error = bench.read().await.unwrap_err();
        assert!(matches!(error, Error::TooLarge(_) | Error::Integrity(_)), "{error:?}");
        let pool = bench.store.pool();
        assert_eq!((pool.busy, pool.discarded), (0, 0), "{pool:?}");
    });
}

#[test]
fn headers_beyond_the_limit_are_an_error() {
    run(async {
        let one_long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\ncontent-length: 5\r\n\r\nright", "x".repeat(4 << 20));
        let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 5\r\n\r\nright", "x-many: x\r\n".repeat(100_000));
        for raw in [one_long, many] {
            let bench = Bench::new(always(Act::raw(raw).then_close())).await;
            let failure = match bench.read().await {
                Err(Error::Network(failure) | Error::Integrity(failure)) => *failure,
                Err(other) => panic!("{other:?}"),
                Ok(_) => panic!("it went well"),
            };
            assert!(failure.message.len() < 4096);
            let pool = bench.store.pool();
            assert_eq!((pool.busy, pool.discarded), (0, 0), "{pool:?}");
        }
    });
}

#[test]
fn error_body_is_read_up_to_the_limit() {
    run(async {
        let act = Act::respond(500, "", format!("<Error><Code>{}</Code></Error>", "E".repeat(8 << 20))).then_close();
        let bench = Bench::new(always(act)).await;
        let failure = refused!(bench.read().await, Service);
        is_decent(&failure, ATTEMPTS);
        assert_eq!(status(&failure), 500);
        assert!(format!("{:?}", failure.response).len() < 4096, "the error body is kept whole");
        bench.ends_well().await;
    });
}

#[test]
fn error_body_may_be_other_than_xml() {
    run(async {
        let bodies: [&[u8]; 7] = [
            b"",
            b"<html><body><h1>403 Forbidden</h1></body></html>",
            b"{\"error\": \"forbidden\"}",
            b"<Error><Code>",
            b"<Error><Code>a</Message></Error>",
            b"\xff\xfe\0<\0E\0",
            b"<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]><Error><Code>&b;&b;</Code></Error>",
        ];
        for body in bodies {
            let bench = Bench::new([Act::respond(403, "", body)]).await;
            let failure = refused!(bench.read().await, AccessDenied);
            is_decent(&failure, 1);
            assert_eq!(status(&failure), 403);
            bench.ends_well().await;
        }
        let bench = Bench::new([Act::respond(404, "", "")]).await;
        is_decent(&refused!(bench.read().await, NotFound), 1);
        bench.ends_well().await;
    });
}

#[test]
fn unexpected_success_status_is_an_error() {
    run(async {
        for act in [Act::respond(204, "", ""), Act::respond(304, "etag: \"x\"\r\n", ""), Act::respond(299, "", "?")] {
            let bench = Bench::new(always(act)).await;
            let error = bench.read().await.unwrap_err();
            assert!(matches!(error, Error::Integrity(_) | Error::NotModified(_) | Error::Service(_)), "{error:?}");
        }
    });
}

#[test]
fn informational_responses_are_skipped() {
    run(async {
        let raw = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n\
                   HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 5\r\n\r\nright";
        let bench = Bench::new([Act::raw(raw)]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        assert_eq!(bench.requests(), 1);
        bench.ends_well().await;
    });
}

#[test]
fn listing_page_with_a_key_beyond_1024_bytes_is_an_integrity_error() {
    run(async {
        let long = "n".repeat(1025);
        let blob = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
        let page = |inside: &str| format!("<ListBucketResult>{inside}</ListBucketResult>");
        for inside in [
            blob(&long),
            format!("<CommonPrefixes><Prefix>{long}</Prefix></CommonPrefixes>"),
            blob("k").repeat(1001),
            "<Contents><Key>k</Key><Size>1</Size><ETag>".to_owned() + &long + "</ETag></Contents>",
        ] {
            let bench = Bench::new(always(Act::respond(200, "", page(&inside)))).await;
            let failure = refused!(bench.store.list("").await, Integrity);
            is_decent(&failure, ATTEMPTS);
            assert!(failure.message.contains("list") && !failure.message.contains(&long), "{failure:?}");
            bench.ends_well().await;
        }
    });
}
