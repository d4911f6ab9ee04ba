//! Bodies that go past the plugin.

use std::time::Duration;

use super::script::{Script, Step, answer, refusal, reset, unreachable};
use super::{digests, store, within};
use crate::checksum::{Algorithm, base64};
use crate::error::{Failure, Kind};
use crate::model::{ByteRange, Digest, ReadOptions, Span, WriteCondition, WriteOptions, Written};
use crate::store::{Store, Writing, nothing_to};

use super::script::Pending;

/// The entity tag of `hello`.
const HELLO: &str = "\"5d41402abc4b2a76b9719d911017c592\"";

fn options() -> WriteOptions {
    WriteOptions { digests: digests(b"hello", &[Algorithm::Sha256]), ..WriteOptions::default() }
}

fn done() -> Step {
    answer(200, &[("etag", HELLO)], "")
}

fn begin(store: &mut Store, script: &mut Script, options: WriteOptions) -> Writing<Pending> {
    let (writing, ()) = store.open_write(script, "k", 5, options).unwrap();
    writing
}

/// Writes `hello`, again as often as may be, with one retry.
fn write(script: &mut Script, options: WriteOptions) -> Result<Written, Failure> {
    let mut store = store(&[("max-retries", "1")]);
    let mut writing = begin(&mut store, script, options);
    loop {
        let failure = match store.finish_write(script, &mut writing, 5) {
            Ok(written) => break Ok(written),
            Err(failure) => failure,
        };
        match store.again(script, &mut writing) {
            Ok(()) => {}
            Err(last) => {
                assert_eq!(last, failure, "the last word is that of the last try");
                break Err(last);
            }
        }
    }
}

#[test]
fn a_write_is_signed_by_the_digest_it_is_given() {
    let mut script = Script::new([done()]);
    let written = write(&mut script, options()).unwrap();
    assert_eq!(written.etag.as_deref(), Some(HELLO));
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(script.sent[0].header("x-amz-content-sha256"), Some(hash));
    assert_eq!(script.sent[0].body, b"5", "the length is announced");
}

#[test]
fn a_digest_that_is_missing_is_told_before_anything_is_sent() {
    let mut script = Script::new([]);
    let failure = store(&[]).open_write(&mut script, "k", 5, WriteOptions::default()).err().unwrap();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidArgument, Some("digests")));
    assert!(failure.message.contains("sha256"), "{}", failure.message);
    // Where nothing is signed of bodies, none is wanted.
    let mut script = Script::new([done()]);
    store(&[("payload-signing", "unsigned")]).open_write(&mut script, "k", 5, WriteOptions::default()).unwrap();
    assert_eq!(script.sent[0].header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
}

#[test]
fn a_write_that_failed_is_begun_again_as_often_as_tries_allow() {
    for trouble in [reset(), refusal(503, "SlowDown"), answer(500, &[], "")] {
        let mut script = Script::new([trouble.clone(), done()]);
        write(&mut script, options()).unwrap();
        assert_eq!((script.sent.len(), script.pauses.len()), (2, 1));
        let mut script = Script::new([trouble.clone(), trouble]);
        let failure = write(&mut script, options()).unwrap_err();
        assert!(failure.retryable && failure.attempts == 2, "{failure:?}");
        assert!(failure.message.contains("2 requests"), "{}", failure.message);
        assert!(script.done());
    }
    // What is final has no next try.
    let mut script = Script::new([refusal(403, "AccessDenied")]);
    assert_eq!(write(&mut script, options()).unwrap_err().kind, Kind::AccessDenied);
}

#[test]
fn what_cannot_be_reached_is_tried_again_before_a_body_is_asked_for() {
    let mut script = Script::new([unreachable(), done()]);
    write(&mut script, options()).unwrap();
    assert_eq!((script.sent.len(), script.pauses.len()), (2, 1));
}

#[test]
fn the_clock_is_corrected_here_too() {
    let skewed = refusal(403, "RequestTimeTooSkewed").with("date", "Tue, 14 Nov 2023 23:13:20 GMT");
    let mut script = Script::new([skewed, done()]);
    write(&mut script, options()).unwrap();
    assert_eq!(script.sent[1].header("x-amz-date"), Some("20231114T231320Z"));
}

