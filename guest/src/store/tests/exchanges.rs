//! Operations whose requests the caller sends itself: the same is sent, and comes to the same, as where the plugin does it.

use std::time::Duration;

use super::script::{Script, Step, answer, refusal, reset, unreachable};
use super::{digests, store};
use crate::checksum::{Algorithm, base64};
use crate::env::{Body, Transport, Waits};
use crate::error::{Failure, Kind};
use crate::headers::of_lines;
use crate::model::{
    Asked, AskedPart, ByteRange, CallOptions, Digest, HeadOperation, HeadOptions, OpenedHead, Operation, Outgoing,
    Pair, PartOperation, PartOptions, ReadOperation, ReadOptions, Settled, Span, Tries, WriteCondition, WriteOperation,
    WriteOptions, Written,
};
use crate::request::{Method, Request};
use crate::store::{Store, take};

/// The entity tag of `hello`.
const HELLO: &str = "\"5d41402abc4b2a76b9719d911017c592\"";
const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
const MINUTE: u64 = 60_000_000_000;

fn done() -> Step {
    answer(200, &[("etag", HELLO)], "")
}

fn blob() -> Step {
    answer(200, &[("etag", HELLO), ("last-modified", DATE), ("x-amz-meta-a", "1")], "hello")
}

fn asked(operation: &Operation) -> Asked {
    match operation {
        Operation::Head(_) => Asked::Head,
        Operation::Read(read) => Asked::Read(read.options.as_ref().map_or(ByteRange::Whole, |options| options.range)),
        Operation::Write(_) => Asked::Write,
        Operation::Part(part) => Asked::Part(AskedPart { number: part.number, size: part.length }),
    }
}

/// The caller's part: sends what it is given until there is an end.
fn run(store: &mut Store, script: &mut Script, operation: &Operation, limit: u64) -> Result<Settled, Failure> {
    let began = script.elapsed();
    let mut tries = Tries { limit, ..Tries::default() };
    loop {
        tries.elapsed = (script.elapsed() - began).as_nanos() as u64;
        let outgoing = store.prepare(script, operation.clone(), tries)?;
        let Outgoing { method, https, authority, path_with_query, headers, patience, plain } = outgoing;
        let headers =
            of_lines(&headers).into_iter().map(|(name, value)| (name.into_owned().into(), value.into_owned()));
        let request =
            Request { method, https, authority, path: path_with_query, query: Vec::new(), headers: headers.collect() };
        let now = script.elapsed().as_nanos() as u64;
        let waits =
            Waits { idle: Duration::from_nanos(patience), deadline: now + limit - tries.elapsed, now, long: false };
        let answered = script.send(&request, b"5", waits).map(|(head, mut body)| {
            let mut text = Vec::new();
            while let Ok(Some(piece)) = body.read(1000) {
                text.extend(piece);
            }
            (head, text)
        });
        if let Ok((head, _)) = &answered
            && plain
            && (200..300).contains(&head.status)
            && let Some(settled) = take(asked(operation), head)
        {
            return Ok(settled);
        }
        tries.elapsed = (script.elapsed() - began).as_nanos() as u64;
        let answered = answered.as_ref().map(|(head, body)| (head.clone(), &**body)).map_err(Clone::clone);
        match store.settle(script, operation.clone(), tries, answered) {
            Ok(settled) => return Ok(settled),
            Err(refusal) => match refusal.again {
                None => return Err(refusal.failure),
                Some(again) => {
                    script.pass(Duration::from_nanos(again.pause));
                    tries = again.tries;
                }
            },
        }
    }
}

fn read(options: Option<ReadOptions>) -> Operation {
    Operation::Read(ReadOperation { key: "a b".into(), options })
}

fn write(options: Option<WriteOptions>) -> Operation {
    let digests = digests(b"hello", &[Algorithm::Sha256, Algorithm::Md5, Algorithm::Crc32c]);
    Operation::Write(WriteOperation { key: "a b".into(), length: 5, digests, options })
}

/// What went out, but for how the plugin names itself.
fn sent(script: &Script) -> Vec<(Method, String, Vec<Pair>)> {
    let told = |request: &Request| {
        let headers = request.headers.iter().filter(|(name, _)| name != "user-agent");
        let headers = headers.map(|(name, value)| (name.to_string(), value.clone())).collect();
        (request.method, request.path_and_query().into_owned(), headers)
    };
    script.sent.iter().map(|sent| told(&sent.request)).collect()
}

