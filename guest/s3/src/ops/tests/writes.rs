use super::{store, within};
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{PutOptions, WriteCondition, Written};
use sandbucket_plugin::testing::{Reaction, Script, error_response, reset, response, unreachable};

/// The entity tag of `hello`.
const HELLO: &str = "\"5d41402abc4b2a76b9719d911017c592\"";

fn done(etag: &str) -> Reaction {
    response(200, &[("etag", etag)], "")
}

/// Response to a HEAD: five bytes with this tag, modified at 22:`written`; the service's clock shows 22:13:20.
fn there(etag: &str, written: &str) -> Reaction {
    let written = format!("Tue, 14 Nov 2023 22:{written} GMT");
    response(
        200,
        &[
            ("content-length", "5"),
            ("etag", etag),
            ("last-modified", &written),
            ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ],
        "",
    )
}

fn if_absent() -> PutOptions {
    PutOptions { condition: WriteCondition::IfAbsent, ..PutOptions::default() }
}

fn if_match(etag: &str) -> PutOptions {
    PutOptions { condition: WriteCondition::IfMatch(etag.into()), ..PutOptions::default() }
}

/// Writes `hello` with one retry.
fn put(script: &mut Script, options: &PutOptions) -> Result<Written, Failure> {
    let result = store(&[("max-retries", "1")]).put(script, "k", b"hello", options);
    assert!(script.done());
    result
}

#[test]
fn put_signs_its_body_over_http_and_returns_etag_and_version() {
    let mut script = Script::new([done(HELLO).with("x-amz-version-id", "v2")]);
    let written = put(&mut script, &PutOptions::default()).unwrap();
    assert_eq!(written, Written { etag: Some(HELLO.into()), version: Some("v2".into()) });
    assert_eq!(script.sent[0].body, b"hello");
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(script.sent[0].header("x-amz-content-sha256"), Some(hash));
}

#[test]
fn payload_signing_depends_on_scheme_and_setting() {
    for (endpoint, setting, unsigned) in [
        ("https://localhost:9000", "auto", true),
        ("https://localhost:9000", "signed", false),
        ("http://localhost:9000", "unsigned", true),
        ("http://localhost:9000", "auto", false),
    ] {
        let pairs = [
            ("bucket", "demo"),
            ("endpoint", endpoint),
            ("access-key", "ak"),
            ("secret-key", "sk"),
            ("payload-signing", setting),
        ]
        .map(|(name, value)| (name.to_string(), value.to_string()));
        let mut script = Script::new([done(HELLO)]);
        crate::ops::Store::open(&pairs, 1).unwrap().put(&mut script, "k", b"hello", &PutOptions::default()).unwrap();
        let is_unsigned = script.sent[0].header("x-amz-content-sha256") == Some("UNSIGNED-PAYLOAD");
        assert_eq!(is_unsigned, unsigned, "{endpoint} {setting}");
    }
}

#[test]
fn unconditional_put_is_retried_with_its_whole_body() {
    let mut script = Script::new([reset(), done(HELLO)]);
    put(&mut script, &PutOptions::default()).unwrap();
    assert_eq!(script.methods(), ["PUT", "PUT"]);
    assert_eq!(script.sent[1].body, b"hello");
    let mut script = Script::new([reset(), reset()]);
    let failure = put(&mut script, &PutOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (Kind::Network, true));
}

#[test]
fn successful_put_with_an_error_document_or_no_etag_is_retried() {
    for odd in [error_response(200, "InternalError").with("etag", HELLO), response(200, &[], "<html>proxy</html>")] {
        let mut script = Script::new([odd.clone(), done(HELLO)]);
        put(&mut script, &PutOptions::default()).unwrap();
        let mut script = Script::new([odd.clone(), odd]);
        assert_eq!(put(&mut script, &PutOptions::default()).unwrap_err().kind, Kind::Integrity);
    }
}

