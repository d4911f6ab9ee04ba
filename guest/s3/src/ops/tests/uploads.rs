//! Multipart uploads, copies and presigned requests.

use super::{store, within};
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{
    AbortOptions, CallOptions, CompleteOptions, CopyOptions, CopyPartOptions, CopySource, Part, PartOptions,
    PresignOptions, PresignedMethod, Properties, PutOptions, Span, WriteCondition, Written,
};
use sandbucket_plugin::testing::{Reaction, Script, error_response, reset, response};

/// MD5s of `hello` and `world`.
const HELLO: &str = "\"5d41402abc4b2a76b9719d911017c592\"";
const WORLD: &str = "\"7d793037a0760186574b0282f2f435e7\"";
/// Entity tag of a blob of two other parts.
const OTHERS: &str = "\"a9d3fb1b6ba4e0c9a0a3b4d1d2b7f4c1-2\"";

fn document(text: &str) -> Reaction {
    response(200, &[], text)
}

fn completed() -> Reaction {
    document("<CompleteMultipartUploadResult><ETag>\"done-2\"</ETag></CompleteMultipartUploadResult>")
}

fn late(code: &str) -> Reaction {
    document(&format!("  \n <Error><Code>{code}</Code></Error>"))
}

fn there(etag: &str) -> Reaction {
    response(200, &[("content-length", "10"), ("etag", etag)], "")
}

fn parts() -> Vec<Part> {
    let part = |number, etag: &str| Part { number, size: 5, etag: etag.into(), ..Part::default() };
    vec![part(1, HELLO), part(2, WORLD)]
}

/// Entity tag of a blob of [`parts`], computed independently.
fn both() -> String {
    use md5::{Digest, Md5};
    let sums = [Md5::digest(b"hello"), Md5::digest(b"world")].concat();
    let sum: String = Md5::digest(sums).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{sum}-2\"")
}

fn complete(script: &mut Script, condition: WriteCondition) -> Result<Written, Failure> {
    let options = CompleteOptions { condition, ..CompleteOptions::default() };
    let done = store(&[("max-retries", "1")]).complete_upload(script, "k", "u", &parts(), &options);
    assert!(script.done());
    done
}

#[test]
fn upload_is_created_filled_and_aborted() {
    let id = "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>";
    let mut script = Script::new([document(id), response(200, &[("etag", HELLO)], ""), response(204, &[], "")]);
    let mut store = store(&[("checksum", "crc32c")]);
    let id = store.create_upload(&mut script, "k", &PutOptions::default()).unwrap();
    assert_eq!(id, "u/1");
    let part = store.upload_part(&mut script, "k", &id, 3, b"hello", &PartOptions::default()).unwrap();
    assert_eq!((part.number, part.size, part.etag.as_str()), (3, 5, HELLO));
    let sum = script.sent[1].header("x-amz-checksum-crc32c").unwrap().to_owned();
    assert_eq!(part.attributes, [("checksum-crc32c".to_owned(), sum)]);
    store.abort_upload(&mut script, "k", &id, &AbortOptions::default()).unwrap();
    assert_eq!(script.methods(), ["POST", "PUT", "DELETE"]);
}

#[test]
fn error_document_in_a_successful_completion_is_retried() {
    let mut script = Script::new([late("InternalError"), completed().with("x-amz-version-id", "v")]);
    let written = complete(&mut script, WriteCondition::Always).unwrap();
    assert_eq!(written, Written { etag: Some("\"done-2\"".into()), version: Some("v".into()) });
    let mut script = Script::new([late("AccessDenied")]);
    assert_eq!(complete(&mut script, WriteCondition::Always).unwrap_err().kind, Kind::AccessDenied);
    let mut script = Script::new([document("  "), completed()]);
    assert!(complete(&mut script, WriteCondition::Always).is_ok());
}

fn absent() -> Reaction {
    response(404, &[], "")
}

/// Response: the upload still exists.
fn open() -> Reaction {
    document(
        "<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>\"e\"</ETag><Size>5</Size></Part></ListPartsResult>",
    )
}

