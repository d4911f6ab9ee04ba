//! Every operation by `begin` and `resume`, with each step in another instance and the state as bytes: requests and results must
//! equal those of the blocking driver.

use std::time::Duration;

use super::{digests, store};
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{
    BlobRef, BucketOptions, ByteRange, CallOptions, CompleteOptions, CopyOptions, CopyPartOptions, CopySource,
    DeleteManyOptions, DeleteOptions, GetOptions, HeadOptions, ListBucketsOptions, ListOptions, ListPartsOptions,
    ListUploadsOptions, Operation, Output, Pair, Part, PartOptions, PutOptions, Span, TagOptions, WriteCondition,
};
use sandbucket_plugin::io::{Body, Clock, Driver, Transport, Waits};
use sandbucket_plugin::machine::{Event, Exchange, Next, RequestBody, Response, ResponseBody};
use sandbucket_plugin::testing::{Reaction, Script, error_response, reset, response, unreachable};

use crate::ops::State;
use sandbucket_plugin::checksum::Algorithm;
use sandbucket_plugin::http::request::{Method, Request};

/// The entity tag of `hello`.
const HELLO: &str = "\"5d41402abc4b2a76b9719d911017c592\"";
const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
const MINUTE: u64 = 60_000_000_000;
const TWICE: (&str, &str) = ("max-retries", "2");

fn done() -> Reaction {
    response(200, &[("etag", HELLO)], "")
}

fn blob() -> Reaction {
    response(200, &[("etag", HELLO), ("last-modified", DATE), ("x-amz-meta-a", "1")], "hello")
}

/// A driver that runs every step in another instance.
fn run(settings: &[(&str, &str)], script: &mut Script, operation: &Operation) -> Result<Output, Failure> {
    let began = script.elapsed();
    let mut next = store(settings).begin(script.wall(), operation.clone());
    loop {
        let exchange = match next {
            Next::Send(exchange) => *exchange,
            Next::Done(output) => return Ok(output),
            Next::Failed(failure) => return Err(failure),
        };
        let Exchange { state, delay, timeout, request, body, response_body, fresh_connection, .. } = exchange;
        assert!(!format!("{request:?}").contains("Signature"), "a signature is displayed");
        if !delay.is_zero() {
            script.sleep(delay);
        }
        let now = script.elapsed().as_nanos() as u64;
        let waits = Waits { idle: timeout, deadline: now + 10 * MINUTE, now, fresh_connection };
        let body = match body {
            RequestBody::None => Vec::new(),
            RequestBody::Bytes(bytes) => bytes,
            RequestBody::Caller(length) => b"hello"[..length as usize].to_vec(),
        };
        let received = script.send(&request, &body, waits).and_then(|(head, mut body)| {
            let success = (200..300).contains(&head.status);
            let max = match response_body {
                ResponseBody::Caller if success => 0,
                ResponseBody::Caller => 64 << 10,
                ResponseBody::Buffer(max) => max as usize,
            };
            let mut text = Vec::new();
            while text.len() < max
                && let Some(piece) = body.read(max - text.len())?
            {
                text.extend(piece);
            }
            Ok((head, text))
        });
        let elapsed = (script.elapsed() - began).as_nanos() as u64;
        let state = State::decode(&state.encode()).unwrap();
        let event = match &received {
            Ok((head, body)) => Event::Response(Response { head: head.clone(), body, truncated: false }),
            Err(error) => Event::Failed(error.clone()),
        };
        next = store(settings).resume(script.wall(), state, elapsed, event);
    }
}

/// Method, path with query, and headers without `user-agent`.
fn sent(script: &Script) -> Vec<(Method, String, Vec<Pair>)> {
    let shown = |request: &Request| {
        let headers = request.headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        (request.method, request.path_and_query().into_owned(), headers)
    };
    script.sent.iter().map(|sent| shown(&sent.request)).collect()
}