#[test]
fn failed_condition_is_not_retried() {
    for (options, looked) in [(if_absent(), None), (if_match("\"old\""), Some(there(HELLO, "00:00")))] {
        let mut script = Script::new([error_response(412, "PreconditionFailed")].into_iter().chain(looked));
        assert_eq!(put(&mut script, &options).unwrap_err().kind, Kind::PreconditionFailed);
    }
    // S3 reports a missing key if there is no blob to match.
    let mut script = Script::new([error_response(404, "NoSuchKey")]);
    assert_eq!(put(&mut script, &if_match("\"old\"")).unwrap_err().kind, Kind::PreconditionFailed);
    let mut script = Script::new([error_response(404, "NoSuchBucket")]);
    assert_eq!(put(&mut script, &if_match("\"old\"")).unwrap_err().kind, Kind::NotFound);
}

/// Options with a write id.
fn with_id(mut options: PutOptions) -> PutOptions {
    options.call.attributes.push(("write-id".into(), "w-1".into()));
    options
}

const ID: &str = "x-amz-meta-sandbucket-write-id";

#[test]
fn conditional_write_with_an_id_reconciles_a_lost_response() {
    for lost in [reset(), response(500, &[], ""), response(504, &[], "")] {
        for options in [if_absent(), if_match("\"old\"")] {
            let mut script = Script::new([
                lost.clone(),
                error_response(412, "PreconditionFailed"),
                there(HELLO, "13:20").with("x-amz-version-id", "v9").with(ID, "w-1"),
            ]);
            let written = put(&mut script, &with_id(options)).unwrap();
            assert_eq!(written, Written { etag: Some(HELLO.into()), version: Some("v9".into()) });
            assert_eq!(script.methods(), ["PUT", "PUT", "HEAD"]);
            assert!(script.sent[..2].iter().all(|sent| sent.header(ID) == Some("w-1")));
        }
    }
}

#[test]
fn identical_blob_of_another_writer_is_not_taken_for_the_own_write() {
    for (options, there) in [
        (if_absent(), there(HELLO, "13:20")),
        (if_match("\"old\""), there(HELLO, "13:20")),
        (with_id(if_absent()), there(HELLO, "13:20").with(ID, "w-2")),
        (with_id(if_absent()), there(HELLO, "13:20")),
    ] {
        let mut script = Script::new([reset(), error_response(412, "PreconditionFailed"), there]);
        let failure = put(&mut script, &options).unwrap_err();
        assert_eq!((failure.kind, failure.retryable), (Kind::OutcomeUnknown, false), "{failure}");
        assert!(failure.message.contains("write-id"), "{failure}");
    }
}

#[test]
fn lost_response_is_a_failed_precondition_if_the_blob_is_older() {
    for etag in ["\"other\"", HELLO] {
        let mut script = Script::new([reset(), error_response(412, "PreconditionFailed"), there(etag, "12:00")]);
        let failure = put(&mut script, &if_absent()).unwrap_err();
        assert_eq!(failure.kind, Kind::PreconditionFailed, "{failure}");
    }
    // A multipart blob has the date of its initiation, not of its completion.
    let mut script = Script::new([reset(), error_response(412, "PreconditionFailed"), there("\"other-2\"", "12:00")]);
    assert_eq!(put(&mut script, &if_absent()).unwrap_err().kind, Kind::OutcomeUnknown);
}

#[test]
fn unexplained_lost_response_is_an_unknown_outcome() {
    for looked in [
        there("\"other\"", "13:20"),
        response(200, &[("content-length", "6"), ("etag", HELLO)], ""),
        response(404, &[], ""),
        response(403, &[], ""),
    ] {
        let mut script = Script::new([reset(), error_response(412, "PreconditionFailed"), looked]);
        let failure = put(&mut script, &if_absent()).unwrap_err();
        assert_eq!((failure.kind, failure.retryable), (Kind::OutcomeUnknown, false), "{failure}");
        assert_eq!(failure.attempts, 3);
    }
}

