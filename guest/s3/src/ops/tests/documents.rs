//! Responses with documents: lists, bulk deletes and tags.

use super::store;
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{BlobRef, DeleteManyOptions, ListBucketsOptions, ListOptions, TagOptions};
use sandbucket_plugin::testing::{Reaction, Script, error, error_response, response};

fn document(text: &str) -> Reaction {
    response(200, &[("content-type", "application/xml")], text)
}

fn page(inside: &str) -> Reaction {
    document(&format!("<ListBucketResult>{inside}</ListBucketResult>"))
}

fn deleted(inside: &str) -> Reaction {
    document(&format!("<DeleteResult>{inside}</DeleteResult>"))
}

fn gone(key: &str) -> String {
    format!("<Deleted><Key>{key}</Key></Deleted>")
}

fn kept(key: &str, code: &str) -> String {
    format!("<Error><Key>{key}</Key><Code>{code}</Code><Message>words of it</Message></Error>")
}

fn delete_with(
    settings: &[(&str, &str)],
    script: &mut Script,
    keys: &[&str],
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let blobs: Vec<_> = keys.iter().map(|key| BlobRef { key: key.to_string(), version: None }).collect();
    store(settings).delete_many(script, &blobs, &DeleteManyOptions::default())
}

fn kinds(outcomes: &[Result<(), Failure>]) -> Vec<Option<Kind>> {
    outcomes.iter().map(|outcome| outcome.as_ref().err().map(|failure| failure.kind)).collect()
}

#[test]
fn truncated_page_is_retried() {
    let whole = page("<Contents><Key>k</Key><Size>1</Size></Contents>");
    let half = "<ListBucketResult><Contents><Key>k</Key><Size>1";
    let torn = response(200, &[], half).pieces(vec![Ok(b"<ListBucket".to_vec()), Err(error(Kind::Network, false))]);
    let short = response(200, &[("content-length", "9999")], half);
    for first in [document(half), torn, short, document("<html></html>"), document(""), document("{}")] {
        let mut script = Script::new([first, whole.clone()]);
        let page = store(&[]).list(&mut script, &ListOptions::default()).unwrap();
        assert_eq!((page.entries[0].key.as_str(), script.sent.len()), ("k", 2));
    }
    let mut script = Script::new([document("<html></html>"), document("<html></html>")]);
    let failure = store(&[("max-retries", "1")]).list(&mut script, &ListOptions::default()).unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity);
    assert!(failure.message.starts_with("list in bucket \"demo\" at http://localhost:9000: "), "{failure}");
}

#[test]
fn error_document_in_a_success_is_that_error() {
    let late = |code: &str| document(&format!("<Error><Code>{code}</Code><Message>words of it</Message></Error>"));
    let mut script = Script::new([late("InternalError"), late("SlowDown"), page("")]);
    assert!(store(&[]).list(&mut script, &ListOptions::default()).is_ok());
    let failure = store(&[]).list(&mut Script::new([late("AccessDenied")]), &ListOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::AccessDenied, 1));
    assert!(failure.message.contains("words of it"), "{failure}");
}

#[test]
fn endless_page_is_limited() {
    let endless = vec![Ok(vec![b' '; 1 << 20]); 20];
    let mut script = Script::new([response(200, &[("content-length", "99999999")], "").pieces(endless)]);
    assert_eq!(store(&[]).list(&mut script, &ListOptions::default()).unwrap_err().kind, Kind::TooLarge);
}

#[test]
fn delete_many_returns_an_outcome_per_blob() {
    let named = deleted(&[gone("p/a"), kept("p/b", "AccessDenied")].concat());
    // The response omits the last key, which is deleted singly.
    let mut script = Script::new([named, response(204, &[], "")]);
    let outcomes = delete_with(&[("key-prefix", "p/")], &mut script, &["a", "b", "c"]).unwrap();
    assert_eq!(kinds(&outcomes), [None, Some(Kind::AccessDenied), None]);
    assert_eq!((script.methods(), script.sent[1].request.path.as_str()), (vec!["POST", "DELETE"], "/demo/p/c"));
    let refused = outcomes[1].as_ref().unwrap_err();
    assert!(refused.message.starts_with("delete \"p/b\" in bucket"), "{refused}");
    assert_eq!(refused.response.as_ref().unwrap().message.as_deref(), Some("words of it"));
    let sent = &script.sent[0];
    assert!(sent.header("content-md5").is_some() && sent.body.starts_with(b"<Delete"), "{sent:?}", sent = sent.request);
}

#[test]
fn only_transient_failures_of_delete_many_are_retried() {
    let first = deleted(&[gone("a"), kept("b", "InternalError"), kept("c", "SlowDown")].concat());
    let second = deleted(&[gone("b"), kept("c", "SlowDown")].concat());
    let mut script = Script::new([first, second.clone(), deleted(&kept("c", "SlowDown"))]);
    let outcomes = delete_with(&[("max-retries", "2")], &mut script, &["a", "b", "c"]).unwrap();
    assert_eq!(kinds(&outcomes), [None, None, Some(Kind::Throttled)]);
    assert!(outcomes[2].as_ref().unwrap_err().retryable);
    assert!(!String::from_utf8_lossy(&script.sent[1].body).contains("<Key>a<"));
    assert_eq!(script.pauses.len(), 2);
}

