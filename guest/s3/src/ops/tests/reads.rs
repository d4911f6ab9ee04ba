use super::{store, within};
use sandbucket_plugin::contract::error::Kind;
use sandbucket_plugin::contract::model::{ByteRange, DeleteOptions, GetOptions, HeadOptions, Span};
use sandbucket_plugin::testing::{Script, error, error_response, reset, response};

const PROPERTIES: [(&str, &str); 2] = [("etag", "\"e\""), ("last-modified", "Tue, 14 Nov 2023 22:00:00 GMT")];

fn ranged(range: ByteRange) -> GetOptions {
    GetOptions { range, ..GetOptions::default() }
}

#[test]
fn get_returns_the_whole_blob() {
    let mut script = Script::new([response(200, &PROPERTIES, "hello").with("x-amz-meta-a", "b")]);
    let blob = store(&[("key-prefix", "p/")]).get(&mut script, "a b", &GetOptions::default()).unwrap();
    assert_eq!((blob.body.as_slice(), blob.range), (&b"hello"[..], Span { start: 0, end: 5 }));
    assert_eq!((blob.info.size, blob.info.etag.as_deref()), (5, Some("\"e\"")));
    assert_eq!(blob.info.metadata, [("a".to_string(), "b".to_string())]);
    let sent = &script.sent[0];
    assert_eq!(sent.request.path, "/demo/p/a%20b");
    assert!(sent.header("authorization").unwrap().contains("20231114/us-east-1/s3/aws4_request"));
    assert_eq!(sent.header("x-amz-date"), Some("20231114T221320Z"));
}

#[test]
fn anonymous_request_is_not_signed() {
    let pairs =
        [("bucket", "demo"), ("endpoint", "http://localhost:9000")].map(|(a, b)| (a.to_string(), b.to_string()));
    let mut store = crate::ops::Store::open(&pairs, 1).unwrap();
    let mut script = Script::new([response(200, &PROPERTIES, "x"), error_response(403, "AccessDenied")]);
    store.get(&mut script, "k", &GetOptions::default()).unwrap();
    assert!(script.sent[0].request.headers.is_empty(), "{:?}", script.sent[0].request.headers);
    let denied = store.head(&mut script, "k", &HeadOptions::default()).unwrap_err();
    assert_eq!((denied.kind, denied.subject.as_deref()), (Kind::AccessDenied, Some("access-key")));
}

#[test]
fn body_in_chunks_of_any_size_is_assembled() {
    let pieces = ["a", "bcd", "e"].map(|piece| Ok(piece.as_bytes().to_vec())).to_vec();
    let mut script = Script::new([response(200, &PROPERTIES, "abcde").pieces(pieces)]);
    assert_eq!(store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap().body, b"abcde");
}

#[test]
fn short_long_or_broken_body_is_retried() {
    let whole = response(200, &PROPERTIES, "hello");
    for bad in [
        whole.clone().pieces(vec![Ok(b"hel".to_vec())]),
        whole.clone().pieces(vec![]),
        whole.clone().pieces(vec![Ok(b"hello!".to_vec())]),
        whole.clone().pieces(vec![Ok(b"hello".to_vec()), Ok(b"!".to_vec())]),
        whole.clone().pieces(vec![Ok(b"hel".to_vec()), Err(error(Kind::Network, false))]),
    ] {
        let mut script = Script::new([bad.clone(), whole.clone()]);
        assert_eq!(store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap().body, b"hello");
        let mut script = Script::new([bad.clone(), bad.clone(), bad]);
        let failure = store(&[("max-retries", "2")]).get(&mut script, "k", &GetOptions::default()).unwrap_err();
        assert_eq!((failure.kind, failure.attempts, failure.retryable), (Kind::Integrity, 3, true), "{failure}");
        assert!(script.done());
    }
}