#[test]
fn exhausted_retries_are_reconciled_by_a_head() {
    let put_resets = |looked: Reaction, options: &PutOptions| {
        put(&mut Script::new([reset(), reset(), looked]), options).map_err(|failure| failure.kind)
    };
    assert!(put_resets(there(HELLO, "13:20").with(ID, "w-1"), &with_id(if_absent())).is_ok());
    assert_eq!(put_resets(there(HELLO, "13:20"), &if_absent()), Err(Kind::OutcomeUnknown));
    assert_eq!(put_resets(there("\"other\"", "12:00"), &if_absent()), Err(Kind::PreconditionFailed));
    assert_eq!(put_resets(there("\"other\"", "13:20"), &if_absent()), Err(Kind::OutcomeUnknown));
    // Still no blob, or still the one to replace: the write was not applied and can be retried.
    assert_eq!(put_resets(response(404, &[], ""), &if_absent()), Err(Kind::Network));
    assert_eq!(put_resets(there("\"old\"", "12:00"), &if_match("old")), Err(Kind::Network));
    assert_eq!(put_resets(response(404, &[], ""), &if_match("\"old\"")), Err(Kind::OutcomeUnknown));
}

#[test]
fn timed_out_conditional_put_has_an_unknown_outcome() {
    let slow = || done(HELLO).slow(1000);
    for looked in [response(404, &[], ""), there("\"old\"", "12:00")] {
        let options = if looked.status() == Some(404) { if_absent() } else { if_match("\"old\"") };
        let failure = put(&mut Script::new([slow(), slow(), looked]), &options).unwrap_err();
        assert_eq!(failure.kind, Kind::OutcomeUnknown, "{failure}");
    }
}

#[test]
fn write_id_is_validated_and_conflicts_with_its_metadata() {
    for id in ["", "a b", "\u{e9}", "=?UTF-8?Q?a?=", &"a".repeat(129)] {
        let mut options = if_absent();
        options.call.attributes.push(("write-id".into(), id.into()));
        let failure = put(&mut Script::new([]), &options).unwrap_err();
        assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidArgument, Some("write-id")));
    }
    let mut options = with_id(if_absent());
    options.metadata.push(("Sandbucket-Write-Id".into(), "x".into()));
    assert_eq!(put(&mut Script::new([]), &options).unwrap_err().subject.as_deref(), Some("write-id"));
}

#[test]
fn unsent_or_throttled_conditional_put_is_not_reconciled() {
    for step in [unreachable(), error_response(503, "SlowDown"), response(429, &[], "")] {
        let mut script = Script::new([step.clone(), error_response(412, "PreconditionFailed")]);
        assert_eq!(put(&mut script, &if_absent()).unwrap_err().kind, Kind::PreconditionFailed);
        let mut script = Script::new([step.clone(), step]);
        assert!(matches!(put(&mut script, &if_absent()).unwrap_err().kind, Kind::Network | Kind::Throttled));
    }
}

#[test]
fn conflict_is_retried() {
    let mut script = Script::new([error_response(409, "ConditionalRequestConflict"), done(HELLO)]);
    put(&mut script, &if_absent()).unwrap();
    let conflict = error_response(409, "ConditionalRequestConflict");
    let mut script = Script::new([conflict.clone(), conflict]);
    let failure = put(&mut script, &if_absent()).unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (Kind::Conflict, true));
}

#[test]
fn verify_after_write_repeats_head_until_the_blob_exists() {
    let there = || response(200, &[("content-length", "5"), ("etag", HELLO)], "");
    let stale = || response(200, &[("content-length", "9"), ("etag", "\"old\"")], "");
    let mut store = store(&[("verify-after-write", "true")]);
    let mut script = Script::new([done(HELLO), response(404, &[], ""), stale(), there()]);
    store.put(&mut script, "k", b"hello", &PutOptions::default()).unwrap();
    assert_eq!(script.methods(), ["PUT", "HEAD", "HEAD", "HEAD"]);
    // In a versioned bucket the HEAD names the written version.
    let mut script = Script::new([done(HELLO).with("x-amz-version-id", "v3"), there()]);
    store.put(&mut script, "k", b"hello", &PutOptions::default()).unwrap();
    assert_eq!(script.sent[1].request.query, [("versionId".into(), "v3".to_string())]);
    // The verification ends with the retries.
    let mut script = Script::new([vec![done(HELLO)], vec![response(404, &[], ""); 8]].concat());
    let failure = store.put(&mut script, "k", b"hello", &PutOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.retryable, failure.attempts), (Kind::Integrity, true, 9));
    assert!(failure.message.contains("not there"), "{failure}");
}