#[test]
fn completion_reconciles_lost_response_by_upload_and_parts() {
    let gone = || error_response(404, "NoSuchUpload");
    let old = |step: Reaction| {
        step.with("last-modified", "Tue, 14 Nov 2000 22:13:20 GMT").with("date", "Tue, 14 Nov 2023 22:13:20 GMT")
    };
    // The condition is checked before. The date of the blob may be that of the upload's initiation.
    for (condition, requests, methods) in [
        (WriteCondition::Always, vec![reset(), gone()], vec!["POST", "POST", "HEAD"]),
        (WriteCondition::Always, vec![reset(), reset(), gone()], vec!["POST", "POST", "GET", "HEAD"]),
        (WriteCondition::IfAbsent, vec![absent(), reset(), gone()], vec!["HEAD", "POST", "POST", "HEAD"]),
        (
            WriteCondition::IfAbsent,
            vec![absent(), reset(), error_response(412, "PreconditionFailed"), gone()],
            vec!["HEAD", "POST", "POST", "GET", "HEAD"],
        ),
    ] {
        let mut script = Script::new(requests.into_iter().chain([old(there(&both()))]));
        assert_eq!(complete(&mut script, condition).unwrap().etag, Some(both()));
        assert_eq!(script.methods(), methods);
    }
    // Another blob exists, or none.
    for looked in [there("\"another-2\""), there(OTHERS), absent()] {
        let mut script = Script::new([reset(), gone(), looked]);
        assert_eq!(complete(&mut script, WriteCondition::Always).unwrap_err().kind, Kind::OutcomeUnknown);
    }
    // Another writer's blob of the same parts: the own upload still exists.
    let mut script = Script::new([absent(), reset(), error_response(412, "PreconditionFailed"), open()]);
    assert_eq!(complete(&mut script, WriteCondition::IfAbsent).unwrap_err().kind, Kind::PreconditionFailed);
    // The completion can be retried; or the outcome is unknown.
    for (looked, retryable) in
        [(vec![open()], true), (vec![error_response(403, "AccessDenied"), there(&both())], false)]
    {
        let mut script = Script::new([reset(), reset()].into_iter().chain(looked));
        let failure = complete(&mut script, WriteCondition::Always).unwrap_err();
        assert_eq!((failure.kind, failure.retryable), (Kind::OutcomeUnknown, retryable), "{failure}");
    }
}

#[test]
fn completion_has_its_own_timeout_and_is_not_retried_after_it() {
    let mut script = Script::new([completed().slow(250)]);
    complete(&mut script, WriteCondition::Always).unwrap();
    let mut script = Script::new([completed().slow(1000), open()]);
    let options = CompleteOptions { call: within(2000), ..CompleteOptions::default() };
    let failure = store(&[]).complete_upload(&mut script, "k", "u", &parts(), &options).unwrap_err();
    assert_eq!((failure.kind, script.methods()), (Kind::OutcomeUnknown, vec!["POST", "GET"]), "{failure}");
    assert!((299..302).contains(&script.elapsed().as_secs()), "{:?}", script.elapsed());
    // The setting applies; the request that reconciles has the usual timeout.
    let mut script = Script::new([completed().slow(1000), open().slow(1000), open().slow(1000), there(&both())]);
    let mut store = store(&[("completion-timeout", "45s"), ("timeout", "10s"), ("max-retries", "1")]);
    let failure = store.complete_upload(&mut script, "k", "u", &parts(), &options).unwrap_err();
    assert_eq!(failure.kind, Kind::OutcomeUnknown);
    assert!((65..70).contains(&script.elapsed().as_secs()), "{:?}", script.elapsed());
    assert!(script.done());
}

