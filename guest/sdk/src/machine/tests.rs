//! The defaults of the machine, with a service that has no error codes: gets, puts and deletes, and parts of two stages.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::*;
use crate::contract::model::{
    CallOptions, DeleteOptions, GetOptions, HeadOptions, Operation, Part, PartOptions, PutOptions, TagOptions,
    WriteCondition, Written,
};
use crate::http::request::{Method, READ_CONDITIONS};
use crate::http::response::{body_range, etag, head_size, properties};
use crate::io::WrittenBody;
use crate::testing::{Reaction, Script, reset, response};

use super::service::{AttemptError, Flow, Outgoing, Wait, blob_head};

struct Plain;

#[test]
fn stirred_stores_of_one_seed_make_different_numbers() {
    let number = |words: &[&[u64]]| {
        let mut store = Store::<Plain>::open(&[], 1).unwrap();
        words.iter().for_each(|words| store.stir(words));
        store.session.rng.u64(..)
    };
    let numbers = [number(&[]), number(&[&[0, 7, 1]]), number(&[&[0, 7, 2]]), number(&[&[0, 7, 1], &[0, 7, 1]])];
    for (n, one) in numbers.iter().enumerate() {
        assert!(!numbers[..n].contains(one), "{numbers:?}");
    }
    assert_eq!(numbers[1], number(&[&[0, 7, 1]]));
}

/// Parts are uploaded after a look at the upload, which counts for itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Stage {
    #[default]
    Own,
    Look,
}

impl Service for Plain {
    type Stage = Stage;
    type Notes = ();
    type Reply = Output;

    const USER_AGENT: &'static str = "plain/1";
    const SETTINGS: &'static [crate::Setting] = &[];

    fn open(_: &SettingValues<'_>) -> Result<(Plain, Config), Failure> {
        let config = Config { container: "shelf \"s\"".into(), ..Config::new("http://h", false) };
        let long_timeout = Some(("long-timeout", Duration::from_secs(90)));
        Ok((Plain, Config { long_timeout, max_retries: 2, ..config }))
    }

    fn begin(&mut self, step: &mut Step<'_, Self>) -> Flow<Stage> {
        match step.operation() {
            Operation::UploadPart { number, length: 0, .. } => {
                Flow::Done(Output::UploadPart(Part { number: *number, ..Part::default() }))
            }
            Operation::UploadPart { .. } => Flow::Aside(Stage::Look),
            _ => Flow::own(),
        }
    }

    fn request(&mut self, step: &mut Step<'_, Self>) -> Result<Outgoing, Failure> {
        let request = |method| Ok::<_, Failure>(Request::new(method, false, "h", format!("/{}", step.full_key()?)));
        Ok(match (step.stage(), step.operation()) {
            (Stage::Look, _) | (_, Operation::Head { .. }) => Outgoing::new(request(Method::Head)?),
            (_, Operation::Get { options, .. }) => {
                let mut request = request(Method::Get)?;
                request.range(options.range)?;
                request.read_conditions(&options.conditions, READ_CONDITIONS)?;
                Outgoing::new(request).with_stream()
            }
            (_, Operation::Put { length, .. } | Operation::UploadPart { length, .. }) => {
                Outgoing::new(request(Method::Put)?).with_body(RequestBody::Caller(*length))
            }
            (_, Operation::Delete { .. }) => Outgoing::new(request(Method::Delete)?),
            _ => return Err(step.unsupported()),
        })
    }

    fn response(&mut self, step: &mut Step<'_, Self>, response: &Response<'_>) -> Result<Output, AttemptError> {
        let head = &response.head;
        Ok(match step.operation() {
            Operation::Get { options, .. } => {
                let (size, span) = body_range(head, options.range)?;
                Output::Get(blob_head(properties(head, size)?, span, options.range, None)?)
            }
            Operation::Put { .. } => Output::Put(Written { etag: etag(head)?, version: None }),
            Operation::UploadPart { number, .. } => Output::UploadPart(Part { number: *number, ..Part::default() }),
            Operation::Delete { .. } => Output::Delete(None),
            _ => Output::Head(properties(head, head_size(head)?.0)?),
        })
    }

    fn next(&mut self, step: &mut Step<'_, Self>, stage: Stage, result: Result<Output, Failure>) -> Flow<Stage> {
        match (stage, result) {
            (Stage::Look, Ok(_)) => Flow::own(),
            (_, result) => step.end(result),
        }
    }

    fn wait(operation: &Operation, _: &Stage) -> Wait {
        if matches!(operation, Operation::Put { .. }) { Wait::LongOnce } else { Wait::Default }
    }
}

fn store() -> Store<Plain> {
    Store::open(&[], 1).unwrap()
}

fn ok() -> Reaction {
    response(200, &[("etag", "\"e\"")], "")
}

fn only_if_absent() -> PutOptions {
    PutOptions { condition: WriteCondition::IfAbsent, ..PutOptions::default() }
}

#[test]
fn failure_says_what_was_attempted_and_how_often() {
    let mut script = Script::new([response(503, &[], ""), response(502, &[], ""), response(500, &[], "")]);
    let failure = store().get(&mut script, "a\nb", &GetOptions::default()).unwrap_err();
    let (message, _) = failure.message.split_once(" (3 requests in ").expect("the number of requests");
    assert_eq!(message, "get \"a\\nb\" in shelf \"s\" at http://h: the service responded 500");
    assert_eq!((failure.kind, failure.attempts, failure.retryable), (Kind::Service, 3, true));
    assert_eq!(script.pauses.len(), 2);
}