#[test]
fn put_ends_at_its_time_limit() {
    let mut script = Script::new([done(HELLO).slow(100)]);
    let options = PutOptions { call: within(3), ..PutOptions::default() };
    let failure = put(&mut script, &options).unwrap_err();
    assert_eq!((failure.kind, script.elapsed().as_secs()), (Kind::Timeout, 3));
    // A conditional write cannot be reconciled in the remaining time.
    let mut script = Script::new([done(HELLO).slow(100)]);
    let options = PutOptions { call: within(3), ..if_absent() };
    assert_eq!(put(&mut script, &options).unwrap_err().kind, Kind::OutcomeUnknown);
}

#[test]
fn put_response_without_etag_succeeds_unless_it_has_a_body() {
    let written = put(&mut Script::new([response(200, &[], "")]), &PutOptions::default()).unwrap();
    assert_eq!(written, Written::default());
    let page = || response(200, &[], "<html>login</html>");
    assert_eq!(put(&mut Script::new([page(), page()]), &PutOptions::default()).unwrap_err().kind, Kind::Integrity);
    // The blob is then compared by its size.
    let mut store = store(&[("verify-after-write", "true")]);
    let mut script = Script::new([response(200, &[], ""), there(HELLO, "13:20")]);
    store.put(&mut script, "k", b"hello", &PutOptions::default()).unwrap();
}

#[test]
fn if_match_is_retried_without_quotes_if_the_service_rejects_them() {
    let unmet = || error_response(412, "PreconditionFailed");
    let mut store = store(&[]);
    let mut script = Script::new([unmet(), there(HELLO, "00:00"), done("\"new\""), done("\"newer\"")]);
    let written = store.put(&mut script, "k", b"other", &if_match(HELLO)).unwrap();
    assert_eq!(written.etag.as_deref(), Some("\"new\""));
    store.put(&mut script, "k", b"more", &if_match("\"new\"")).unwrap();
    assert_eq!(script.methods(), ["PUT", "HEAD", "PUT", "PUT"]);
    assert_eq!(script.sent[0].header("if-match"), Some(HELLO));
    assert_eq!(script.sent[2].header("if-match"), Some(HELLO.trim_matches('"')));
    assert_eq!(script.sent[3].header("if-match"), Some("new"));
    // If the condition fails again, the store restores the quotes.
    let mut script = Script::new([unmet(), done(HELLO)]);
    assert_eq!(store.put(&mut script, "k", b"x", &if_match("\"e\"")).unwrap_err().kind, Kind::PreconditionFailed);
    store.put(&mut script, "k", b"x", &if_match("\"e\"")).unwrap();
    assert_eq!(script.sent[1].header("if-match"), Some("\"e\""));
}

#[test]
fn if_match_on_aws_always_has_quotes() {
    let aws = store(&[("endpoint", "")]).put(
        &mut Script::new([error_response(412, "PreconditionFailed")]),
        "k",
        b"x",
        &if_match(HELLO),
    );
    assert_eq!(aws.unwrap_err().kind, Kind::PreconditionFailed);
}

#[test]
fn failed_if_match_is_not_retried_without_quotes() {
    let unmet = || error_response(412, "PreconditionFailed");
    for found in [there("\"other\"", "00:00"), error_response(404, "NoSuchKey"), error_response(403, "AccessDenied")] {
        let failure = put(&mut Script::new([unmet(), found]), &if_match(HELLO)).unwrap_err();
        assert_eq!(failure.kind, Kind::PreconditionFailed);
    }
    // A tag without quotes is not retried.
    let failure = put(&mut Script::new([unmet()]), &if_match("bare")).unwrap_err();
    assert_eq!(failure.kind, Kind::PreconditionFailed);
}

#[test]
fn weak_tag_is_never_sent_in_if_match_of_a_write() {
    let mut script = Script::new([done(HELLO)]);
    put(&mut script, &if_match("W/\"a\"")).unwrap();
    assert_eq!(script.sent[0].header("if-match"), Some("\"a\""));
}