/// Asserts that both drivers send the same requests with the same result, for each script in a store with these settings.
fn assert_same_requests(settings: &[(&str, &str)], operation: &Operation, scripts: &[Vec<Reaction>]) {
    for steps in scripts {
        // Backoff has jitter: both begin with the same seed, but only one store keeps its generator.
        let (mut one, mut other) = (Script::new(steps.clone()), Script::new(steps.clone()));
        let here = Driver::new(&mut store(settings), &mut one).run(operation.clone(), b"hello");
        let there = run(settings, &mut other, operation);
        let seconds = |sent: Vec<(Method, String, Vec<Pair>)>| -> Vec<_> {
            // The signature depends on the second, which depends on the jitter.
            let timeless = |(name, _): &Pair| name != "authorization" && name != "x-amz-date";
            sent.into_iter().map(|(m, p, h)| (m, p, h.into_iter().filter(timeless).collect::<Vec<_>>())).collect()
        };
        assert_eq!(seconds(sent(&other)), seconds(sent(&one)), "{operation:?}");
        match (here, there) {
            (Ok(here), Ok(there)) => assert_eq!(there, here),
            (Err(here), Err(there)) => {
                assert_eq!((there.kind, there.attempts, there.retryable), (here.kind, here.attempts, here.retryable));
                assert_eq!((&there.subject, &there.response), (&here.subject, &here.response));
                let timeless = |failure: &Failure| failure.message.split(" requests in ").next().map(str::to_owned);
                assert_eq!(timeless(&there), timeless(&here));
            }
            (here, there) => panic!("{operation:?}: {here:?} here, and {there:?} there"),
        }
        assert!(one.done() && other.done(), "{operation:?}");
    }
}

/// Scripts of failures, with success after some.
fn failures(success: &Reaction) -> Vec<Vec<Reaction>> {
    let mut scripts = vec![
        vec![success.clone()],
        vec![error_response(403, "AccessDenied")],
        vec![error_response(404, "NoSuchBucket")],
        vec![response(301, &[("x-amz-bucket-region", "eu-west-1")], "")],
        vec![error_response(412, "PreconditionFailed")],
        vec![error_response(501, "NotImplemented")],
    ];
    for trouble in [
        reset(),
        unreachable(),
        error_response(503, "SlowDown"),
        response(500, &[], ""),
        response(429, &[("retry-after", "1")], ""),
    ] {
        scripts.push(vec![trouble.clone(), success.clone()]);
        scripts.push(vec![trouble; 3]);
    }
    let skewed = error_response(403, "RequestTimeTooSkewed").with("date", "Tue, 14 Nov 2023 23:13:20 GMT");
    scripts.push(vec![skewed.clone(), success.clone()]);
    scripts.push(vec![skewed.clone(), skewed]);
    scripts
}

/// The same, and a malformed success before a valid one.
fn failures_and_malformed(success: &Reaction) -> Vec<Vec<Reaction>> {
    let mut scripts = failures(success);
    scripts.push(vec![response(200, &[], "what?"), success.clone()]);
    scripts
}

fn get(options: GetOptions) -> Operation {
    Operation::Get { key: "a b".into(), options }
}

fn put(options: PutOptions) -> Operation {
    let digests = digests(b"hello", &[Algorithm::Sha256, Algorithm::Md5, Algorithm::Crc32c]);
    Operation::Put { key: "a b".into(), length: 5, options: PutOptions { digests, ..options } }
}

#[test]
fn get_is_the_same_by_both_drivers() {
    let range = GetOptions { range: ByteRange::Within(Span { start: 1, end: 3 }), ..GetOptions::default() };
    let part = response(206, &[("etag", HELLO), ("content-range", "bytes 1-2/5")], "el");
    for (options, success) in [(GetOptions::default(), blob()), (range, part)] {
        assert_same_requests(&[TWICE], &get(options), &failures_and_malformed(&success));
    }
}

#[test]
fn head_is_the_same_by_both_drivers() {
    let found = response(200, &[("etag", HELLO), ("content-length", "5"), ("last-modified", DATE)], "");
    let operation = Operation::Head { key: "a b".into(), options: HeadOptions::default() };
    assert_same_requests(&[TWICE], &operation, &failures(&found));
}