#[test]
fn a_body_that_broke_off_is_explained_by_the_answer() {
    let mut store = store(&[("max-retries", "0")]);
    let mut script = Script::new([refusal(403, "AccessDenied"), done()]);
    let mut writing = begin(&mut store, &mut script, options());
    assert_eq!(store.finish_write(&mut script, &mut writing, 2).unwrap_err().kind, Kind::AccessDenied);
    // A success that the service cannot have meant is none.
    let mut writing = begin(&mut store, &mut script, options());
    assert_eq!(store.finish_write(&mut script, &mut writing, 2).unwrap_err().kind, Kind::Network);
}

#[test]
fn the_time_it_takes_to_write_the_body_does_not_count() {
    let mut store = store(&[]);
    let mut script = Script::new([reset(), done()]);
    let mut writing = begin(&mut store, &mut script, WriteOptions { call: within(5), ..options() });
    for _ in 0..2 {
        script.pass(Duration::from_secs(60));
        if store.finish_write(&mut script, &mut writing, 5).is_ok() {
            return;
        }
        store.again(&mut script, &mut writing).unwrap();
    }
    panic!("the second try is a success");
}

#[test]
fn lost_conditional_write_is_reconciled_by_its_id() {
    let mut options = WriteOptions { condition: WriteCondition::IfAbsent, ..options() };
    options.call.attributes.push(("write-id".into(), "w-1".into()));
    for (id, kind) in [("w-1", None), ("w-2", Some(Kind::OutcomeUnknown))] {
        let date = "Tue, 14 Nov 2023 22:13:20 GMT";
        let there =
            answer(200, &[("content-length", "5"), ("etag", HELLO), ("last-modified", date), ("date", date)], "");
        let there = there.with("x-amz-meta-sandbucket-write-id", id);
        let mut script = Script::new([reset(), refusal(412, "PreconditionFailed"), there]);
        assert_eq!(write(&mut script, options.clone()).err().map(|failure| failure.kind), kind, "{id}");
    }
}

#[test]
fn each_step_has_its_turn() {
    let mut store = store(&[]);
    let mut script = Script::new([done()]);
    let mut writing = begin(&mut store, &mut script, options());
    assert_eq!(store.again(&mut script, &mut writing).unwrap_err(), nothing_to("try again"));
    store.finish_write(&mut script, &mut writing, 5).unwrap();
    assert_eq!(store.finish_write(&mut script, &mut writing, 5).unwrap_err(), nothing_to("finish"));
}

#[test]
fn a_read_is_handed_over_with_what_is_known_of_it() {
    let sum = Algorithm::Crc32c.of(b"hello");
    let whole = || answer(200, &[("etag", HELLO), ("x-amz-checksum-crc32c", &base64(&sum))], "hello");
    let mut script = Script::new([reset(), whole()]);
    let opened = store(&[]).open_read(&mut script, "k", &ReadOptions::default()).unwrap();
    assert_eq!((opened.body.as_slice(), opened.info.size), (&b"hello"[..], 5));
    assert_eq!(opened.digest, Some(Digest { algorithm: Algorithm::Crc32c, value: sum.clone() }));
    assert_eq!((opened.range, opened.given), (Span { start: 0, end: 5 }, Span { start: 0, end: 5 }));

    // A part, from a service that gives it; the sum of the whole is none of it.
    let options = ReadOptions { range: ByteRange::From(3), ..ReadOptions::default() };
    let part = answer(
        206,
        &[("etag", HELLO), ("content-range", "bytes 3-4/5"), ("x-amz-checksum-crc32c", &base64(&sum))],
        "lo",
    );
    let opened = store(&[]).open_read(&mut Script::new([part]), "k", &options).unwrap();
    assert_eq!(
        (opened.range, opened.given, opened.digest),
        (Span { start: 3, end: 5 }, Span { start: 3, end: 5 }, None)
    );

    // And from one that knows no ranges.
    let opened = store(&[]).open_read(&mut Script::new([whole()]), "k", &options).unwrap();
    assert_eq!((opened.range, opened.given), (Span { start: 3, end: 5 }, Span { start: 0, end: 5 }));
    assert!(opened.digest.is_some());
}
