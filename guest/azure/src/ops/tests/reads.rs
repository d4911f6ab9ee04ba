use sandbucket_plugin::Kind;
use sandbucket_plugin::contract::model::{ByteRange, GetOptions, HeadOptions, ListOptions, ReadConditions, Span};
use sandbucket_plugin::testing::{Script, response};

use super::{refused, store, there};

#[test]
fn get_is_signed_and_returns_the_body() {
    let mut script = Script::new([response(200, &[("etag", "\"e\"")], "hello")]);
    let blob = store(&[]).get(&mut script, "a b", &GetOptions::default()).unwrap();
    assert_eq!((blob.body.as_slice(), blob.info.size), (&b"hello"[..], 5));
    let sent = &script.sent[0];
    assert_eq!(sent.request.path, "/devstoreaccount1/demo/a%20b");
    assert_eq!(sent.header("x-ms-version"), Some("2023-11-03"));
    assert_eq!(sent.header("x-ms-date"), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
    assert!(sent.header("authorization").unwrap().starts_with("SharedKey devstoreaccount1:"));
}

#[test]
fn body_is_verified_by_md5_if_the_store_uses_it() {
    let wrong = || response(200, &[("etag", "\"e\""), ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], "hello");
    let checked = |setting| {
        let mut script = Script::new([wrong()]);
        store(&[("checksum", setting), ("max-retries", "0")]).get(&mut script, "k", &GetOptions::default())
    };
    assert!(checked("none").is_ok());
    assert_eq!(checked("md5").unwrap_err().kind, Kind::Integrity);
}

fn last(count: u64) -> GetOptions {
    GetOptions { range: ByteRange::Last(count), ..GetOptions::default() }
}

#[test]
fn last_bytes_are_read_by_their_place_and_the_entity_tag() {
    let part = || response(206, &[("etag", "\"e\""), ("content-range", "bytes 7-9/10")], "xyz");
    let mut script = Script::new([there(10, "\"e\"", "00:00"), part()]);
    let blob = store(&[]).get(&mut script, "k", &last(3)).unwrap();
    assert_eq!((blob.body.as_slice(), blob.range), (&b"xyz"[..], Span { start: 7, end: 10 }));
    assert_eq!(script.methods(), ["HEAD", "GET"]);
    assert_eq!(script.sent[1].header("range"), Some("bytes=7-9"));
    assert_eq!(script.sent[1].header("if-match"), Some("\"e\""));
    // The blob changes between the two requests.
    let mut script =
        Script::new([there(9, "\"d\"", "00:00"), refused(412, "ConditionNotMet"), there(10, "\"e\"", "00:00"), part()]);
    assert_eq!(store(&[]).get(&mut script, "k", &last(3)).unwrap().body, b"xyz");
    assert_eq!(script.methods(), ["HEAD", "GET", "HEAD", "GET"]);
    // A service that knows no conditions: these are not the last bytes of the blob.
    let mut script =
        Script::new([there(10, "\"e\"", "00:00"), response(206, &[("content-range", "bytes 7-9/11")], "xyz")]);
    let failure = store(&[("max-retries", "0")]).get(&mut script, "k", &last(3)).unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity);
}

#[test]
fn last_bytes_respect_conditions_and_the_length_of_the_blob() {
    let if_match = ReadConditions { if_match: Some("\"d\"".into()), ..ReadConditions::default() };
    let mut script = Script::new([there(9, "\"d\"", "00:00"), refused(412, "ConditionNotMet")]);
    let options = GetOptions { conditions: if_match, ..last(3) };
    assert_eq!(store(&[]).get(&mut script, "k", &options).unwrap_err().kind, Kind::PreconditionFailed);
    assert_eq!(script.sent[0].header("if-match"), Some("\"d\""));
    let mut script = Script::new([there(0, "\"e\"", "00:00")]);
    assert_eq!(store(&[]).get(&mut script, "k", &last(3)).unwrap_err().kind, Kind::InvalidRange);
    let mut script = Script::new([]);
    assert_eq!(store(&[]).get(&mut script, "k", &last(0)).unwrap_err().subject.as_deref(), Some("range"));
    let mut script = Script::new([refused(404, "BlobNotFound")]);
    let failure = store(&[]).get(&mut script, "k", &last(3)).unwrap_err();
    assert_eq!((failure.kind, failure.code()), (Kind::NotFound, Some("BlobNotFound")));
}

#[test]
fn errors_say_what_was_tried_where_and_what_the_service_said() {
    let mut script = Script::new([refused(404, "ContainerNotFound")]);
    let failure = store(&[("key-prefix", "t/")]).head(&mut script, "k", &HeadOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::NotFound, Some("container")));
    for part in [
        "head \"t/k\" in container \"demo\" at http://127.0.0.1:10000/devstoreaccount1: the service responded 404",
        "ContainerNotFound",
        "r-1",
    ] {
        assert!(failure.message.contains(part), "{failure}");
    }
}

#[test]
fn key_that_azure_would_resolve_is_rejected_before_any_request() {
    for key in ["../other", "a/./b", "a\nb"] {
        let mut script = Script::new([]);
        let failure = store(&[("key-prefix", "t/")]).head(&mut script, key, &HeadOptions::default()).unwrap_err();
        assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidArgument, Some("key")), "{key:?}");
    }
}

#[test]
fn list_is_parsed_and_start_after_applies_to_it() {
    let blob =
        |name| format!("<Blob><Name>t/{name}</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>");
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>{}{}</Blobs><NextMarker>m</NextMarker>\
         </EnumerationResults>",
        blob("a"),
        blob("b")
    );
    let mut script = Script::new([response(200, &[("x-ms-request-id", "1")], &body)]);
    let options = ListOptions { start_after: Some("a".into()), ..ListOptions::default() };
    let page = store(&[("key-prefix", "t/")]).list(&mut script, &options).unwrap();
    assert_eq!((page.entries.len(), page.entries[0].key.as_str(), page.next.as_deref()), (1, "b", Some("mm")));
    assert!(script.sent[0].request.path_and_query().ends_with("&prefix=t%2F"));
}