#[test]
fn put_is_the_same_by_both_drivers() {
    let there = || blob().with("date", DATE);
    for condition in [WriteCondition::Always, WriteCondition::IfAbsent, WriteCondition::IfMatch(HELLO.into())] {
        let operation = put(PutOptions { condition: condition.clone(), ..PutOptions::default() });
        let mut scripts = vec![vec![done()], vec![error_response(403, "AccessDenied")], vec![unreachable(), done()]];
        if condition == WriteCondition::Always {
            scripts = failures_and_malformed(&done());
        } else {
            // A lost response is reconciled.
            scripts.push(vec![reset(), error_response(412, "PreconditionFailed"), there()]);
        }
        assert_same_requests(&[TWICE], &operation, &scripts);
        assert_same_requests(&[TWICE, ("checksum", "crc32c")], &operation, &[vec![done()]]);
        assert_same_requests(&[TWICE, ("verify-after-write", "true")], &operation, &[vec![done(), there()]]);
    }
}

#[test]
fn part_is_the_same_by_both_drivers() {
    for settings in [&[TWICE][..], &[TWICE, ("checksum", "crc32c")]] {
        let options = PartOptions {
            digests: digests(b"hello", &[Algorithm::Sha256, Algorithm::Crc32c]),
            ..PartOptions::default()
        };
        let (key, upload) = ("a b".into(), "id".into());
        let operation = Operation::UploadPart { key, upload, number: 7, length: 5, options };
        assert_same_requests(settings, &operation, &failures_and_malformed(&done()));
    }
}

#[test]
fn operations_with_documents_are_the_same_by_both_drivers() {
    let (key, upload) = ("k".to_owned(), "id".to_owned());
    let source = CopySource { key: "from".into(), ..CopySource::default() };
    let part = Part { number: 1, etag: HELLO.into(), ..Part::default() };
    let copied = format!("<ETag>{HELLO}</ETag>");
    for (operation, root, inside) in [
        (Operation::List { options: ListOptions::default() }, "ListBucketResult", ""),
        (Operation::ListVersions { options: ListOptions::default() }, "ListVersionsResult", ""),
        (Operation::GetTags { key: key.clone(), options: TagOptions::default() }, "Tagging", "<TagSet/>"),
        (
            Operation::CreateUpload { key: key.clone(), options: PutOptions::default() },
            "InitiateMultipartUploadResult",
            "<UploadId>id</UploadId>",
        ),
        (
            Operation::ListParts { key: key.clone(), upload: upload.clone(), options: ListPartsOptions::default() },
            "ListPartsResult",
            "",
        ),
        (Operation::ListUploads { options: ListUploadsOptions::default() }, "ListMultipartUploadsResult", ""),
        (
            Operation::CopyPart {
                key: key.clone(),
                upload: upload.clone(),
                number: 1,
                source: source.clone(),
                options: CopyPartOptions { range: Some(Span { start: 0, end: 9 }), ..CopyPartOptions::default() },
            },
            "CopyPartResult",
            &copied,
        ),
        (Operation::ListBuckets { options: ListBucketsOptions::default() }, "ListAllMyBucketsResult", "<Buckets/>"),
    ] {
        let success = response(200, &[], &format!("<{root}>{inside}</{root}>"));
        assert_same_requests(&[TWICE], &operation, &failures_and_malformed(&success));
    }
    let copy = Operation::Copy { source, to: key.clone(), options: CopyOptions::default() };
    let success = response(200, &[], &format!("<CopyObjectResult>{copied}</CopyObjectResult>"));
    assert_same_requests(
        &[TWICE],
        &copy,
        &[vec![success.clone()], vec![reset(), success], vec![error_response(404, "NoSuchKey")]],
    );
    let complete = Operation::CompleteUpload { key, upload, parts: vec![part], options: CompleteOptions::default() };
    let root = "CompleteMultipartUploadResult";
    let success = response(200, &[], &format!("<{root}>{copied}</{root}>"));
    let gone = || error_response(404, "NoSuchUpload");
    assert_same_requests(
        &[TWICE],
        &complete,
        &[vec![success.clone()], vec![reset(), success], vec![gone()], vec![reset(), gone(), blob()]],
    );
}