/// Both ways send the same and end the same, in a store with these settings, on each of these scripts.
fn alike(
    settings: &[(&str, &str)],
    operation: &Operation,
    direct: impl Fn(&mut Store, &mut Script) -> Result<Settled, Failure>,
    scripts: &[Vec<Step>],
) {
    for steps in scripts {
        let (mut one, mut other) = (Script::new(steps.clone()), Script::new(steps.clone()));
        let here = direct(&mut store(settings), &mut one);
        let there = run(&mut store(settings), &mut other, operation, 3 * MINUTE);
        assert_eq!(sent(&other), sent(&one));
        match (here, there) {
            (Ok(here), Ok(there)) => assert_eq!(there, here),
            (Err(here), Err(there)) => {
                assert_eq!((there.kind, there.attempts, there.retryable), (here.kind, here.attempts, here.retryable));
                assert_eq!((&there.subject, &there.answer), (&here.subject, &here.answer));
                // The one who sends knows more of why.
                if here.kind != Kind::Timeout {
                    assert_eq!(there.message, here.message);
                }
            }
            (here, there) => panic!("{here:?} here, and {there:?} there"),
        }
        assert!(one.done() && other.done());
    }
}

/// What can come of any request but success, and success after some of it.
fn troubles(success: &Step) -> Vec<Vec<Step>> {
    let mut scripts = vec![
        vec![success.clone()],
        vec![refusal(403, "AccessDenied")],
        vec![refusal(404, "NoSuchBucket")],
        vec![answer(301, &[("x-amz-bucket-region", "eu-west-1")], "")],
        vec![refusal(412, "PreconditionFailed")],
        vec![refusal(501, "NotImplemented")],
        // A success that makes no sense, and then one that does.
        vec![answer(200, &[], "what?"), success.clone()],
    ];
    for trouble in [
        reset(),
        unreachable(),
        refusal(503, "SlowDown"),
        answer(500, &[], ""),
        answer(429, &[("retry-after", "1")], ""),
    ] {
        scripts.push(vec![trouble.clone(), success.clone()]);
        scripts.push(vec![trouble; 3]);
    }
    let skewed = refusal(403, "RequestTimeTooSkewed").with("date", "Tue, 14 Nov 2023 23:13:20 GMT");
    scripts.push(vec![skewed.clone(), success.clone()]);
    scripts.push(vec![skewed.clone(), skewed]);
    scripts
}

const TWICE: (&str, &str) = ("max-retries", "2");

#[test]
fn a_read_is_the_same_either_way() {
    let range = ReadOptions { range: ByteRange::Within(Span { start: 1, end: 3 }), ..ReadOptions::default() };
    let part = answer(206, &[("etag", HELLO), ("content-range", "bytes 1-2/5")], "el");
    for (options, success) in [(None, blob()), (Some(range), part)] {
        let direct = |store: &mut Store, script: &mut Script| {
            let opened = store.open_read(script, "a b", &options.clone().unwrap_or_default())?;
            let crate::model::Opened { info, range, given, digest, .. } = opened;
            Ok(Settled::Opened(OpenedHead { info, range, given, digest }))
        };
        alike(&[TWICE], &read(options.clone()), direct, &troubles(&success));
    }
}

#[test]
fn a_look_is_the_same_either_way() {
    let operation = Operation::Head(HeadOperation { key: "a b".into(), options: None });
    let direct = |store: &mut Store, script: &mut Script| {
        store.head(script, "a b", &HeadOptions::default()).map(|info| Settled::Opened(info.into()))
    };
    let found = answer(200, &[("etag", HELLO), ("content-length", "5"), ("last-modified", DATE)], "");
    let mut scripts = troubles(&found);
    // HEAD has no body to make sense of.
    scripts.retain(|steps| steps.len() != 2 || steps[0].status() != Some(200));
    alike(&[TWICE], &operation, direct, &scripts);
}

#[test]
fn a_write_is_the_same_either_way() {
    let there = || blob().with("date", DATE);
    for condition in [WriteCondition::Always, WriteCondition::IfAbsent, WriteCondition::IfMatch(HELLO.into())] {
        let options = WriteOptions { condition: condition.clone(), ..WriteOptions::default() };
        let given = Some(options.clone()).filter(|_| condition != WriteCondition::Always);
        let direct = |store: &mut Store, script: &mut Script| {
            let digests = digests(b"hello", &[Algorithm::Sha256, Algorithm::Md5, Algorithm::Crc32c]);
            store.put(script, "a b", b"hello", &WriteOptions { digests, ..options.clone() }).map(Settled::Written)
        };
        let mut scripts = vec![vec![done()], vec![refusal(403, "AccessDenied")], vec![unreachable(), done()]];
        if condition == WriteCondition::Always {
            scripts = troubles(&done());
        } else {
            // An answer that was lost is looked for.
            scripts.push(vec![reset(), refusal(412, "PreconditionFailed"), there()]);
        }
        alike(&[TWICE], &write(given.clone()), direct, &scripts);
        alike(&[TWICE, ("checksum", "crc32c")], &write(given.clone()), direct, &[vec![done()]]);
        alike(&[TWICE, ("verify-after-write", "true")], &write(given), direct, &[vec![done(), there()]]);
    }
}