#[test]
fn copy_has_the_completion_timeout_and_an_unknown_outcome_after_it() {
    for condition in [WriteCondition::Always, WriteCondition::IfAbsent] {
        let look = || (condition != WriteCondition::Always).then(absent);
        let mut script = Script::new(look().into_iter().chain([copied(HELLO).slow(150)]));
        copy(&mut script, condition.clone()).unwrap();
        let mut script = Script::new(look().into_iter().chain([copied(HELLO).slow(1000)]).chain(look()));
        let options = CopyOptions { condition: condition.clone(), call: within(2000), ..CopyOptions::default() };
        let failure = store(&[]).copy(&mut script, &from("from"), "to", &options).unwrap_err();
        assert_eq!(failure.kind, Kind::OutcomeUnknown, "{failure}");
        assert_eq!(script.methods().iter().filter(|method| **method == "PUT").count(), 1);
        assert!(failure.message.contains("read the key before"), "{failure}");
    }
    // Copying a part is idempotent: it is retried.
    let part = || document("<CopyPartResult><ETag>\"e\"</ETag></CopyPartResult>");
    let mut script = Script::new([part().slow(1000), part()]);
    let options =
        CopyPartOptions { range: Some(Span { start: 5, end: 9 }), call: within(2000), ..CopyPartOptions::default() };
    store(&[]).copy_part(&mut script, "k", "u", 1, &from("from"), &options).unwrap();
    assert_eq!(script.sent.len(), 2);
}

#[test]
fn condition_of_a_completion_or_copy_is_checked_by_a_head_before() {
    for (condition, looked, kind) in [
        (WriteCondition::IfAbsent, there(HELLO), Some(Kind::PreconditionFailed)),
        (WriteCondition::IfAbsent, absent(), None),
        (WriteCondition::IfMatch(HELLO.into()), absent(), Some(Kind::PreconditionFailed)),
        (WriteCondition::IfMatch(HELLO.into()), there(WORLD), Some(Kind::PreconditionFailed)),
        (WriteCondition::IfMatch(HELLO.into()), there(HELLO), None),
        (WriteCondition::IfMatch(HELLO.trim_matches('"').into()), there(HELLO), None),
        // The service then checks the condition.
        (WriteCondition::IfAbsent, response(403, &[], ""), None),
        (WriteCondition::IfAbsent, response(400, &[], ""), None),
    ] {
        let mut script = Script::new([looked.clone()].into_iter().chain(kind.is_none().then(completed)));
        assert_eq!(complete(&mut script, condition.clone()).err().map(|failure| failure.kind), kind);
        let mut script = Script::new([looked].into_iter().chain(kind.is_none().then(|| copied(HELLO))));
        assert_eq!(copy(&mut script, condition).err().map(|failure| failure.kind), kind);
        assert_eq!(script.sent[0].request.path, "/demo/p/to");
    }
}

#[test]
fn missing_upload_is_not_found() {
    let failure =
        complete(&mut Script::new([error_response(404, "NoSuchUpload")]), WriteCondition::Always).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::NotFound, 1));
    assert!(failure.message.contains("no such upload"), "{failure}");
    let mut script = Script::new([error_response(404, "NoSuchUpload")]);
    store(&[]).abort_upload(&mut script, "k", "u", &AbortOptions::default()).unwrap();
}

fn from(key: &str) -> CopySource {
    CopySource { key: key.into(), ..CopySource::default() }
}

fn copied(etag: &str) -> Reaction {
    document(&format!("<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>"))
}

fn copy(script: &mut Script, condition: WriteCondition) -> Result<Written, Failure> {
    let options = CopyOptions { condition, ..CopyOptions::default() };
    let done = store(&[("max-retries", "1"), ("key-prefix", "p/")]).copy(script, &from("from"), "to", &options);
    assert!(script.done());
    done
}

#[test]
fn copy_applies_the_key_prefix_to_both_keys() {
    let mut script = Script::new([copied(HELLO)]);
    assert_eq!(copy(&mut script, WriteCondition::Always).unwrap().etag.as_deref(), Some(HELLO));
    assert_eq!(script.sent[0].request.path, "/demo/p/to");
    assert_eq!(script.sent[0].header("x-amz-copy-source"), Some("demo/p/from"));
    let refused = store(&[]).copy(&mut Script::new([]), &from(""), "to", &CopyOptions::default()).unwrap_err();
    assert_eq!((refused.kind, refused.subject.as_deref()), (Kind::InvalidArgument, Some("source")));
}