#[test]
fn body_with_wrong_checksum_is_retried() {
    let sum = sandbucket_plugin::checksum::base64(&sandbucket_plugin::checksum::Algorithm::Crc32c.digest(b"hello"));
    let with = |body: &str| response(200, &PROPERTIES, body).with("x-amz-checksum-crc32c", &sum);
    let mut script = Script::new([with("hallo"), with("hello")]);
    let mut ours = store(&[("checksum", "crc32c")]);
    let blob = ours.get(&mut script, "k", &GetOptions::default()).unwrap();
    assert_eq!((blob.body.as_slice(), script.sent.len()), (&b"hello"[..], 2));
    assert_eq!(script.sent[0].header("x-amz-checksum-mode"), Some("ENABLED"));
    let mut script = Script::new([with("hallo"), with("hallo")]);
    let failure = store(&[("max-retries", "1")]).get(&mut script, "k", &GetOptions::default()).unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity);
    assert!(failure.message.contains("its crc32c of"), "{failure}");
    // The checksum of the whole blob does not apply to a range.
    let part =
        response(206, &PROPERTIES, "ell").with("content-range", "bytes 1-3/5").with("x-amz-checksum-crc32c", &sum);
    let range = ranged(ByteRange::Within(Span { start: 1, end: 4 }));
    assert_eq!(store(&[]).get(&mut Script::new([part]), "k", &range).unwrap().body, b"ell");
}

#[test]
fn connection_error_after_the_last_byte_is_ignored() {
    let pieces = vec![Ok(b"hello".to_vec()), Err(error(Kind::Network, false))];
    let mut script = Script::new([response(200, &PROPERTIES, "hello").pieces(pieces)]);
    assert_eq!(store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap().body, b"hello");
}

#[test]
fn get_returns_the_requested_range() {
    let mut script = Script::new([response(206, &PROPERTIES, "ell").with("content-range", "bytes 1-3/5")]);
    let range = Span { start: 1, end: 4 };
    let blob = store(&[]).get(&mut script, "k", &ranged(ByteRange::Within(range))).unwrap();
    assert_eq!((blob.body.as_slice(), blob.range, blob.info.size), (&b"ell"[..], range, 5));
    assert_eq!(script.sent[0].header("range"), Some("bytes=1-3"));
}

#[test]
fn response_with_another_range_is_malformed() {
    let wrong = response(206, &PROPERTIES, "hel").with("content-range", "bytes 0-2/5");
    let mut script = Script::new([wrong.clone(), wrong]);
    let options = ranged(ByteRange::Within(Span { start: 1, end: 4 }));
    let failure = store(&[("max-retries", "1")]).get(&mut script, "k", &options).unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity, "{failure}");
}

#[test]
fn response_of_a_service_without_ranges_is_cut_to_the_range() {
    for (range, body, start) in [
        (ByteRange::From(3), "lo", 3),
        (ByteRange::Last(2), "lo", 3),
        (ByteRange::Last(9), "hello", 0),
        (ByteRange::Within(Span { start: 1, end: 3 }), "el", 1),
        (ByteRange::Within(Span { start: 1, end: 30 }), "ello", 1),
    ] {
        let mut script = Script::new([response(200, &PROPERTIES, "hello")]);
        let blob = store(&[]).get(&mut script, "k", &ranged(range)).unwrap();
        assert_eq!((blob.body.as_slice(), blob.range.start), (body.as_bytes(), start), "{range:?}");
        assert_eq!(blob.range.end - blob.range.start, body.len() as u64);
    }
    let mut script = Script::new([response(200, &PROPERTIES, "hello")]);
    let failure = store(&[]).get(&mut script, "k", &ranged(ByteRange::From(5))).unwrap_err();
    assert_eq!(failure.kind, Kind::InvalidRange);
}

#[test]
fn body_beyond_max_bytes_or_memory_is_not_read() {
    let options = GetOptions { max_bytes: Some(4), ..GetOptions::default() };
    let mut script = Script::new([response(200, &PROPERTIES, "hello"), response(200, &PROPERTIES, "four")]);
    let mut store = store(&[]);
    let failure = store.get(&mut script, "k", &options).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::TooLarge, 1));
    assert!(failure.message.contains("5 bytes"), "{failure}");
    assert_eq!(store.get(&mut script, "k", &options).unwrap().body, b"four");
    let mut script = Script::new([response(200, &[("etag", "e"), ("content-length", "18446744073709551615")], "")]);
    assert_eq!(store.get(&mut script, "k", &GetOptions::default()).unwrap_err().kind, Kind::TooLarge);
}