#[test]
fn a_part_is_the_same_either_way() {
    for settings in [&[TWICE][..], &[TWICE, ("checksum", "crc32c")]] {
        let digests = || digests(b"hello", &[Algorithm::Sha256, Algorithm::Crc32c]);
        let part = PartOperation {
            key: "a b".into(),
            upload: "id".into(),
            number: 7,
            length: 5,
            digests: digests(),
            options: None,
        };
        let direct = |store: &mut Store, script: &mut Script| {
            let options = PartOptions { digests: digests(), ..PartOptions::default() };
            store.upload_part(script, "a b", "id", 7, b"hello", &options).map(Settled::Part)
        };
        alike(settings, &Operation::Part(part), direct, &troubles(&done()));
    }
}

#[test]
fn a_success_that_the_header_tells_needs_no_more() {
    let head = |step: Step| step.head();
    let opened = take(Asked::Read(ByteRange::Whole), &head(blob())).unwrap();
    let Settled::Opened(OpenedHead { info, range, given, digest }) = opened else { panic!("{opened:?}") };
    assert_eq!((info.size, info.etag.as_deref()), (5, Some(HELLO)));
    assert_eq!((range, given, digest), (Span { start: 0, end: 5 }, Span { start: 0, end: 5 }, None));
    let sum = Algorithm::Crc32c.of(b"hello");
    let summed = blob().with("x-amz-checksum-crc32c", &base64(&sum));
    let Some(Settled::Opened(opened)) = take(Asked::Read(ByteRange::Whole), &head(summed)) else { panic!() };
    assert_eq!(opened.digest, Some(Digest { algorithm: Algorithm::Crc32c, value: sum }));
    assert_eq!(
        take(Asked::Write, &head(done())),
        Some(Settled::Written(Written { etag: Some(HELLO.into()), version: None }))
    );
    let part = take(Asked::Part(AskedPart { number: 3, size: 9 }), &head(done()));
    let Some(Settled::Part(part)) = part else { panic!("{part:?}") };
    assert_eq!((part.number, part.size, part.etag.as_str()), (3, 9, HELLO));
}

#[test]
fn what_the_header_does_not_tell_is_asked_for() {
    // A body where there is to be none, no entity tag, a range that was not asked for, nothing of a blob, far too much.
    for (asked, step) in [
        (Asked::Write, answer(200, &[("etag", HELLO)], "<Error/>")),
        (Asked::Write, answer(200, &[], "")),
        (Asked::Part(AskedPart { number: 1, size: 5 }), answer(200, &[], "")),
        (Asked::Read(ByteRange::From(2)), answer(206, &[("etag", HELLO), ("content-range", "bytes 1-4/5")], "ello")),
        (Asked::Read(ByteRange::From(9)), blob()),
        (Asked::Read(ByteRange::Whole), answer(200, &[], "hello")),
        (Asked::Head, answer(200, &[("content-length", "x")], "")),
        (Asked::Head, blob().with("x-long", &"x".repeat(100_000))),
    ] {
        assert_eq!(take(asked, &step.head()), None, "{asked:?}");
    }
}

#[test]
fn nothing_is_kept_between_the_steps() {
    // Each step in a store of its own: the clock's correction goes with the tries.
    let skewed = refusal(403, "RequestTimeTooSkewed").with("date", "Tue, 14 Nov 2023 23:13:20 GMT").head();
    let tries = Tries { limit: MINUTE, ..Tries::default() };
    let mut script = Script::new([]);
    let body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>";
    let refusal = store(&[]).settle(&mut script, read(None), tries, Ok((skewed, &body[..]))).unwrap_err();
    let again = refusal.again.unwrap();
    assert_eq!((again.pause, again.tries.skew, again.tries.attempts), (0, 3600, 1));
    let outgoing = store(&[]).prepare(&mut script, read(None), again.tries).unwrap();
    assert!(outgoing.headers.contains("x-amz-date:20231114T231320Z\n"), "{}", outgoing.headers);
    assert!(!format!("{outgoing:?}").contains("Signature"));
}