#[test]
fn status_decides_on_kind_and_retry() {
    for (status, kind) in [
        (304, Kind::NotModified),
        (307, Kind::InvalidSettings),
        (401, Kind::AccessDenied),
        (404, Kind::NotFound),
        (412, Kind::PreconditionFailed),
        (416, Kind::InvalidRange),
        (501, Kind::Unsupported),
    ] {
        let mut script = Script::new([response(status, &[], "")]);
        let failure = store().get(&mut script, "k", &GetOptions::default()).unwrap_err();
        assert_eq!((failure.kind, failure.attempts), (kind, 1), "{status}");
    }
    let busy = response(429, &[("retry-after", "7")], "");
    let mut script = Script::new([busy, response(200, &[], "hello")]);
    assert_eq!(store().get(&mut script, "k", &GetOptions::default()).unwrap().body, b"hello");
    assert!(script.pauses[0] >= Duration::from_secs(7));
}

#[test]
fn operation_without_a_request_is_unsupported() {
    let failure = store().tags(&mut Script::new([]), "k", &TagOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::Unsupported, 0));
    let expected = "get the tags of \"k\" in shelf \"s\" at http://h: this plugin does not have the operation";
    assert_eq!(failure.message, expected);
}

#[test]
fn deletion_of_nothing_succeeds_and_says_so_unless_a_response_was_lost() {
    let gone = || response(404, &[], "");
    let delete = |steps: Vec<Reaction>| store().delete(&mut Script::new(steps), "k", &DeleteOptions::default());
    assert_eq!(delete(vec![gone()]).unwrap(), Some(false));
    assert_eq!(delete(vec![reset(), gone()]).unwrap(), None);
    assert_eq!(delete(vec![ok()]).unwrap(), None);
}

#[test]
fn conditional_write_after_a_lost_response_has_an_unknown_outcome() {
    let put = |steps: Vec<Reaction>, options: &PutOptions| store().put(&mut Script::new(steps), "k", b"x", options);
    let unmet = || response(412, &[], "");
    let failure = put(vec![reset(), unmet()], &only_if_absent()).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::OutcomeUnknown, 2));
    assert_eq!(failure.response.unwrap().status, 412);
    assert_eq!(put(vec![unmet()], &only_if_absent()).unwrap_err().kind, Kind::PreconditionFailed);
    assert_eq!(put(vec![reset(), ok()], &PutOptions::default()).unwrap().etag.as_deref(), Some("\"e\""));
}

#[test]
fn long_request_is_not_repeated_after_its_timeout() {
    let mut script = Script::new([ok().slow(100)]);
    let failure = store().put(&mut script, "k", b"x", &PutOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::Timeout, 1));
    assert!(failure.message.contains("the setting long-timeout is 90000 ms"), "{failure}");
    assert_eq!(script.elapsed(), Duration::from_secs(90));
    // A usual one is.
    let mut script = Script::new([ok().slow(100), ok()]);
    assert_eq!(store().head(&mut script, "k", &HeadOptions::default()).unwrap().size, 0);
}

#[test]
fn retries_of_a_stage_aside_are_not_those_of_the_operation() {
    let busy = || response(503, &[], "");
    let part = |steps| {
        let mut script = Script::new(steps);
        let result = store().upload_part(&mut script, "k", "u", 1, b"x", &PartOptions::default());
        result.map(|_| script.methods().join(" "))
    };
    assert_eq!(part(vec![busy(), busy(), ok(), busy(), busy(), ok()]).unwrap(), "HEAD HEAD HEAD PUT PUT PUT");
    assert_eq!(part(vec![busy(), ok(), busy(), busy(), busy()]).unwrap_err().attempts, 5);
}

#[test]
fn every_step_may_run_in_another_instance() {
    let options = PartOptions::default();
    let part = Operation::UploadPart { key: "k".into(), upload: "u".into(), number: 7, length: 1, options };
    let Next::Send(look) = store().begin(0, part) else { panic!("no request") };
    let state = StateOf::<Plain>::decode(&look.state.encode()).unwrap();
    assert_eq!(state, look.state);
    let head = Head { status: 200, ..Head::default() };
    let found = Event::Response(Response { head, body: &[], truncated: false });
    let Next::Send(put) = store().resume(0, state, 5, found.clone()) else { panic!("no request") };
    assert_eq!((put.request.method, put.body.length()), (Method::Put, 1));
    let state = StateOf::<Plain>::decode(&put.state.encode()).unwrap();
    let done = store().resume(0, state, 9, found);
    assert!(matches!(&done, Next::Done(Output::UploadPart(part)) if part.number == 7), "{done:?}");
}

#[test]
fn write_that_needs_no_request_is_finished_without_a_body() {
    let (mut store, mut script) = (store(), Script::new([]));
    let mut writer = store.open_part(&mut script, "k", "u", 3, 0, &PartOptions::default()).unwrap();
    assert_eq!(writer.body(&mut store, &mut script).unwrap_err().kind, Kind::InvalidArgument);
    let WrittenBody::Part(part) = writer.finish(&mut store, &mut script, 0).unwrap() else { panic!("no part") };
    assert_eq!(part.number, 3);
    assert!(writer.finish(&mut store, &mut script, 0).is_err());
}

#[test]
fn unknown_attribute_is_unsupported() {
    let call = CallOptions { attributes: vec![("acl".into(), "hidden".into())], ..CallOptions::default() };
    let fault = crate::attributes::check(&[], &call).unwrap_err();
    assert_eq!((fault.kind, fault.subject.as_deref()), (Kind::Unsupported, Some("acl")));
    assert!(!fault.message.contains("hidden"), "{fault}");
}
