//! Streams of bodies, read or written by the caller.

use std::time::Duration;

use super::{digests, store, within};
use crate::ops::{S3, Store};
use sandbucket_plugin::checksum::{Algorithm, base64};
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{
    ByteRange, Digest, GetOptions, PartOptions, PutOptions, Span, WriteCondition, Written,
};
use sandbucket_plugin::io::{Writer, WrittenBody};
use sandbucket_plugin::testing::{Reaction, Script, error_response, reset, response, unreachable};

use sandbucket_plugin::testing::Pending;

/// The entity tag of `hello`.
const HELLO: &str = "\"5d41402abc4b2a76b9719d911017c592\"";

fn options() -> PutOptions {
    PutOptions { digests: digests(b"hello", &[Algorithm::Sha256]), ..PutOptions::default() }
}

fn done() -> Reaction {
    response(200, &[("etag", HELLO)], "")
}

fn begin(store: &mut Store, script: &mut Script, options: PutOptions) -> Writer<Pending, S3> {
    let mut writer = store.open_put(script, "k", 5, &options).unwrap();
    writer.body(store, script).unwrap();
    writer
}

/// Finishes an attempt of a put.
fn finish(
    store: &mut Store,
    script: &mut Script,
    writer: &mut Writer<Pending, S3>,
    sent: u64,
) -> Result<Written, Failure> {
    writer.finish(store, script, sent).map(|written| match written {
        WrittenBody::Blob(written) => written,
        WrittenBody::Part(part) => panic!("{part:?}"),
    })
}

/// Writes `hello`, with retries as permitted.
fn write(script: &mut Script, options: PutOptions) -> Result<Written, Failure> {
    let mut store = store(&[("max-retries", "1")]);
    let mut writing = begin(&mut store, script, options);
    loop {
        let failure = match finish(&mut store, script, &mut writing, 5) {
            Ok(written) => break Ok(written),
            Err(failure) => failure,
        };
        match writing.body(&mut store, script) {
            Ok(()) => {}
            Err(last) => {
                assert_eq!(last, failure, "the error is that of the last attempt");
                break Err(last);
            }
        }
    }
}

#[test]
fn put_is_signed_by_the_given_digest() {
    let mut script = Script::new([done()]);
    let written = write(&mut script, options()).unwrap();
    assert_eq!(written.etag.as_deref(), Some(HELLO));
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(script.sent[0].header("x-amz-content-sha256"), Some(hash));
    assert_eq!(script.sent[0].body, b"5", "the length is announced");
}

#[test]
fn missing_digest_fails_before_any_request() {
    let mut script = Script::new([]);
    let failure = store(&[]).open_put(&mut script, "k", 5, &PutOptions::default()).err().unwrap();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidArgument, Some("digests")));
    assert!(failure.message.contains("sha256"), "{}", failure.message);
    // Without payload signing no digest is needed.
    let mut script = Script::new([done()]);
    begin(&mut store(&[("payload-signing", "unsigned")]), &mut script, PutOptions::default());
    assert_eq!(script.sent[0].header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
}

#[test]
fn failed_put_is_retried_as_often_as_allowed() {
    for trouble in [reset(), error_response(503, "SlowDown"), response(500, &[], "")] {
        let mut script = Script::new([trouble.clone(), done()]);
        write(&mut script, options()).unwrap();
        assert_eq!((script.sent.len(), script.pauses.len()), (2, 1));
        let mut script = Script::new([trouble.clone(), trouble]);
        let failure = write(&mut script, options()).unwrap_err();
        assert!(failure.retryable && failure.attempts == 2, "{failure:?}");
        assert!(failure.message.contains("2 requests"), "{}", failure.message);
        assert!(script.done());
    }
    // A permanent error is not retried.
    let mut script = Script::new([error_response(403, "AccessDenied")]);
    assert_eq!(write(&mut script, options()).unwrap_err().kind, Kind::AccessDenied);
}

#[test]
fn unreachable_service_is_retried_before_the_body_is_requested() {
    let mut script = Script::new([unreachable(), done()]);
    write(&mut script, options()).unwrap();
    assert_eq!((script.sent.len(), script.pauses.len()), (2, 1));
}

#[test]
fn clock_skew_is_corrected() {
    let skewed = error_response(403, "RequestTimeTooSkewed").with("date", "Tue, 14 Nov 2023 23:13:20 GMT");
    let mut script = Script::new([skewed, done()]);
    write(&mut script, options()).unwrap();
    assert_eq!(script.sent[1].header("x-amz-date"), Some("20231114T231320Z"));
}

#[test]
fn response_to_a_truncated_body_is_returned() {
    let mut store = store(&[("max-retries", "0")]);
    let mut script = Script::new([error_response(403, "AccessDenied"), done()]);
    let mut writing = begin(&mut store, &mut script, options());
    assert_eq!(finish(&mut store, &mut script, &mut writing, 2).unwrap_err().kind, Kind::AccessDenied);
    // A success before the whole body was sent is an error.
    let mut writing = begin(&mut store, &mut script, options());
    assert_eq!(finish(&mut store, &mut script, &mut writing, 2).unwrap_err().kind, Kind::Network);
}