#[test]
fn other_operations_are_the_same_by_both_drivers() {
    let key = "k".to_owned();
    let bucket = || ("other".to_owned(), BucketOptions::default());
    let (name, options) = bucket();
    assert_same_requests(&[TWICE], &Operation::BucketExists { name, options }, &failures(&response(200, &[], "")));
    let (name, options) = bucket();
    assert_same_requests(&[TWICE], &Operation::CreateBucket { name, options }, &failures(&response(200, &[], "")));
    let (name, options) = bucket();
    assert_same_requests(&[TWICE], &Operation::DeleteBucket { name, options }, &failures(&response(204, &[], "")));
    let delete = Operation::Delete { key: key.clone(), options: DeleteOptions::default() };
    assert_same_requests(&[TWICE], &delete, &failures(&response(204, &[], "")));
    let tag = Operation::SetTags { key, tags: vec![("a".into(), "b".into())], options: TagOptions::default() };
    assert_same_requests(&[TWICE], &tag, &failures(&response(200, &[], "")));
    let blobs = ["a", "b"].map(|key| BlobRef { key: key.into(), version: None }).to_vec();
    let delete_many = Operation::DeleteMany { blobs, options: DeleteManyOptions::default() };
    let both = "<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>b</Key></Deleted></DeleteResult>";
    let mut scripts = failures(&response(200, &[], both));
    // A service without bulk delete: each blob by itself.
    scripts.retain(|steps| steps.len() > 1 || steps[0].status() != Some(501));
    scripts.push(vec![
        error_response(501, "NotImplemented"),
        response(204, &[], ""),
        error_response(403, "AccessDenied"),
    ]);
    assert_same_requests(&[TWICE], &delete_many, &scripts);
}

/// First exchange of an operation.
fn begun(settings: &[(&str, &str)], operation: Operation) -> Exchange<State> {
    match store(settings).begin(sandbucket_plugin::testing::START, operation) {
        Next::Send(exchange) => *exchange,
        next => panic!("{next:?}"),
    }
}

fn header<'e>(exchange: &'e Exchange<State>, name: &str) -> Option<&'e str> {
    exchange.request.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
}

fn refused<'a>(step: &Reaction, body: &'a [u8]) -> Event<'a> {
    Event::Response(Response { head: step.head(), body, truncated: false })
}

#[test]
fn clock_skew_is_carried_in_the_state() {
    let skewed = error_response(403, "RequestTimeTooSkewed").with("date", "Tue, 14 Nov 2023 23:13:20 GMT");
    let body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>";
    let first = begun(&[], get(GetOptions::default()));
    let Next::Send(second) =
        store(&[]).resume(sandbucket_plugin::testing::START, first.state, 0, refused(&skewed, body))
    else {
        panic!("there is no retry");
    };
    assert_eq!((second.delay, header(&second, "x-amz-date")), (Duration::ZERO, Some("20231114T231320Z")));
    assert_eq!(second.retries.as_ref().unwrap().response.as_ref().unwrap().status, 403);
    // A third instance has the correction too.
    let Next::Send(third) = store(&[]).resume(
        sandbucket_plugin::testing::START,
        second.state,
        0,
        refused(&error_response(503, "SlowDown"), b""),
    ) else {
        panic!("there is no retry");
    };
    assert_eq!(header(&third, "x-amz-date").unwrap().get(..11), Some("20231114T23"));
}

#[test]
fn retry_is_signed_for_its_sending_time() {
    let first = begun(&[], get(GetOptions::default()));
    let busy = response(503, &[("retry-after", "60")], "");
    let Next::Send(retry) = store(&[]).resume(sandbucket_plugin::testing::START, first.state, 0, refused(&busy, b""))
    else {
        panic!("there is no retry");
    };
    assert!(retry.delay >= Duration::from_secs(60));
    assert_eq!(header(&retry, "x-amz-date"), Some("20231114T221420Z"));
}

#[test]
fn elapsed_time_comes_from_the_driver() {
    let call = CallOptions { time_limit: Some(5_000_000_000), ..CallOptions::default() };
    let operation = get(GetOptions { call, ..GetOptions::default() });
    let busy = error_response(503, "SlowDown");
    let first = begun(&[], operation.clone());
    let slow_down = b"<Error><Code>SlowDown</Code></Error>";
    match store(&[]).resume(
        sandbucket_plugin::testing::START,
        first.state.clone(),
        5_000_000_000,
        refused(&busy, slow_down),
    ) {
        Next::Failed(failure) => assert_eq!((failure.kind, failure.attempts), (Kind::Throttled, 1)),
        next => panic!("{next:?}"),
    }
    // No retry begins after the deadline.
    let late = response(503, &[("retry-after", "9")], "");
    match store(&[]).resume(sandbucket_plugin::testing::START, first.state, 0, refused(&late, b"")) {
        Next::Failed(failure) => {
            assert!(failure.message.contains("no time for another try"), "{}", failure.message);
        }
        next => panic!("{next:?}"),
    }
    let none = CallOptions { time_limit: Some(0), ..CallOptions::default() };
    match store(&[]).begin(sandbucket_plugin::testing::START, get(GetOptions { call: none, ..GetOptions::default() })) {
        Next::Failed(failure) => {
            assert_eq!((failure.kind, failure.attempts), (Kind::Timeout, 0));
            assert!(failure.message.contains("time limit of 0"), "{}", failure.message);
        }
        next => panic!("{next:?}"),
    }
}

