use sandbucket_plugin::checksum::base64;
use sandbucket_plugin::content;
use sandbucket_plugin::contract::model::UNKNOWN_SIZE;

use super::*;

/// Verifies a body by the checksum of its response, as the driver does.
fn verify_checksum(head: &Head, body: &[u8]) -> Result<(), MalformedResponse> {
    checksum(head).map_or(Ok(()), |digest| content::verify(&digest, body))
}

fn head(status: u16, headers: &[(&str, &str)]) -> Head<'static> {
    let headers = headers.iter().map(|(n, v)| (n.to_string().into(), v.to_string().into())).collect();
    Head { status, headers }
}

#[test]
fn properties_of_a_blob_are_all_parsed() {
    let head = head(
        200,
        &[
            ("Content-Length", "42"),
            ("etag", "\"abc\""),
            ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("content-type", "text/plain"),
            ("X-Amz-Meta-Colour", " red "),
            ("x-amz-meta-b", ""),
            ("x-amz-version-id", "v1"),
            ("cache-control", "no-store"),
            ("x-other", "1"),
        ],
    );
    let info = blob_info(&head).unwrap();
    assert_eq!(
        (info.size, info.etag.as_deref(), info.last_modified),
        (42, Some("\"abc\""), Some(1_445_412_480.into()))
    );
    assert_eq!(info.metadata, [("colour".to_string(), "red".to_string()), ("b".to_string(), String::new())]);
    assert_eq!((info.content_type.as_deref(), info.version.as_deref()), (Some("text/plain"), Some("v1")));
    assert_eq!(info.attributes, [("cache-control".to_string(), "no-store".to_string())]);
}

#[test]
fn known_response_headers_become_attributes() {
    let said = |name: &str, value: &str| attributes(&head(200, &[(name, value)]));
    for (name, header) in RESPONSE_ATTRIBUTES {
        assert_eq!(said(&header.to_ascii_uppercase(), "x"), [(name.to_owned(), "x".to_owned())]);
    }
    // The coding of the upload is not a coding of the blob.
    assert_eq!(said("content-encoding", "aws-chunked"), []);
    assert_eq!(said("content-encoding", "gzip, aws-chunked"), [("content-encoding".to_owned(), "gzip".to_owned())]);
}

#[test]
fn metadata_in_encoded_words_is_decoded() {
    let head =
        head(200, &[("content-length", "0"), ("etag", "x"), ("x-amz-meta-to", "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?= all")]);
    assert_eq!(blob_info(&head).unwrap().metadata, [("to".to_owned(), "Grüße all".to_owned())]);
}

#[test]
fn version_null_is_no_version() {
    let head = head(200, &[("content-length", "0"), ("etag", "x"), ("x-amz-version-id", "null")]);
    assert_eq!(blob_info(&head).unwrap().version, None);
}

#[test]
fn missing_or_contradictory_headers_are_malformed() {
    for (headers, why) in [
        (&[("content-length", "-1"), ("etag", "x")][..], "not a number"),
        (&[("content-length", "+1"), ("etag", "x")], "not a number"),
        (&[("content-length", "1, 2"), ("etag", "x")], "two different"),
        (&[("content-length", "1"), ("content-length", "2"), ("etag", "x")], "two different"),
        (&[("content-length", "99999999999999999999999"), ("etag", "x")], "not a number"),
        (&[("content-length", "1")], "neither etag nor last-modified"),
    ] {
        let MalformedResponse(words) = blob_info(&head(200, headers)).unwrap_err();
        assert!(words.contains(why), "{headers:?}: {words}");
    }
    // Equal duplicate lengths are valid.
    let twice = head(200, &[("content-length", "3"), ("content-length", "3"), ("etag", "x")]);
    assert_eq!(blob_info(&twice).unwrap().size, 3);
}