#[test]
fn time_spent_writing_the_body_does_not_count() {
    let mut store = store(&[]);
    let mut script = Script::new([reset(), done()]);
    let mut writing = begin(&mut store, &mut script, PutOptions { call: within(5), ..options() });
    for _ in 0..2 {
        script.pass(Duration::from_secs(60));
        if finish(&mut store, &mut script, &mut writing, 5).is_ok() {
            return;
        }
        writing.body(&mut store, &mut script).unwrap();
    }
    panic!("the second try is a success");
}

#[test]
fn lost_conditional_write_is_reconciled_by_its_id() {
    let mut options = PutOptions { condition: WriteCondition::IfAbsent, ..options() };
    options.call.attributes.push(("write-id".into(), "w-1".into()));
    for (id, kind) in [("w-1", None), ("w-2", Some(Kind::OutcomeUnknown))] {
        let date = "Tue, 14 Nov 2023 22:13:20 GMT";
        let there =
            response(200, &[("content-length", "5"), ("etag", HELLO), ("last-modified", date), ("date", date)], "");
        let there = there.with("x-amz-meta-sandbucket-write-id", id);
        let mut script = Script::new([reset(), error_response(412, "PreconditionFailed"), there]);
        assert_eq!(write(&mut script, options.clone()).err().map(|failure| failure.kind), kind, "{id}");
    }
}

#[test]
fn methods_out_of_order_are_invalid_arguments() {
    let mut store = store(&[]);
    let mut script = Script::new([done()]);
    let mut writing = begin(&mut store, &mut script, options());
    let early = writing.body(&mut store, &mut script).unwrap_err();
    assert_eq!((early.kind, early.attempts), (Kind::InvalidArgument, 0));
    finish(&mut store, &mut script, &mut writing, 5).unwrap();
    let twice = finish(&mut store, &mut script, &mut writing, 5).unwrap_err();
    assert_eq!((twice.kind, twice.attempts), (Kind::InvalidArgument, 0));
}

#[test]
fn open_get_returns_the_head_with_the_stream() {
    let sum = Algorithm::Crc32c.digest(b"hello");
    let whole = || response(200, &[("etag", HELLO), ("x-amz-checksum-crc32c", &base64(&sum))], "hello");
    let mut script = Script::new([reset(), whole()]);
    let (opened, body) = store(&[]).open_get(&mut script, "k", &GetOptions::default()).unwrap();
    assert_eq!((body.as_slice(), opened.info.size), (&b"hello"[..], 5));
    assert_eq!(opened.digest, Some(Digest { algorithm: Algorithm::Crc32c, value: sum.clone() }));
    assert_eq!((opened.range, opened.body_range), (Span { start: 0, end: 5 }, Span { start: 0, end: 5 }));

    // A range from a service with ranges; the checksum of the whole blob does not apply.
    let options = GetOptions { range: ByteRange::From(3), ..GetOptions::default() };
    let part = response(
        206,
        &[("etag", HELLO), ("content-range", "bytes 3-4/5"), ("x-amz-checksum-crc32c", &base64(&sum))],
        "lo",
    );
    let (opened, _) = store(&[]).open_get(&mut Script::new([part]), "k", &options).unwrap();
    assert_eq!(
        (opened.range, opened.body_range, opened.digest),
        (Span { start: 3, end: 5 }, Span { start: 3, end: 5 }, None)
    );

    // A range from a service without ranges.
    let (opened, _) = store(&[]).open_get(&mut Script::new([whole()]), "k", &options).unwrap();
    assert_eq!((opened.range, opened.body_range), (Span { start: 3, end: 5 }, Span { start: 0, end: 5 }));
    assert!(opened.digest.is_some());
}

#[test]
fn part_is_written_from_a_stream_and_retried() {
    let mut store = store(&[]);
    let mut script = Script::new([reset(), done()]);
    let part = PartOptions { digests: digests(b"hello", &[Algorithm::Sha256]), ..PartOptions::default() };
    let mut writer = store.open_part(&mut script, "k", "id", 7, 5, &part).unwrap();
    writer.body(&mut store, &mut script).unwrap();
    assert!(writer.finish(&mut store, &mut script, 5).unwrap_err().retryable);
    writer.body(&mut store, &mut script).unwrap();
    match writer.finish(&mut store, &mut script, 5).unwrap() {
        WrittenBody::Part(part) => assert_eq!((part.number, part.size, part.etag.as_str()), (7, 5, HELLO)),
        WrittenBody::Blob(written) => panic!("{written:?}"),
    }
    assert_eq!(script.sent[1].request.path_and_query(), "/demo/k?partNumber=7&uploadId=id");
}

#[test]
fn stream_is_requested_again_if_the_service_rejects_quoted_tags() {
    let condition = WriteCondition::IfMatch(HELLO.into());
    let there = response(200, &[("etag", HELLO), ("content-length", "5")], "");
    let mut script = Script::new([error_response(412, "PreconditionFailed"), there, done()]);
    write(&mut script, PutOptions { condition, ..options() }).unwrap();
    assert_eq!(script.methods(), ["PUT", "HEAD", "PUT"]);
    assert_eq!(script.sent[2].header("if-match"), Some(HELLO.trim_matches('"')));
}