#[test]
fn invalid_arguments_fail_before_any_request() {
    let odd = HeadOptions { version: Some(String::new()), ..HeadOptions::default() };
    for (operation, subject) in [
        (Operation::Put { key: "k".into(), length: 5, options: PutOptions::default() }, "digests"),
        (Operation::Get { key: String::new(), options: GetOptions::default() }, "key"),
        (Operation::Head { key: "k".into(), options: odd }, "version"),
    ] {
        match store(&[]).begin(sandbucket_plugin::testing::START, operation) {
            Next::Failed(failure) => {
                assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidArgument, Some(subject)));
                assert!(failure.message.contains("bucket \"demo\""), "{}", failure.message);
            }
            next => panic!("{next:?}"),
        }
    }
}

#[test]
fn state_can_be_resumed_again_after_a_truncated_body() {
    let first = begun(&[], get(GetOptions::default()));
    let accepted = store(&[]).resume(sandbucket_plugin::testing::START, first.state.clone(), 0, refused(&blob(), b""));
    assert!(matches!(accepted, Next::Done(Output::Get(_))), "{accepted:?}");
    let error = sandbucket_plugin::testing::error(Kind::Integrity, false);
    let Next::Send(retry) = store(&[]).resume(sandbucket_plugin::testing::START, first.state, 0, Event::Failed(error))
    else {
        panic!("there is no retry");
    };
    assert!(retry.retries.is_some() && !retry.delay.is_zero());
}

#[test]
fn invalid_state_is_an_invalid_argument() {
    let state = begun(&[], get(GetOptions::default())).state.encode();
    assert!(State::decode(&state).is_ok());
    for bytes in [&[][..], &state[..state.len() - 1], &[0xff; 64]] {
        assert_eq!(State::decode(bytes).unwrap_err().subject.as_deref(), Some("state"));
    }
}

proptest::proptest! {
    /// An altered state never causes a panic, nor a clock correction beyond the limit.
    #[test]
    fn altered_state_causes_no_panic_and_no_excess_skew(
        place in 0_usize..400, value in 0_u8..=255, status in 100_u16..600, elapsed in proptest::num::u64::ANY,
    ) {
        let first = begun(&[], put(PutOptions { condition: WriteCondition::IfAbsent, ..PutOptions::default() }));
        let mut bytes = first.state.encode();
        if let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
        if let Ok(state) = State::decode(&bytes) {
            let mut store = store(&[]);
            let step = response(status, &[], "");
            let _ = store.resume(sandbucket_plugin::testing::START, state, elapsed, refused(&step, b"<Error/>"));
            proptest::prop_assert!(store.skew().unsigned_abs() <= 24 * 3600);
        }
    }
}

#[test]
fn dropped_quotes_of_if_match_are_carried_in_the_state() {
    let condition = WriteCondition::IfMatch(HELLO.into());
    let first = begun(&[], put(PutOptions { condition, ..PutOptions::default() }));
    let unmet = error_response(412, "PreconditionFailed");
    let body = b"<Error><Code>PreconditionFailed</Code></Error>";
    let Next::Send(look) = store(&[]).resume(sandbucket_plugin::testing::START, first.state, 0, refused(&unmet, body))
    else {
        panic!("nothing looks at what is there");
    };
    assert_eq!(look.request.method, Method::Head);
    let Next::Send(again) = store(&[]).resume(sandbucket_plugin::testing::START, look.state, 0, refused(&blob(), b""))
    else {
        panic!("there is no retry");
    };
    assert_eq!((again.body.length(), header(&again, "if-match")), (5, Some(HELLO.trim_matches('"'))));
}