#[test]
fn partial_outcomes_survive_a_failed_retry() {
    let first = deleted(&[gone("a"), kept("b", "InternalError"), kept("c", "AccessDenied")].concat());
    for (ending, kind) in
        [(error_response(403, "AccessDenied"), Kind::AccessDenied), (error_response(503, "SlowDown"), Kind::Throttled)]
    {
        let mut script = Script::new([vec![first.clone()], vec![ending; 2]].concat());
        let outcomes = delete_with(&[("max-retries", "1")], &mut script, &["a", "b", "c"]).unwrap();
        assert_eq!(kinds(&outcomes), [None, Some(kind), Some(Kind::AccessDenied)]);
        assert!(outcomes[1].as_ref().unwrap_err().message.starts_with("delete several blobs in bucket"));
    }
    // The service has no bulk delete: the remaining blobs are deleted singly.
    let mut script = Script::new([first, error_response(501, "NotImplemented"), response(204, &[], "")]);
    let outcomes = delete_with(&[], &mut script, &["a", "b", "c"]).unwrap();
    assert_eq!(kinds(&outcomes), [None, None, Some(Kind::AccessDenied)]);
    assert_eq!(script.methods(), ["POST", "POST", "DELETE"]);
}

#[test]
fn keys_invalid_in_xml_are_deleted_singly() {
    let mut script = Script::new([deleted(&gone("plain")), response(204, &[], ""), error_response(404, "NoSuchKey")]);
    let outcomes = delete_with(&[], &mut script, &["a\u{1}", "plain", "a\rb"]).unwrap();
    assert_eq!(kinds(&outcomes), [None, None, None]);
    assert_eq!(script.methods(), ["POST", "DELETE", "DELETE"]);
    assert_eq!(script.sent[1].request.path, "/demo/a%01");
}

#[test]
fn service_without_bulk_delete_gets_single_deletes() {
    for lacking in
        [error_response(501, "NotImplemented"), error_response(405, "MethodNotAllowed"), response(501, &[], "")]
    {
        let single = response(204, &[], "");
        let mut script = Script::new([lacking, single.clone(), single.clone(), single.clone()]);
        let mut store = store(&[]);
        let blobs = ["a", "b"].map(|key| BlobRef { key: key.into(), version: Some("v".into()) });
        for blobs in [&blobs[..], &blobs[..1]] {
            let outcomes = store.delete_many(&mut script, blobs, &DeleteManyOptions::default()).unwrap();
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }
        assert_eq!(script.methods(), ["POST", "DELETE", "DELETE", "DELETE"]);
        assert_eq!(script.sent[1].request.path_and_query(), "/demo/a?versionId=v");
    }
}

#[test]
fn invalid_entry_rejects_the_whole_delete_many() {
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases: [(&[&str], &str); 2] = [(&["a", ""], "key"), (&many, "blobs")];
    for (keys, subject) in cases {
        let failure = delete_with(&[], &mut Script::new([]), keys).unwrap_err();
        assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidArgument, Some(subject)));
    }
    let failure = delete_with(&[], &mut Script::new([error_response(404, "NoSuchBucket")]), &["a"]).unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(failure.message.starts_with("delete several blobs in bucket"), "{failure}");
    assert!(delete_with(&[], &mut Script::new([]), &[]).unwrap().is_empty());
}

#[test]
fn tags_are_set_and_read() {
    let tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    let mut script = Script::new([document(tagging), response(200, &[], ""), response(204, &[], "")]);
    let mut store = store(&[]);
    let options = TagOptions::default();
    let tags = store.tags(&mut script, "k", &options).unwrap();
    assert_eq!(tags, [("a".to_owned(), "1".to_owned())]);
    store.set_tags(&mut script, "k", &tags, &options).unwrap();
    store.set_tags(&mut script, "k", &[], &options).unwrap();
    assert_eq!(script.methods(), ["GET", "PUT", "DELETE"]);
    assert_eq!(script.sent[1].request.path_and_query(), "/demo/k?tagging=");
}

#[test]
fn bulk_delete_result_without_keys_falls_back_to_single_deletes() {
    for result in [document("<DeleteResult/>"), document(""), response(204, &[], ""), document("  \n")] {
        let mut store = store(&[]);
        let blobs = ["a", "b"].map(|key| BlobRef { key: key.into(), version: None });
        let single = response(204, &[], "");
        let mut script =
            Script::new([result, single.clone(), error_response(403, "AccessDenied"), single.clone(), single]);
        let outcomes = store.delete_many(&mut script, &blobs, &DeleteManyOptions::default()).unwrap();
        assert_eq!(kinds(&outcomes), [None, Some(Kind::AccessDenied)]);
        // Bulk delete is not attempted again.
        store.delete_many(&mut script, &blobs, &DeleteManyOptions::default()).unwrap();
        assert_eq!(script.methods(), ["POST", "DELETE", "DELETE", "DELETE", "DELETE"]);
    }
}