#[test]
fn success_that_is_no_s3_response_is_an_error() {
    let page = response(200, &[("content-type", "text/html")], "<html>log in</html>");
    let mut script = Script::new([page.clone(), page.clone(), page]);
    let mut store = store(&[("max-retries", "0")]);
    assert_eq!(store.get(&mut script, "k", &GetOptions::default()).unwrap_err().kind, Kind::Integrity);
    assert_eq!(store.head(&mut script, "k", &HeadOptions::default()).unwrap_err().kind, Kind::Integrity);
    assert_eq!(store.put(&mut script, "k", b"x", &Default::default()).unwrap_err().kind, Kind::Integrity);
}

#[test]
fn header_beyond_the_limit_is_an_error() {
    let large = response(200, &PROPERTIES, "x").with("x-amz-meta-a", &"a".repeat(70_000));
    let mut script = Script::new([large]);
    let failure = store(&[("max-retries", "0")]).get(&mut script, "k", &GetOptions::default()).unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity);
}

#[test]
fn error_message_has_operation_endpoint_and_cause_but_no_secret() {
    let step = error_response(403, "SignatureDoesNotMatch").with("x-amz-request-id", "R7");
    let mut script = Script::new([step]);
    let failure = store(&[]).get(&mut script, "a\u{7}b", &GetOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.attempts, failure.retryable), (Kind::AccessDenied, 1, false));
    for part in [
        "get \"a\\u{7}b\"",
        "\"demo\"",
        "localhost:9000",
        "403 SignatureDoesNotMatch",
        "words of it",
        "R7",
        "secret-key",
    ] {
        assert!(failure.message.contains(part), "{part}: {}", failure.message);
    }
    assert!(!format!("{failure:?}").contains("very-secret"));
    let error = failure.response.unwrap();
    assert_eq!((error.status, error.code.as_deref()), (403, Some("SignatureDoesNotMatch")));
}

#[test]
fn error_body_is_read_up_to_a_limit() {
    let piece = Ok(vec![b'x'; 16 * 1024]);
    let endless = response(404, &[], "").pieces(vec![piece; 1000]);
    let mut script = Script::new([endless]);
    let failure = store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound);
    // A slow body is not awaited: the status is known.
    let drip = response(404, &[], "").pieces(vec![Ok(vec![b'x']); 1000]).slow(1);
    let mut script = Script::new([drip]);
    assert_eq!(store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap_err().kind, Kind::NotFound);
    assert!(script.elapsed().as_secs() <= 7, "{:?}", script.elapsed());
}

#[test]
fn invalid_argument_fails_before_any_request() {
    let mut script = Script::new([]);
    let mut store = store(&[]);
    let empty = ranged(ByteRange::Last(0));
    for (failure, subject) in [
        (store.get(&mut script, "k", &empty).unwrap_err(), "range"),
        (store.get(&mut script, "", &GetOptions::default()).unwrap_err(), "key"),
        (store.head(&mut script, &"k".repeat(1025), &HeadOptions::default()).unwrap_err(), "key"),
    ] {
        assert_eq!(
            (failure.kind, failure.subject.as_deref(), failure.attempts),
            (Kind::InvalidArgument, Some(subject), 0)
        );
    }
    assert!(script.sent.is_empty());
}

#[test]
fn delete_of_a_missing_blob_succeeds_and_of_a_missing_bucket_fails() {
    let mut store = store(&[]);
    let mut script = Script::new([
        response(204, &[], ""),
        error_response(404, "NoSuchKey"),
        response(404, &[], ""),
        error_response(404, "NoSuchBucket"),
        reset(),
        response(204, &[], ""),
    ]);
    // Without a code it may be the page of a proxy.
    for expected in [None, None, Some(Kind::NotFound), Some(Kind::NotFound), None] {
        let result = store.delete(&mut script, "k", &DeleteOptions::default());
        assert_eq!(result.err().map(|failure| failure.kind), expected);
    }
    assert!(script.done());
}

#[test]
fn wrong_region_error_names_the_right_one() {
    let mut store = store(&[]);
    let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
    let mut script = Script::new([
        response(301, &[("x-amz-bucket-region", "eu-west-1")], ""),
        response(400, &[("x-amz-bucket-region", "eu-west-1")], ""),
        response(400, &[], malformed),
    ]);
    for _ in 0..3 {
        let failure = store.get(&mut script, "k", &GetOptions::default()).unwrap_err();
        assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidSettings, Some("region")));
        assert!(failure.message.contains("region = \"eu-west-1\""), "{failure}");
        assert_eq!(failure.response.unwrap().region.as_deref(), Some("eu-west-1"));
    }
}