#[test]
fn head_of_a_part_has_the_size_of_the_blob_and_the_range_of_the_part() {
    let fields =
        [("content-range", "bytes 5-9/20"), ("content-length", "5"), ("etag", "x"), ("x-amz-mp-parts-count", "4")];
    let info = blob_info(&head(206, &fields)).unwrap();
    assert_eq!(info.size, 20);
    let expected = [("parts-count", "4"), (PART_RANGE, "5-9")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(info.attributes, expected);
    // Only of a partial response that says which part it is.
    for (status, range) in [(200, "bytes 5-9/20"), (206, "bytes 9-5/20"), (206, "bytes 5-9/*")] {
        let info =
            blob_info(&head(status, &[("content-range", range), ("content-length", "5"), ("etag", "x")])).unwrap();
        assert_eq!((info.size, info.attributes.len()), (5, 0), "{range}");
    }
    let contradictory = head(206, &[("content-range", "bytes 5-9/20"), ("content-length", "20"), ("etag", "x")]);
    assert!(blob_info(&contradictory).unwrap_err().0.contains("content-length"));
}

#[test]
fn content_range_must_equal_the_requested_range() {
    let part = |range: &str, length: &str, requested| {
        blob_part(&head(206, &[("content-range", range), ("content-length", length), ("etag", "x")]), requested)
            .map(|(info, span)| (info.size, span.start, span.end))
    };
    let within = |start, end| ByteRange::Within(Span { start, end });
    assert_eq!(part("bytes 2-4/10", "3", within(2, 5)), Ok((10, 2, 5)));
    assert_eq!(part("bytes 2-9/10", "8", within(2, 50)), Ok((10, 2, 10)));
    assert_eq!(part("bytes 2-9/10", "8", ByteRange::From(2)), Ok((10, 2, 10)));
    assert_eq!(part("bytes 7-9/10", "3", ByteRange::Last(3)), Ok((10, 7, 10)));
    assert_eq!(part("bytes 0-9/10", "10", ByteRange::Last(30)), Ok((10, 0, 10)));
    for (range, length, requested) in [
        ("bytes 2-4/10", "4", within(2, 5)),
        ("bytes 3-5/10", "3", within(2, 5)),
        ("bytes 2-3/10", "2", within(2, 5)),
        ("bytes 2-8/10", "7", ByteRange::From(2)),
        ("bytes 6-9/10", "4", ByteRange::Last(3)),
        ("bytes 2-4/*", "3", within(2, 5)),
        ("bytes 4-2/10", "3", within(2, 5)),
        ("bytes 2-10/10", "9", ByteRange::From(2)),
        ("lines 2-4/10", "3", within(2, 5)),
        ("bytes 2-18446744073709551615/18446744073709551615", "3", ByteRange::From(2)),
        ("", "3", within(2, 5)),
    ] {
        assert!(part(range, length, requested).is_err(), "{range} {length}");
    }
}

#[test]
fn status_200_to_a_range_request_is_the_whole_blob() {
    let (info, span) = blob_part(&head(200, &[("content-length", "10"), ("etag", "x")]), ByteRange::From(4)).unwrap();
    assert_eq!((info.size, span), (10, Span { start: 0, end: 10 }));
    assert!(blob_part(&head(200, &[("etag", "x")]), ByteRange::Whole).is_err());
}

#[test]
fn write_has_the_etag_and_version_of_its_response() {
    assert_eq!(written(&head(200, &[])).unwrap(), Written::default());
    let done = written(&head(200, &[("ETag", "\"e\""), ("x-amz-version-id", "7")])).unwrap();
    assert_eq!(done, Written { etag: Some("\"e\"".into()), version: Some("7".into()) });
}

#[test]
fn checksum_of_the_whole_body_is_verified() {
    assert_eq!(checksum(&head(200, &[("x-amz-checksum-crc32", "no base64")])), None);
    for algorithm in STORED {
        let sum = base64(&algorithm.digest(b"body"));
        assert_eq!(verify_checksum(&head(200, &[(algorithm.header(), &sum)]), b"body"), Ok(()));
        let MalformedResponse(why) = verify_checksum(&head(200, &[(algorithm.header(), &sum)]), b"b0dy").unwrap_err();
        assert!(why.contains(algorithm.word()) && why.contains("4 bytes"), "{why}");
        // A checksum of checksums, by its type or by the number of parts.
        let parts = [(algorithm.header(), sum.as_str()), ("x-amz-checksum-type", "COMPOSITE")];
        assert_eq!(verify_checksum(&head(200, &parts), b"b0dy"), Ok(()));
        assert_eq!(verify_checksum(&head(200, &[(algorithm.header(), &format!("{sum}-2"))]), b"b0dy"), Ok(()));
    }
    assert_eq!(verify_checksum(&head(200, &[]), b"anything"), Ok(()));
}

#[test]
fn entity_tag_and_version_lengths_are_limited() {
    for (name, longest) in [("etag", 1024), ("x-amz-version-id", 1024)] {
        let parsed = |length: usize| {
            let text = "x".repeat(length);
            let mut headers = vec![("content-length", "1"), (name, text.as_str())];
            if name != "etag" {
                headers.push(("etag", "e"));
            }
            let head = head(200, &headers);
            (blob_info(&head).is_ok(), written(&head).is_ok())
        };
        assert_eq!(parsed(longest), (true, true), "{name}");
        assert_eq!(parsed(longest + 1), (false, false), "{name}");
    }
}

#[test]
fn head_response_without_length_or_valid_date_is_accepted() {
    let info = blob_info(&head(200, &[("etag", "x"), ("last-modified", "yesterday"), ("x-amz-meta-a", "1")])).unwrap();
    assert_eq!((info.size, info.etag.as_deref(), info.last_modified), (UNKNOWN_SIZE, Some("x"), None));
    assert_eq!(info.metadata, [("a".to_owned(), "1".to_owned())]);
    // An empty entity tag counts as absent, but shows that the response is from S3.
    for from_s3 in ["etag", "last-modified", "x-amz-request-id"] {
        let info = blob_info(&head(200, &[("content-length", "1"), (from_s3, "")])).unwrap();
        assert_eq!((info.size, info.etag, info.last_modified), (1, None, None));
    }
}

#[test]
fn chunked_response_has_unknown_size_and_others_need_a_length() {
    let read = |headers: &[(&str, &str)], requested| {
        let headers = [&[("etag", "x")], headers].concat();
        blob_part(&head(200, &headers), requested).map(|(info, span)| (info.size, span.start, span.end))
    };
    for chunked in ["chunked", "Chunked", "gzip, chunked"] {
        let chunked = [("Transfer-Encoding", chunked)];
        assert_eq!(read(&chunked, ByteRange::Whole), Ok((UNKNOWN_SIZE, 0, UNKNOWN_SIZE)));
        assert_eq!(read(&chunked, ByteRange::From(3)), Ok((UNKNOWN_SIZE, 0, UNKNOWN_SIZE)));
        // The offset of the last bytes is unknown until the end.
        assert!(read(&chunked, ByteRange::Last(3)).is_err());
    }
    assert!(read(&[], ByteRange::Whole).is_err());
    assert!(read(&[("transfer-encoding", "identity")], ByteRange::Whole).is_err());
}

#[test]
fn composite_checksum_is_not_compared() {
    let sum = "4waSgw==";
    let whole = Span { start: 0, end: 9 };
    let parsed = |headers: &[(&str, &str)], given| checksum_of(&head(200, headers), given, 9).is_some();
    let tag = ("etag", "\"d41d8cd98f00b204e9800998ecf8427e-2\"");
    let full = ("x-amz-checksum-type", "FULL_OBJECT");
    let crc = ("x-amz-checksum-crc32c", sum);
    assert!(parsed(&[crc], whole));
    assert!(parsed(&[crc, tag, full], whole));
    assert!(parsed(&[tag, ("x-amz-checksum-crc64nvme", "rosUhgp5mYg=")], whole));
    assert!(!parsed(&[crc, tag], whole));
    assert!(!parsed(&[crc, ("x-amz-checksum-type", "COMPOSITE")], whole));
    assert!(!parsed(&[("x-amz-checksum-crc32c", "4waSgw==-2")], whole));
    assert!(!parsed(&[crc, full], Span { start: 0, end: 8 }));
}