#[test]
fn errors_of_a_copy_have_distinct_kinds() {
    let mut script = Script::new([late("InternalError"), copied(HELLO)]);
    assert!(copy(&mut script, WriteCondition::Always).is_ok());
    let large = "<Error><Code>InvalidRequest</Code><Message>The specified copy source is larger than the maximum \
                 allowable size for a copy source: 5368709120</Message></Error>";
    for (step, kind) in [
        (response(400, &[], large), Kind::TooLarge),
        (error_response(400, "EntityTooLarge"), Kind::TooLarge),
        (error_response(412, "PreconditionFailed"), Kind::PreconditionFailed),
        (response(304, &[], ""), Kind::PreconditionFailed),
        (error_response(404, "NoSuchKey"), Kind::NotFound),
    ] {
        assert_eq!(copy(&mut Script::new([step]), WriteCondition::Always).unwrap_err().kind, kind);
    }
}

#[test]
fn source_too_large_is_detected_by_its_size_if_the_error_is_unspecific() {
    let sized = |size: &str| response(200, &[("content-length", size), ("etag", HELLO)], "");
    for (looked, kind) in [
        (sized("5368709121"), Kind::TooLarge),
        (sized("5368709120"), Kind::Service),
        (response(404, &[], ""), Kind::Service),
    ] {
        let mut script = Script::new([error_response(400, "InvalidRequest"), looked]);
        let failure = copy(&mut script, WriteCondition::Always).unwrap_err();
        assert_eq!((failure.kind, failure.code()), (kind, Some("InvalidRequest")));
        assert_eq!(script.sent[1].request.path, "/demo/p/from");
    }
}

#[test]
fn copy_is_verified_after_write() {
    let mut store = store(&[("verify-after-write", "true")]);
    let mut copied_as = |tag: &str, looks: Vec<Reaction>| {
        let mut script = Script::new([vec![copied(tag)], looks].concat());
        let done = store.copy(&mut script, &from("from"), "to", &CopyOptions::default());
        assert!(script.done() && script.sent[1..].iter().all(|sent| sent.request.path == "/demo/to"));
        done
    };
    let stale = || there(WORLD);
    copied_as(HELLO, vec![response(404, &[], ""), stale(), there(HELLO)]).unwrap();
    // Some services omit the quotes of a tag in a document.
    copied_as(HELLO.trim_matches('"'), vec![there(HELLO)]).unwrap();
    let failure = copied_as(HELLO, vec![stale(); 8]).unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (Kind::Integrity, true), "{failure}");
}

#[test]
fn completion_with_unknown_part_sizes_is_verified_by_its_tag() {
    let mut parts = parts();
    let mut store = store(&[("verify-after-write", "true")]);
    for size in [5, 0] {
        parts[0].size = size;
        let mut script = Script::new([completed(), there("\"done-2\"")]);
        store.complete_upload(&mut script, "k", "u", &parts, &CompleteOptions::default()).unwrap();
    }
}

#[test]
fn conditional_copy_reconciles_lost_response_by_its_id_only() {
    let refused = error_response(412, "PreconditionFailed");
    let mut script = Script::new([absent(), reset(), refused.clone(), there(HELLO)]);
    assert_eq!(copy(&mut script, WriteCondition::IfAbsent).unwrap_err().kind, Kind::OutcomeUnknown);
    assert_eq!(script.sent[3].request.path, "/demo/p/to");
    let mut options = CopyOptions {
        condition: WriteCondition::IfAbsent,
        properties: Some(Properties::default()),
        ..CopyOptions::default()
    };
    options.call.attributes.push(("write-id".into(), "w-1".into()));
    let ours = there(HELLO).with("x-amz-meta-sandbucket-write-id", "w-1");
    let mut script = Script::new([absent(), reset(), refused.clone(), ours]);
    let written = store(&[("max-retries", "1")]).copy(&mut script, &from("from"), "to", &options).unwrap();
    assert_eq!(written.etag.as_deref(), Some(HELLO));
    // The service keeps the source's metadata, without the write id.
    options.properties = None;
    let failure = store(&[]).copy(&mut Script::new([]), &from("from"), "to", &options).unwrap_err();
    assert_eq!(failure.subject.as_deref(), Some("write-id"));
    let mut script = Script::new([absent(), refused]);
    assert_eq!(copy(&mut script, WriteCondition::IfAbsent).unwrap_err().kind, Kind::PreconditionFailed);
}