#[test]
fn failed_conditions_have_distinct_error_kinds() {
    let mut script = Script::new([
        response(304, &[], ""),
        error_response(412, "PreconditionFailed"),
        error_response(416, "InvalidRange"),
    ]);
    let mut store = store(&[]);
    for kind in [Kind::NotModified, Kind::PreconditionFailed, Kind::InvalidRange] {
        let options = GetOptions { call: within(5), ..GetOptions::default() };
        assert_eq!(store.get(&mut script, "k", &options).unwrap_err().kind, kind);
    }
}

#[test]
fn chunked_body_without_length_is_read_to_its_end() {
    let chunked =
        |pieces| response(200, &[("content-length", ""), ("transfer-encoding", "chunked")], "").pieces(pieces);
    let remove_length = |mut step: sandbucket_plugin::testing::Reaction| {
        step.edit_head(|head| head.headers.retain(|(name, _)| name != "content-length"));
        step.with("etag", "\"e\"")
    };
    let hello = || vec![Ok(b"he".to_vec()), Ok(b"llo".to_vec())];
    for (range, body, start) in [
        (ByteRange::Whole, "hello", 0),
        (ByteRange::From(2), "llo", 2),
        (ByteRange::Within(Span { start: 1, end: 99 }), "ello", 1),
    ] {
        let mut script = Script::new([remove_length(chunked(hello()))]);
        let blob = store(&[]).get(&mut script, "k", &ranged(range)).unwrap();
        assert_eq!((blob.body.as_slice(), blob.range.start, blob.info.size), (body.as_bytes(), start, 5));
    }
    let mut script = Script::new([remove_length(chunked(hello()))]);
    let outside = store(&[]).get(&mut script, "k", &ranged(ByteRange::From(5))).unwrap_err();
    assert_eq!(outside.kind, Kind::InvalidRange);
    let options = GetOptions { max_bytes: Some(4), ..GetOptions::default() };
    let mut script = Script::new([remove_length(chunked(hello()))]);
    assert_eq!(store(&[]).get(&mut script, "k", &options).unwrap_err().kind, Kind::TooLarge);
    // A truncated body is retried.
    let torn = vec![Ok(b"he".to_vec()), Err(error(Kind::Network, false))];
    let mut script = Script::new([remove_length(chunked(torn)), remove_length(chunked(hello()))]);
    assert_eq!(store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap().body, b"hello");
}

#[test]
fn failed_head_is_classified_by_its_error_headers() {
    let refused = response(400, &[("x-amz-error-code", "ExpiredToken"), ("x-amz-error-message", "expired.")], "");
    let failure = store(&[]).head(&mut Script::new([refused]), "k", &HeadOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.code()), (Kind::AccessDenied, Some("ExpiredToken")));
    assert!(failure.message.contains("expired."), "{failure}");
    let missing = response(404, &[("x-amz-error-code", "NoSuchBucket")], "");
    let failure = store(&[]).head(&mut Script::new([missing]), "k", &HeadOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::NotFound, Some("bucket")));
}

#[test]
fn archived_blob_is_a_service_error_with_advice() {
    let mut script = Script::new([error_response(403, "InvalidObjectState")]);
    let failure = store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.code()), (Kind::Service, Some("InvalidObjectState")));
    assert!(failure.message.contains("RestoreObject"), "{failure}");
}

#[test]
fn weak_tag_is_never_sent_in_if_match() {
    let mut script = Script::new([response(200, &PROPERTIES, "x")]);
    let conditions = sandbucket_plugin::contract::model::ReadConditions {
        if_match: Some("W/\"a\", \"b\"".into()),
        if_none_match: Some("W/\"c\"".into()),
        ..Default::default()
    };
    store(&[]).get(&mut script, "k", &GetOptions { conditions, ..GetOptions::default() }).unwrap();
    assert_eq!(script.sent[0].header("if-match"), Some("\"a\", \"b\""));
    assert_eq!(script.sent[0].header("if-none-match"), Some("W/\"c\""));
}