#[test]
fn the_callers_time_is_what_counts() {
    let limit = 5 * 1_000_000_000;
    let over = Tries { limit, elapsed: limit, ..Tries::default() };
    let failure = store(&[]).prepare(&mut Script::new([]), read(None), over).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::Timeout, 0));
    assert!(failure.message.contains("time limit of 5"), "{}", failure.message);
    // What the options say of it is not looked at.
    let call = CallOptions { time_limit: Some(1), ..CallOptions::default() };
    let options = Some(ReadOptions { call, ..ReadOptions::default() });
    run(&mut store(&[]), &mut Script::new([blob().slow(2)]), &read(options), limit).unwrap();
    // A try that would begin too late is not made.
    let mut script = Script::new([answer(503, &[("retry-after", "9")], "")]);
    let failure = run(&mut store(&[]), &mut script, &read(None), limit).unwrap_err();
    assert!(failure.message.contains("no time for another try"), "{}", failure.message);
}

#[test]
fn what_cannot_be_asked_is_told_before_anything_is_sent() {
    let mut script = Script::new([]);
    let begin = Tries { limit: MINUTE, ..Tries::default() };
    let unsummed = WriteOperation { key: "k".into(), length: 5, ..WriteOperation::default() };
    let no_key = ReadOperation::default();
    let odd = HeadOptions { version: Some(String::new()), ..HeadOptions::default() };
    let odd = HeadOperation { key: "k".into(), options: Some(odd) };
    for (operation, subject) in
        [(Operation::Write(unsummed), "digests"), (Operation::Read(no_key), "key"), (Operation::Head(odd), "version")]
    {
        let failure = store(&[]).prepare(&mut script, operation, begin).unwrap_err();
        assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidArgument, Some(subject)));
        assert!(failure.message.contains("bucket \"demo\""), "{}", failure.message);
    }
}

#[test]
fn a_skew_that_no_instance_can_have_told_is_ignored() {
    const DAY: i64 = 24 * 3600;
    for (endpoint, most) in [("http://localhost:9000", DAY), ("https://localhost:9000", 7 * DAY)] {
        for (skew, counts) in [(most, true), (-most, true), (most + 1, false), (i64::MAX, false), (i64::MIN, false)] {
            let tries = Tries { limit: MINUTE, skewed: true, skew, ..Tries::default() };
            let settings = [("endpoint", endpoint)];
            let outgoing = store(&settings).prepare(&mut Script::new([]), read(None), tries).unwrap();
            let ours = outgoing.headers.contains("x-amz-date:20231114T221320Z\n");
            assert_eq!(!ours, counts, "{skew}: {}", outgoing.headers);
        }
    }
}

#[test]
fn tries_at_their_limits_overflow_nothing() {
    let tries = Tries {
        limit: u64::MAX,
        elapsed: u64::MAX - 1,
        attempts: u32::MAX,
        retries: u32::MAX,
        maybe_done: true,
        skewed: true,
        skew: i64::MIN,
    };
    let _ = store(&[]).prepare(&mut Script::new([]), read(None), tries);
    let again = Tries { elapsed: 0, ..tries };
    let refused = refusal(503, "SlowDown").head();
    let refusal = store(&[]).settle(&mut Script::new([]), read(None), again, Ok((refused, &b""[..]))).unwrap_err();
    assert!(refusal.again.is_none(), "there are no retries left");
}

#[test]
fn another_instance_leaves_out_the_quotes_that_one_found_refused() {
    let write = || {
        let condition = WriteCondition::IfMatch(HELLO.into());
        write(Some(WriteOptions { condition, ..WriteOptions::default() }))
    };
    let tries = Tries { limit: MINUTE, ..Tries::default() };
    let unmet = refusal(412, "PreconditionFailed");
    let body = b"<Error><Code>PreconditionFailed</Code></Error>";
    let mut script = Script::new([blob()]);
    let refused = store(&[]).settle(&mut script, write(), tries, Ok((unmet.head(), &body[..]))).unwrap_err();
    let again = refused.again.expect("another try");
    assert_eq!((script.methods(), again.pause), (vec!["HEAD"], 0));
    let outgoing = store(&[]).prepare(&mut script, write(), again.tries).unwrap();
    let bare = format!("if-match:{}\n", HELLO.trim_matches('"'));
    assert!(outgoing.headers.contains(&bare), "{}", outgoing.headers);
}