#[test]
fn copied_part_has_its_size() {
    let result = document("<CopyPartResult><ETag>\"e\"</ETag><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></CopyPartResult>");
    let mut options = CopyPartOptions { range: Some(Span { start: 5, end: 9 }), ..CopyPartOptions::default() };
    let mut script = Script::new([result.clone(), result, there("\"e\"")]);
    let mut store = store(&[]);
    let part = store.copy_part(&mut script, "k", "u", 1, &from("from"), &options).unwrap();
    assert_eq!((part.size, part.etag.as_str()), (4, "\"e\""));
    assert_eq!(part.attributes, [("checksum-crc32".to_owned(), "y/Q5Jg==".to_owned())]);
    options.range = None;
    let part = store.copy_part(&mut script, "k", "u", 1, &from("from"), &options).unwrap();
    assert_eq!((part.size, script.methods()), (10, vec!["PUT", "PUT", "HEAD"]));
}

#[test]
fn head_of_a_write_sends_its_customer_key() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let call = CallOptions { attributes: vec![("sse-customer-key".into(), key.into())], ..CallOptions::default() };
    let options = PutOptions { condition: WriteCondition::IfAbsent, call, ..PutOptions::default() };
    let mut script = Script::new([reset(), error_response(412, "PreconditionFailed"), there(HELLO)]);
    let _ = store(&[("allow-insecure-sse-customer-key", "true")]).put(&mut script, "k", b"hello", &options);
    assert_eq!(script.sent[2].header("x-amz-server-side-encryption-customer-key"), Some(key));
}

#[test]
fn presigned_url_uses_the_corrected_clock_and_needs_credentials() {
    let options = PresignOptions { expires: 60_000_000_000, ..PresignOptions::default() };
    let mut script = Script::new([]);
    let url = store(&[]).presign(&mut script, PresignedMethod::Get, "a b", &options).unwrap().url;
    assert!(url.starts_with("http://localhost:9000/demo/a%20b?X-Amz-Algorithm=AWS4-HMAC-SHA256&"), "{url}");
    assert!(url.contains("&X-Amz-Date=20231114T221320Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="));
    let anonymous = [("access-key", ""), ("secret-key", ""), ("bucket", "demo"), ("endpoint", "localhost")];
    let pairs = anonymous.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut store = crate::ops::Store::open(&pairs, 1).unwrap();
    let failure = store.presign(&mut script, PresignedMethod::Get, "k", &options).unwrap_err();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::Unsupported, Some("access-key")));
}

#[test]
fn completion_without_entity_tag_is_followed_by_a_head() {
    let tagless = || document("<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>");
    for (looked, etag) in [
        (there(&both()), Some(both())),
        // A blob of another writer, or without a tag.
        (there(OTHERS), None),
        (absent(), None),
    ] {
        let mut script = Script::new([tagless(), looked]);
        assert_eq!(complete(&mut script, WriteCondition::Always).unwrap().etag, etag);
    }
}

#[test]
fn parts_without_md5_tags_are_matched_by_size_and_number() {
    let mut odd = parts();
    odd[0].etag = "\"opaque\"".into();
    let there = |etag: &str, size: &str| response(200, &[("content-length", size), ("etag", etag)], "");
    let kms = |step: Reaction| step.with("x-amz-server-side-encryption", "aws:kms");
    for (parts, looked, ours) in [
        (odd.clone(), there(OTHERS, "10"), true),
        (odd.clone(), there(OTHERS, "11"), false),
        (odd, there("\"a9d3fb1b6ba4e0c9a0a3b4d1d2b7f4c1-3\"", "10"), false),
        (parts(), kms(there(OTHERS, "10")), true),
        (parts(), kms(there(OTHERS, "11")), false),
        (parts(), there(OTHERS, "10"), false),
    ] {
        let mut script = Script::new([reset(), error_response(404, "NoSuchUpload"), looked]);
        let done = store(&[]).complete_upload(&mut script, "k", "u", &parts, &CompleteOptions::default());
        assert_eq!(done.map_err(|failure| failure.kind).err(), (!ours).then_some(Kind::OutcomeUnknown));
    }
}