#[test]
fn listing_with_another_root_name_is_recognized() {
    let contents = "<Contents><Key>k</Key><Size>1</Size></Contents>";
    for root in ["ListObjectResult", "ListBucketV2Result", "Result", "ListBucketResponse"] {
        for inside in [contents, "<IsTruncated>false</IsTruncated>"] {
            let mut script = Script::new([document(&format!("<{root}>{inside}</{root}>"))]);
            let page = store(&[]).list(&mut script, &ListOptions::default()).unwrap();
            assert_eq!(page.entries.len(), usize::from(inside == contents), "{root}");
        }
    }
    for other in [
        "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
        "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>",
        "<html><body>Contents</body></html>",
        "<Result/>",
        "<DeleteResult><IsTruncated>false</IsTruncated></DeleteResult>",
    ] {
        let mut script = Script::new([document(other)]);
        let failure = store(&[("max-retries", "0")]).list(&mut script, &ListOptions::default()).unwrap_err();
        assert_eq!(failure.kind, Kind::Integrity, "{other}");
    }
}

#[test]
fn listing_pages_by_marker_on_services_of_version_1() {
    let mut store = store(&[("key-prefix", "p/"), ("max-retries", "0")]);
    let contents = |key: &str| format!("<Contents><Key>p/{key}</Key><Size>1</Size></Contents>");
    let cut = |inside: &str| page(&format!("<IsTruncated>true</IsTruncated>{inside}"));
    let mut script = Script::new([
        cut(&contents("a")),
        cut(&format!("{}<NextMarker>p/c+</NextMarker><EncodingType>url</EncodingType>", contents("b"))),
        // The service ignores the marker and repeats its first page.
        cut(&contents("a")),
    ]);
    let mut options = ListOptions::default();
    options.continuation = store.list(&mut script, &options).unwrap().next;
    options.continuation = store.list(&mut script, &options).unwrap().next;
    assert_eq!(store.list(&mut script, &options).unwrap_err().kind, Kind::Integrity);
    let parameters_of = |n: usize| {
        let query = &script.sent[n].request.query;
        let value = |name: &str| query.iter().find(|(there, _)| there == name).map(|(_, value)| value.clone());
        (value("marker"), value("start-after"))
    };
    assert_eq!(parameters_of(0), (None, None));
    assert_eq!(parameters_of(1), (Some("p/a".into()), Some("p/a".into())));
    assert_eq!(parameters_of(2), (Some("p/c ".into()), Some("p/c ".into())));
}

#[test]
fn keys_before_start_after_are_dropped_if_the_service_ignores_it() {
    let contents = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
    let folder = |key: &str| format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>");
    let all = ["a", "b", "b/x", "c"].map(contents).concat() + &["a/", "b/", "d/"].map(folder).concat();
    let options = ListOptions { start_after: Some("b/w".into()), ..ListOptions::default() };
    let listed = store(&[]).list(&mut Script::new([page(&all)]), &options).unwrap();
    let keys: Vec<_> = listed.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!((keys, listed.prefixes), (vec!["b/x", "c"], vec!["b/".to_owned(), "d/".to_owned()]));
}

#[test]
fn listed_dates_of_any_format_are_parsed_or_omitted() {
    for (date, second) in [
        ("Tue, 13 Mar 2018 17:25:04 GMT", Some(1_520_961_904)),
        ("2018-03-13T17:25:04", Some(1_520_961_904)),
        ("2018-03-13 17:25:04 +0000 UTC", Some(1_520_961_904)),
        ("0001-01-01T00:00:00Z", None),
        ("now", None),
    ] {
        let inside = format!("<Contents><Key>k</Key><Size>1</Size><LastModified>{date}</LastModified></Contents>");
        let listed = store(&[]).list(&mut Script::new([page(&inside)]), &ListOptions::default()).unwrap();
        assert_eq!(listed.entries[0].last_modified.map(|at| at.seconds), second, "{date}");
    }
}

#[test]
fn list_buckets_filters_by_prefix_if_the_service_ignores_it() {
    let buckets = "<Bucket><Name>a-1</Name></Bucket><Bucket><Name>b-1</Name></Bucket>";
    let page = format!("<ListAllMyBucketsResult><Buckets>{buckets}</Buckets></ListAllMyBucketsResult>");
    let mut script = Script::new([document(&page)]);
    let options = ListBucketsOptions { prefix: "b".into(), ..ListBucketsOptions::default() };
    let page = store(&[]).list_buckets(&mut script, &options).unwrap();
    assert_eq!(page.buckets.iter().map(|bucket| bucket.name.as_str()).collect::<Vec<_>>(), ["b-1"]);
    assert_eq!(script.sent[0].request.path_and_query(), "/?prefix=b");
}
