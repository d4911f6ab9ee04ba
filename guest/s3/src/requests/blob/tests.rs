use super::*;
use crate::headers::METADATA;
use crate::settings;
use sandbucket_plugin::contract::error::Kind;
use sandbucket_plugin::contract::model::{
    ByteRange, CallOptions, Datetime, Pair, ReadConditions, Span, WriteCondition,
};
use sandbucket_plugin::http::time::LAST;

fn with(more: &[(&str, &str)]) -> Settings {
    let mut pairs = vec![("bucket", "demo"), ("endpoint", "http://localhost:9000")];
    pairs.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    pairs.extend(more);
    settings::parse(&pairs.iter().map(|(name, value)| pair(name, value)).collect::<Vec<_>>()).unwrap()
}

fn plain() -> Settings {
    with(&[])
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
}

fn put_with(options: PutOptions) -> Result<Request, Failure> {
    put(&plain(), "k", &Content::buffered(b"body", &[]).unwrap(), &options)
}

fn pair(name: &str, value: &str) -> Pair {
    (name.into(), value.into())
}

#[test]
fn get_sends_range_conditions_and_version() {
    let options = GetOptions {
        range: ByteRange::Within(Span { start: 1, end: 5 }),
        conditions: ReadConditions {
            if_match: Some("\"a\"".into()),
            if_none_match: Some("\"b\"".into()),
            if_modified_since: Some(0.into()),
            if_unmodified_since: Some(1_445_412_480.into()),
        },
        version: Some("v/1 +".into()),
        ..GetOptions::default()
    };
    let request = get(&plain(), "a b", &options).unwrap();
    assert_eq!(request.path_and_query(), "/demo/a%20b?versionId=v%2F1%20%2B");
    assert_eq!((request.method, request.authority.as_str(), request.https), (Method::Get, "localhost:9000", false));
    assert_eq!(header(&request, "range"), Some("bytes=1-4"));
    assert_eq!(header(&request, "if-match"), Some("\"a\""));
    assert_eq!(header(&request, "if-none-match"), Some("\"b\""));
    assert_eq!(header(&request, "if-modified-since"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(header(&request, "if-unmodified-since"), Some("Wed, 21 Oct 2015 07:28:00 GMT"));
}

#[test]
fn put_sends_content_type_condition_metadata_and_attributes() {
    let request = put_with(PutOptions {
        content_type: Some("text/plain".into()),
        metadata: vec![pair("Owner", "me and you"), pair("x", "")],
        condition: WriteCondition::IfAbsent,
        digests: Vec::new(),
        call: CallOptions { attributes: vec![pair("cache-control", "no-store")], ..CallOptions::default() },
    })
    .unwrap();
    assert_eq!(header(&request, "content-type"), Some("text/plain"));
    assert_eq!(header(&request, "if-none-match"), Some("*"));
    assert_eq!(header(&request, "x-amz-meta-owner"), Some("me and you"));
    assert_eq!(header(&request, "x-amz-meta-x"), Some(""));
    assert_eq!(header(&request, "cache-control"), Some("no-store"));
}

#[test]
fn metadata_invalid_in_http_or_s3_is_rejected() {
    for metadata in [
        vec![pair("", "v")],
        vec![pair("a b", "v")],
        vec![pair("a\r\nx-evil", "v")],
        vec![pair("né", "v")],
        vec![pair("a", "v\r\nx: y")],
        vec![pair("a", " v")],
        vec![pair("a", "v\t")],
        vec![pair("a", "1"), pair("A", "2")],
        vec![pair("a", &"v".repeat(METADATA.max_bytes))],
    ] {
        let refused = put_with(PutOptions { metadata: metadata.clone(), ..PutOptions::default() }).unwrap_err();
        assert_eq!(refused.kind, Kind::InvalidArgument, "{metadata:?}");
        assert_eq!(refused.subject.as_deref(), Some("metadata"), "{metadata:?}");
    }
    let full = vec![pair("a", &"v".repeat(METADATA.max_bytes - 1))];
    assert!(put_with(PutOptions { metadata: full, ..PutOptions::default() }).is_ok());
}

#[test]
fn header_values_with_line_breaks_are_rejected() {
    let evil = "x\r\ny: z".to_string();
    let refused = |options| put_with(options).unwrap_err().subject.unwrap();
    assert_eq!(refused(PutOptions { content_type: Some(evil.clone()), ..Default::default() }), "content-type");
    assert_eq!(
        refused(PutOptions { condition: WriteCondition::IfMatch(evil.clone()), ..Default::default() }),
        "if-match"
    );
    let options = GetOptions {
        conditions: ReadConditions { if_none_match: Some(evil.clone()), ..Default::default() },
        ..Default::default()
    };
    assert_eq!(get(&plain(), "k", &options).unwrap_err().subject.as_deref(), Some("if-none-match"));
    for version in [evil, String::new()] {
        let options = DeleteOptions { version: Some(version), ..Default::default() };
        assert_eq!(delete(&plain(), "k", &options).unwrap_err().subject.as_deref(), Some("version"));
    }
}

#[test]
fn date_after_year_9999_is_rejected() {
    let at = |second| HeadOptions {
        conditions: ReadConditions { if_modified_since: Some(Datetime::from(second)), ..Default::default() },
        ..Default::default()
    };
    let last = head(&plain(), "k", &at(LAST)).unwrap();
    assert_eq!(header(&last, "if-modified-since"), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
    assert!(head(&plain(), "k", &at(LAST + 1)).is_err());
    assert!(head(&plain(), "k", &at(u64::MAX)).is_err());
}

#[test]
fn put_sends_the_configured_checksum() {
    let sent = |settings: &Settings, attributes: Vec<Pair>| {
        let call = CallOptions { attributes, ..CallOptions::default() };
        let request = put(
            settings,
            "k",
            &Content::buffered(b"123456789", &[]).unwrap(),
            &PutOptions { call, ..PutOptions::default() },
        )
        .unwrap();
        let sums = request.headers.into_iter().filter(|(name, _)| name.contains("checksum") || name.contains("md5"));
        sums.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(sent(&plain(), vec![]), "");
    assert_eq!(sent(&with(&[("checksum", "crc32c")]), vec![]), "x-amz-checksum-crc32c: 4waSgw==");
    assert_eq!(sent(&with(&[("checksum", "md5")]), vec![]), "content-md5: JfnnlDI7RTiF9RgfG2JNCw==");
    assert_eq!(sent(&with(&[("endpoint", "")]), vec![]), "x-amz-checksum-crc64nvme: rosUhgp5mIg=");
    assert_eq!(sent(&with(&[("endpoint", ""), ("checksum", "none")]), vec![]), "");
    let own = vec![pair("checksum-crc32", "y/Q5Jg==")];
    assert_eq!(sent(&with(&[("checksum", "crc32c")]), own), "x-amz-checksum-crc32: y/Q5Jg==");
}

#[test]
fn stored_checksum_is_requested_if_the_store_uses_checksums() {
    let headers_of = |settings: &Settings| {
        let get = get(settings, "k", &GetOptions::default()).unwrap();
        let head = head(settings, "k", &HeadOptions::default()).unwrap();
        [get, head].map(|request| header(&request, "x-amz-checksum-mode").is_some())
    };
    assert_eq!(headers_of(&plain()), [false, false]);
    assert_eq!(headers_of(&with(&[("endpoint", "")])), [true, false]);
    assert_eq!(headers_of(&with(&[("checksum", "sha256")])), [true, true]);
    assert_eq!(headers_of(&with(&[("checksum", "md5")])), [false, false]);
}

#[test]
fn stored_checksum_is_requested_once_if_the_call_asks_for_it() {
    let call =
        |value: &'static str| CallOptions { attributes: vec![pair("checksum-mode", value)], ..CallOptions::default() };
    let counts_of = |settings: &Settings, value: &'static str| {
        let get = get(settings, "k", &GetOptions { call: call(value), ..GetOptions::default() }).unwrap();
        let head = head(settings, "k", &HeadOptions { call: call(value), ..HeadOptions::default() }).unwrap();
        [get, head].map(|request| request.headers.iter().filter(|(name, _)| name == "x-amz-checksum-mode").count())
    };
    assert_eq!(counts_of(&plain(), "true"), [1, 1]);
    assert_eq!(counts_of(&plain(), "false"), [0, 0]);
    assert_eq!(counts_of(&with(&[("checksum", "sha256")]), "enabled"), [1, 1]);
}

#[test]
fn unknown_attribute_is_unsupported_and_named() {
    let call = CallOptions { attributes: vec![pair("storage-klass", "x")], ..CallOptions::default() };
    let put = put_with(PutOptions { call: call.clone(), ..PutOptions::default() }).unwrap_err();
    let get = get(&plain(), "k", &GetOptions { call, ..GetOptions::default() }).unwrap_err();
    for refused in [put, get] {
        assert_eq!(refused.kind, Kind::Unsupported);
        assert_eq!(refused.subject.as_deref(), Some("storage-klass"));
        assert!(refused.message.contains("storage-klass"));
    }
}
