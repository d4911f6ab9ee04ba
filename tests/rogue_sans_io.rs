//! Misdeeds of a plugin over `sans-io`: in requests, in state, in the sequence of steps, and in results.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use sandbucket::{Body, Error, Part, PresignedMethod, Store};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{refused, run};

use super::{Bystanders, CALL_TIME, CPU_TIME, NOWHERE, assert_harmless, authority, sans_io_rogue as rogue};

/// The operations of the contract, and the methods of the requests that they may send: first that of the
/// operation itself, then those that find out whether a write whose response was lost took effect, or replace a request that
/// the service does not support.
const OPERATIONS: [(&str, &[&str]); 22] = [
    ("head", &["HEAD"]),
    ("get", &["GET", "HEAD"]),
    ("put", &["PUT", "HEAD", "GET"]),
    ("delete", &["DELETE"]),
    ("delete-many", &["POST", "DELETE"]),
    ("list", &["GET"]),
    ("list-versions", &["GET"]),
    ("copy", &["PUT", "HEAD", "GET"]),
    ("presign", &[]),
    ("get-tags", &["GET"]),
    ("set-tags", &["PUT", "DELETE"]),
    ("create-upload", &["POST"]),
    ("upload-part", &["PUT"]),
    ("copy-part", &["PUT", "HEAD", "GET"]),
    ("list-parts", &["GET"]),
    ("complete-upload", &["POST", "PUT", "HEAD", "GET"]),
    ("abort-upload", &["DELETE", "GET", "PUT"]),
    ("list-uploads", &["GET"]),
    ("create-bucket", &["PUT", "HEAD"]),
    ("delete-bucket", &["DELETE", "HEAD"]),
    ("bucket-exists", &["HEAD"]),
    ("list-buckets", &["GET"]),
];

/// Runs an operation by its name in the contract.
fn call(store: &Store, operation: &str) -> BoxFuture<'static, Result<(), Error>> {
    let store = store.clone();
    let operation = operation.to_owned();
    Box::pin(async move {
        match operation.as_str() {
            "head" => store.head("k").await.map(drop),
            "get" => store.get("k").await.map(drop),
            "put" => store.put("k", "x").await.map(drop),
            "delete" => store.delete("k").await.map(drop),
            // A failure of the whole batch is the outcome of each blob.
            "delete-many" => store.delete_many(["k"]).await?.into_iter().collect(),
            "list" => store.list("").await.map(drop),
            "list-versions" => store.list_versions("").await.map(drop),
            "copy" => store.copy("k", "to").length_hint(1).await.map(drop),
            "presign" => store.presign(PresignedMethod::Get, "k").await.map(drop),
            "get-tags" => store.tags("k").await.map(drop),
            "set-tags" => store.set_tags("k", [("a", "b")]).await.map(drop),
            "create-upload" => store.create_upload("k").await.map(drop),
            "upload-part" => store.upload_part("k", "u", 1, "x").await.map(drop),
            "copy-part" => store.copy_part("k", "u", 1, "from").await.map(drop),
            "list-parts" => store.list_parts("k", "u").await.map(drop),
            "complete-upload" => store.complete_upload("k", "u", [Part::new(1, "\"e\"")]).await.map(drop),
            "abort-upload" => store.abort_upload("k", "u").await.map(drop),
            "list-uploads" => store.list_uploads("").await.map(drop),
            "create-bucket" => store.create_bucket("another").await,
            "delete-bucket" => store.delete_bucket("another").await,
            "bucket-exists" => store.bucket_exists("another").await.map(drop),
            "list-buckets" => store.list_buckets("").await.map(drop),
            other => panic!("no operation {other}"),
        }
    })
}

/// A service that responds to any number of requests with an empty success.
async fn agreeable() -> Faulty {
    Faulty::start((0..10_000).map(|_| Act::respond(200, "", ""))).await
}

/// A store whose requests go to this service.
async fn at(service: &Faulty, mode: &str) -> Store {
    rogue(mode, &service.endpoint(), &authority(service)).await.unwrap()
}

fn is_plugin_error(error: &Error) -> bool {
    matches!(error, Error::Plugin { .. })
}

/// Whether the host stopped the plugin or refused its result.
fn is_stopped(error: &Error) -> bool {
    matches!(error, Error::Plugin { .. } | Error::Trapped { .. } | Error::OutOfMemory { .. } | Error::OutOfTime { .. })
}

#[test]
fn honest_requests_are_sent() {
    run(async {
        // What the other tests deviate from works, for every operation.
        for (operation, methods) in OPERATIONS.into_iter().filter(|(operation, _)| *operation != "presign") {
            let service = agreeable().await;
            let store = at(&service, "").await;
            call(&store, operation).await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
            let seen = service.seen();
            assert_eq!(seen.len(), 1, "{operation}");
            assert_eq!(seen[0].method, methods[0], "{operation}");
            assert_eq!(seen[0].header("host"), Some(&*authority(&service)), "{operation}");
            assert_eq!(store.pool().discarded, 0, "{operation}");
        }
    });
}

#[test]
fn body_ranges_are_validated() {
    run(async {
        // They are impossible, or not those that were requested.
        for mode in ["body-of-another-range", "body-shorter-than-range", "backward-body", "body-past-the-end"] {
            let service = Faulty::start([Act::respond(200, "", "0123456789")]).await;
            let store = at(&service, mode).await;
            let failure = refused!(store.get("k").await, Integrity);
            assert!(failure.message.contains("the plugin returns"), "{mode}: {failure:?}");
        }
    });
}

#[test]
fn digests_are_validated() {
    run(async {
        for mode in ["wrong-digest", "short-digest", "long-digest"] {
            // As often as the host reads again.
            let service = Faulty::start((0..100).map(|_| Act::respond(200, "", "0123456789"))).await;
            let store = at(&service, mode).await;
            let read = async { store.get("k").time_limit(Duration::from_secs(1)).await?.bytes().await };
            let error = read.await.expect_err(mode);
            assert!(matches!(error, Error::Integrity(_) | Error::Plugin { .. }), "{mode}: {error:?}");
        }
    });
}

#[test]
fn foreign_authorities_are_denied() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let (own, other) = (Faulty::start([]).await, Faulty::start([]).await);
        let (at_own, at_other) = (authority(&own), authority(&other));
        for target in [at_other.clone(), format!("user@{at_own}"), "169.254.169.254".to_owned()] {
            let store = rogue("foreign-authority", &own.endpoint(), &target).await.unwrap();
            let failure = refused!(store.get("k").await, Network);
            assert!(failure.message.contains("may only reach"), "{target}: {failure:?}");
            for (operation, _) in OPERATIONS {
                let error = call(&store, operation).await.expect_err(operation);
                assert!(matches!(error, Error::Network(_) | Error::Unsupported(_)), "{operation}: {error:?}");
            }
        }
        let store = rogue("foreign-scheme", &own.endpoint(), &at_own).await.unwrap();
        let failure = refused!(store.get("k").await, Network);
        assert!(failure.message.contains("may only reach"), "{failure:?}");
        for target in ["", " ", "a b", "127.0.0.1\r\nx:", "[", "@", "/"] {
            let store = rogue("foreign-authority", &own.endpoint(), target).await.unwrap();
            refused!(store.get("k").await, Network);
        }
        // Framing and routing of a message are checked by the host.
        let put = |text: &str| format!("headers={}", text.replace("{host}", &at_own));
        for (mode, words) in [
            (put("host:elsewhere\ncontent-length:1\n"), "host"),
            (put("host:{host}\nhost:elsewhere\ncontent-length:1\n"), "host"),
            (put("host:{host}\nhost:{host}\ncontent-length:1\n"), "host"),
            (put("host:{host}\ncontent-length:1000\n"), "content-length"),
            (put("host:{host}\ncontent-length:1\ncontent-length:1\n"), "content-length"),
            (put("host:{host}\ncontent-length:1, 1\n"), "content-length"),
            (put("host:{host}\ncontent-length:+1\n"), "content-length"),
            ("headers+x-a:1\r\n\r\nGET / HTTP/1.1\n".to_owned(), "header"),
            ("headers+x-amz-a:1\rx-amz-b:2\n".to_owned(), "header"),
            ("headers+x-amz-a:\0\n".to_owned(), "header"),
            ("headers+x-amz-a\n".to_owned(), "header"),
            ("headers+:1\n".to_owned(), "header"),
            ("headers+ x-amz-a:1\n".to_owned(), "header"),
            ("headers+x-amz-a :1\n".to_owned(), "header"),
            ("headers+x-amz-a:1\n transfer-encoding:chunked\n".to_owned(), "header"),
        ] {
            let store = rogue(&mode, &own.endpoint(), &at_own).await.unwrap();
            let failure = refused!(store.put("k", "x").await, Network);
            assert!(failure.message.contains(words), "{mode}: {failure:?}");
        }
        for path in ["no-slash", "/a b", "/\u{7}", "/ HTTP/1.1\r\nx-amz-a: 1\r\n\r\n", "http://elsewhere/", "/\0"] {
            let store = rogue(&format!("path={path}"), &own.endpoint(), &at_own).await.unwrap();
            refused!(store.put("k", "x").await, Network);
        }
        assert!(own.seen().is_empty() && other.seen().is_empty());
        bystanders.are_unharmed().await;
    });
}

#[test]
fn wrong_outputs_and_endless_retries_end_the_operation() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        for mode in ["begin-output-put", "resume-output-put"] {
            let own = agreeable().await;
            let error = at(&own, mode).await.head("k").await.expect_err("it is not done");
            assert!(is_plugin_error(&error), "{mode}: {error:?}");
        }
        // Retries go on until the time limit.
        let own = agreeable().await;
        let store = at(&own, "endless-retries").await;
        let began = Instant::now();
        refused!(store.put("k", "x").time_limit(Duration::from_millis(200)).await, Network);
        assert!(began.elapsed() < CALL_TIME * 5);
        bystanders.are_unharmed().await;
    });
}

#[test]
fn outputs_of_other_operations_are_refused() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        for (output, _) in OPERATIONS {
            let own = agreeable().await;
            let store = at(&own, &format!("begin-output-{output}")).await;
            for (operation, _) in OPERATIONS {
                // A body before a response, and a URL of nowhere; any other operation may be done without a request.
                let is_wrong = operation != output || matches!(operation, "get" | "presign");
                match call(&store, operation).await {
                    Err(error) if is_wrong => assert!(is_plugin_error(&error), "{operation}, {output}: {error:?}"),
                    outcome => assert!(!is_wrong && outcome.is_ok(), "{operation}, {output}: {outcome:?}"),
                }
            }
            assert!(own.seen().is_empty(), "{output}: {:?}", own.seen());
            let store = at(&own, &format!("resume-output-{output}")).await;
            for (operation, _) in OPERATIONS.into_iter().filter(|(name, _)| *name != "presign" && *name != output) {
                let error = call(&store, operation).await.expect_err(operation);
                assert!(is_plugin_error(&error), "{operation}, {output}: {error:?}");
            }
        }
        bystanders.are_unharmed().await;
    });
}

#[test]
fn body_for_the_caller_needs_an_unread_successful_response() {
    run(async {
        // The driver has read the body, or the response is an error.
        for (mode, status) in [("buffered-get", 200), ("get-of-error-response", 404), ("get-of-error-response", 503)] {
            let own = Faulty::start((0..10).map(|_| Act::respond(status, "", "0123456789"))).await;
            let error = match at(&own, mode).await.get("k").await {
                Ok(blob) => blob.bytes().await.expect_err(mode),
                Err(error) => error,
            };
            assert!(is_plugin_error(&error), "{mode}: {error:?}");
        }
        // A document that the plugin leaves unread is no part of the next response.
        let own = Faulty::start((0..10).map(|_| Act::respond(200, "", "x".repeat(100_000)))).await;
        let store = at(&own, "unread-document").await;
        for _ in 0..3 {
            store.list("").await.expect("an empty page");
        }
        assert_eq!(own.seen().len(), 3);
    });
}

#[test]
fn bodies_are_sent_only_by_operations_that_have_one() {
    run(async {
        for mode in ["caller-body", "plugin-body"] {
            let own = agreeable().await;
            let store = at(&own, mode).await;
            for operation in [
                "head",
                "get",
                "list",
                "list-versions",
                "delete",
                "get-tags",
                "list-parts",
                "abort-upload",
                "bucket-exists",
            ] {
                let error = call(&store, operation).await.expect_err(operation);
                assert!(matches!(error, Error::Plugin { .. } | Error::Network(_)), "{mode}, {operation}: {error:?}");
            }
            assert!(own.seen().is_empty(), "{mode}: {:?}", own.seen());
        }
        // The caller has no body for a request of these.
        let own = agreeable().await;
        let store = at(&own, "caller-body").await;
        for operation in
            ["delete-many", "set-tags", "create-upload", "copy", "copy-part", "complete-upload", "create-bucket"]
        {
            let error = call(&store, operation).await.expect_err(operation);
            assert!(matches!(error, Error::Plugin { .. } | Error::Network(_)), "{operation}: {error:?}");
        }
        assert!(own.seen().is_empty(), "{:?}", own.seen());
        let store = at(&own, "huge-body").await;
        let error = store.set_tags("k", [("a", "b")]).await.expect_err("a document of megabytes");
        assert!(is_stopped(&error), "{error:?}");
    });
}

#[test]
fn buffered_responses_are_bounded() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        // 4 GiB are read only as far as they arrive.
        let own = Faulty::start([Act::respond(200, "", "small")]).await;
        at(&own, "buffer-4gib").await.list("").await.expect("an empty page");
        let endless = || Act::flood("HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n", "x");
        let own = Faulty::start((0..100).map(|_| endless())).await;
        let store = at(&own, "buffer-4gib").await;
        let began = Instant::now();
        for operation in ["list", "get-tags"] {
            // The plugin may be done with the part of the document that the host passes to it.
            if let Err(error) = call(&store, operation).await {
                let in_time = matches!(error, Error::Network(_) | Error::Timeout(_) | Error::Overdue { .. });
                assert!(in_time || is_stopped(&error), "{operation}: {error:?}");
            }
        }
        assert!(began.elapsed() < CALL_TIME * 10, "{:?}", began.elapsed());
        bystanders.are_unharmed().await;
    });
}

#[test]
fn trap_fails_only_its_operation_of_a_batch() {
    run(async {
        // All are passed to the plugin in one call, in which one of them traps or loops.
        for mode in ["one-traps", "one-traps-in-resume", "one-loops"] {
            let service = Faulty::start((0..8).map(|_| Act::respond(200, "", "0123456789"))).await;
            let store = at(&service, mode).await;
            let keys = ["a", "b", "c", "misdeed", "d", "e", "f", "g"];
            let calls = keys.map(|key| store.get(key).into_future());
            for (key, got) in keys.iter().zip(join_all(calls).await) {
                match got {
                    Ok(blob) if *key != "misdeed" => assert_eq!(blob.bytes().await.unwrap(), "0123456789"),
                    Err(Error::Trapped { .. }) if *key == "misdeed" && mode != "one-loops" => {}
                    Err(Error::OutOfTime { .. }) if *key == "misdeed" && mode == "one-loops" => {}
                    other => panic!("{mode}, {key}: {other:?}"),
                }
            }
            assert_eq!(store.pool().busy, 0);
        }
    });
}

#[test]
fn miscounted_results_fail_the_operation() {
    run(async {
        let store = rogue("begin-no-results", NOWHERE, "").await.unwrap();
        let error = store.get("k").await.expect_err("there is no request");
        assert!(error.to_string().contains("fewer"), "{error}");
        for mode in ["begin-more-results", "begin-countless-results", "resume-no-results", "resume-more-results"] {
            let own = agreeable().await;
            let store = at(&own, mode).await;
            let error = store.get("k").await.expect_err(mode);
            assert!(matches!(error, Error::Plugin { .. } | Error::Trapped { .. }), "{mode}: {error:?}");
            assert_eq!((store.pool().busy, store.pool().discarded), (0, 1), "{mode}: {:?}", store.pool());
            assert_eq!(own.seen().len(), usize::from(mode.starts_with("resume-")), "{mode}");
        }
        // Results in another order are requests and outputs of other operations.
        let own = Faulty::start((0..100).map(|_| Act::respond(200, "", "0123456789"))).await;
        let store = at(&own, "reversed-results").await;
        let calls = ["head", "get", "put", "delete", "list", "get-tags"].map(|operation| call(&store, operation));
        for outcome in join_all(calls).await {
            if let Err(error) = outcome {
                assert!(matches!(error, Error::Network(_) | Error::Plugin { .. }), "{error:?}");
            }
        }
        assert_eq!(store.pool().busy, 0);
    });
}

#[test]
fn miscounted_outcomes_fail_a_bulk_deletion() {
    run(async {
        for mode in ["few-outcomes", "more-outcomes", "many-outcomes"] {
            let own = agreeable().await;
            let store = at(&own, mode).await;
            let outcomes = store.delete_many(["a", "b", "c"]).await;
            let errors: Vec<_> = match outcomes {
                Ok(outcomes) => outcomes.into_iter().map(|outcome| outcome.expect_err(mode)).collect(),
                Err(error) => vec![error],
            };
            assert!(!errors.is_empty());
            for error in errors {
                assert!(is_stopped(&error) || matches!(error, Error::Integrity(_)), "{mode}: {error:?}");
            }
        }
    });
}

#[test]
fn trap_in_a_step_is_contained() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        for function in ["begin", "resume"] {
            for misdeed in ["loop", "unreachable", "panic", "recurse", "sleep", "allocate"] {
                let mode = format!("{function}-{misdeed}");
                let own = agreeable().await;
                let store = at(&own, &mode).await;
                let error = store.get("k").await.expect_err("it does not return");
                assert!(error.failure().is_none(), "{mode}: {error:?}");
                assert_eq!((store.pool().busy, store.pool().discarded), (0, 1), "{mode}: {:?}", store.pool());
            }
        }
        bystanders.are_unharmed().await;
    });
}

#[test]
fn oversized_state_ends_the_operation() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let own = agreeable().await;
        for mode in ["huge-state", "growing-state"] {
            let store = at(&own, mode).await;
            for operation in ["head", "get", "put", "list"] {
                let error = call(&store, operation).await.expect_err(operation);
                assert!(is_stopped(&error), "{mode}, {operation}: {error:?}");
                assert_harmless(&error);
            }
            assert_eq!((store.pool().busy, store.pool().discarded), (0, 4), "{mode}: {:?}", store.pool());
        }
        // The error of a retry that is not sent: truncated, if there is memory for it.
        let store = at(&own, "huge-retries").await;
        for operation in ["head", "get", "put", "list"] {
            let error = call(&store, operation).await.expect_err(operation);
            assert!(is_stopped(&error) || matches!(error, Error::Network(_)), "{operation}: {error:?}");
            assert_harmless(&error);
        }
        bystanders.are_unharmed().await;
    });
}

#[test]
fn endless_requests_end_the_operation() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let is_bounded = |error: &Error| {
            matches!(error, Error::Plugin { .. } | Error::Overdue { .. } | Error::Network(_) | Error::Timeout(_))
        };
        for mode in ["endless-sends", "endless-fallbacks"] {
            let own = agreeable().await;
            let store = at(&own, mode).await;
            let operations = ["head", "get", "put", "delete", "delete-many", "list", "copy", "complete-upload"];
            let began = Instant::now();
            for outcome in join_all(operations.map(|operation| call(&store, operation))).await {
                let error = outcome.expect_err(mode);
                assert!(is_bounded(&error), "{mode}: {error:?}");
            }
            assert!(began.elapsed() < CALL_TIME * 5, "{mode}: {:?}", began.elapsed());
            let sent = own.seen().len();
            assert!((operations.len() * 5..operations.len() * 64).contains(&sent), "{mode}: {sent} requests");
            assert_eq!(store.pool().busy, 0);
        }
        // A body that is a stream is there once.
        let own = agreeable().await;
        let store = at(&own, "endless-sends").await;
        let body = Body::stream(3, futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"abc"))]));
        let error = store.put("k", body).await.expect_err("the body is gone");
        assert!(is_bounded(&error), "{error:?}");
        assert!(own.seen().iter().all(|seen| seen.body == b"abc"), "{:?}", own.seen());
        // Requests that are denied count as well.
        let store = rogue("endless-sends", &own.endpoint(), "127.0.0.1:1").await.unwrap();
        let began = Instant::now();
        let error = store.get("k").await.expect_err("it is not allowed");
        assert!(is_bounded(&error), "{error:?}");
        assert!(began.elapsed() < CALL_TIME * 5, "{:?}", began.elapsed());
        bystanders.are_unharmed().await;
    });
}

#[test]
fn delays_and_timeouts_are_bounded() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let own = agreeable().await;
        at(&own, "delay-0").await.head("k").await.expect("no delay");
        let sent = own.seen().len();
        for delay in [u64::MAX, u64::MAX - 1, 1 << 62, 3_600_000_000_000] {
            let store = at(&own, &format!("delay-{delay}")).await;
            let began = Instant::now();
            let limited = store.put("k", "x").time_limit(Duration::from_millis(200)).await;
            let error = limited.expect_err("the delay is beyond the time limit");
            let in_time = matches!(error, Error::Overdue { .. } | Error::Timeout(_) | Error::Network(_));
            assert!(in_time || is_plugin_error(&error), "{delay}: {error:?}");
            assert!(began.elapsed() < CALL_TIME, "{delay}: {:?}", began.elapsed());
        }
        assert_eq!(own.seen().len(), sent, "nothing is sent before its delay");
        let silent = Faulty::start((0..10).map(|_| Act::silent().then_stall())).await;
        for timeout in [0, 1, u64::MAX] {
            let store = at(&silent, &format!("timeout-{timeout}")).await;
            let began = Instant::now();
            let error = store.head("k").time_limit(Duration::from_millis(500)).await.expect_err("no response arrives");
            let in_time = matches!(error, Error::Overdue { .. } | Error::Timeout(_) | Error::Network(_));
            assert!(in_time, "{timeout}: {error:?}");
            assert!(began.elapsed() < CALL_TIME * 5, "{timeout}: {:?}", began.elapsed());
        }
        bystanders.are_unharmed().await;
    });
}

#[test]
fn oversized_requests_are_refused() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let own = Faulty::start([]).await;
        for mode in ["many-lines", "tiny-lines", "some-lines", "long-line", "long-path"] {
            let store = at(&own, mode).await;
            for error in [store.put("k", "x").await.err(), store.get("k").await.err(), store.head("k").await.err()] {
                let error = error.unwrap_or_else(|| panic!("{mode}: it succeeded"));
                assert!(
                    matches!(error, Error::Network(_) | Error::Trapped { .. } | Error::OutOfMemory { .. }),
                    "{mode}: {error:?}"
                );
                assert!(error.to_string().len() < 5000, "{mode}: {}", error.to_string().len());
            }
        }
        assert!(own.seen().is_empty(), "{:?}", own.seen());
        bystanders.are_unharmed().await;
    });
}

#[test]
fn headers_and_methods_are_limited_to_the_operation() {
    run(async {
        let own = Faulty::start([]).await;
        let fields = [
            "expect",
            "te",
            "trailer",
            "upgrade",
            "connection",
            "transfer-encoding",
            "content-length",
            "host",
            "cookie",
            "proxy-authorization",
            "x-forwarded-for",
            "keep-alive",
            "via",
            "http2-settings",
            "accept-encoding",
            "x-other",
        ];
        for name in fields {
            let store = at(&own, &format!("field-{name}")).await;
            for failure in [
                refused!(store.put("k", "x").await, Network),
                refused!(store.get("k").await, Network),
                refused!(store.head("k").await, Network),
            ] {
                assert!(failure.message.contains(name), "{name}: {failure:?}");
            }
        }
        for method in ["get", "head", "post", "put", "delete"] {
            let store = at(&own, &format!("method-{method}")).await;
            let name = method.to_uppercase();
            let calls = [
                ("put", store.put("k", "x").into_future().await.err()),
                ("get", store.get("k").into_future().await.err()),
                ("head", store.head("k").into_future().await.err()),
            ];
            for (operation, error) in calls {
                let message = error.map(|error| error.to_string()).unwrap_or_default();
                // A GET may be preceded by a HEAD.
                let is_allowed = operation == method || (operation, method) == ("get", "head");
                assert_eq!(message.contains(&format!("the method {name}")), !is_allowed, "{operation}: {message}");
            }
        }
        // The allowed requests are all that was sent.
        let mut seen: Vec<String> = own.seen().into_iter().map(|seen| seen.method).collect();
        seen.sort();
        assert_eq!(seen, ["GET", "HEAD", "HEAD", "PUT"]);
    });
}

#[test]
fn every_operation_has_its_methods() {
    run(async {
        for method in ["get", "head", "post", "put", "delete"] {
            let own = agreeable().await;
            let store = at(&own, &format!("method-{method}")).await;
            let name = method.to_uppercase();
            for (operation, methods) in OPERATIONS.into_iter().filter(|(operation, _)| *operation != "presign") {
                // A host may allow more reads.
                if methods.contains(&&*name) || matches!(method, "get" | "head") {
                    continue;
                }
                let error = call(&store, operation).await.expect_err(operation);
                let Error::Network(failure) = &error else { panic!("{operation}, {name}: {error:?}") };
                assert!(failure.message.contains(&format!("the method {name}")), "{operation}: {failure:?}");
            }
            assert!(own.seen().is_empty(), "{name}: {:?}", own.seen());
        }
    });
}

#[test]
fn presigning_sends_no_request() {
    run(async {
        let own = agreeable().await;
        let error = at(&own, "presign-sends").await.presign(PresignedMethod::Get, "k").await.expect_err("it is local");
        assert!(matches!(error, Error::Plugin { .. } | Error::Network(_)), "{error:?}");
        assert!(own.seen().is_empty(), "{:?}", own.seen());
        for url in ["http://evil.test/k", "http://127.0.0.1:10/k", "https://127.0.0.1:9/k", "javascript:alert(1)", ""] {
            let store = rogue(&format!("presigned-{url}"), NOWHERE, "").await.unwrap();
            let error = store.presign(PresignedMethod::Get, "k").await.expect_err(url);
            assert!(is_plugin_error(&error), "{url}: {error:?}");
        }
        let store = rogue("presigned-http://127.0.0.1:9/k?x", NOWHERE, "").await.unwrap();
        store.presign(PresignedMethod::Get, "k").await.expect("its own endpoint");
    });
}

#[test]
fn oversized_outputs_are_refused() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        for (mode, operations) in [
            ("long-etag", &["head", "get"][..]),
            ("forged-etag", &["head", "get"]),
            ("long-version", &["head", "get"]),
            ("forged-type", &["head", "get"]),
            ("many-metadata", &["head", "get"]),
            ("most-metadata", &["head", "get"]),
            ("many-attributes", &["head", "get"]),
            ("long-key", &["list"]),
            ("many-entries", &["list", "list-versions", "list-parts", "get-tags"]),
            ("most-entries", &["list"]),
            ("many-prefixes", &["list"]),
            ("long-token", &["list", "create-upload"]),
            ("aliased-keys", &["list"]),
        ] {
            let own = agreeable().await;
            let store = at(&own, mode).await;
            for operation in operations {
                let error = call(&store, operation).await.expect_err(mode);
                assert!(is_stopped(&error), "{mode}, {operation}: {error:?}");
            }
        }
        bystanders.are_unharmed().await;
    });
}

#[test]
fn error_text_of_a_step_is_escaped_and_truncated() {
    run(async {
        let own = agreeable().await;
        for mode in ["begin-forged-error", "begin-huge-error", "resume-forged-error", "resume-huge-error"] {
            let error = at(&own, mode).await.head("k").await.expect_err("it fails");
            assert_harmless(&error);
        }
        // The error of a retry that is not sent.
        let store = at(&own, "forged-retries").await;
        let limited = store.head("k").time_limit(Duration::from_millis(200)).await;
        assert_harmless(&limited.expect_err("it never succeeds"));
    });
}

#[test]
fn cpu_time_is_limited_per_operation() {
    run(async {
        let bystanders = Bystanders::at_work().await;
        let own = agreeable().await;
        // Each step takes some 100 ms of CPU time and ends in another attempt.
        let store = at(&own, "computes-200").await;
        let error = store.get("k").await.expect_err("it is stopped");
        assert!(matches!(error, Error::OutOfTime { limit: CPU_TIME, .. }), "{error:?}");
        assert!(own.seen().len() <= 8, "{} requests in a call of 300 ms", own.seen().len());
        // Several at once are batched: each is charged its share. On a slow machine the time limit is reached first.
        let calls = (0..8).map(|n| store.get(format!("k{n}")).into_future());
        for outcome in join_all(calls).await {
            let error = outcome.expect_err("it is stopped");
            assert!(matches!(error, Error::OutOfTime { .. } | Error::Network(_) | Error::Overdue { .. }), "{error:?}");
        }
        bystanders.are_unharmed().await;
    });
}

#[test]
fn failed_batch_is_not_repeated() {
    run(async {
        let own = agreeable().await;
        // It computes and then returns no results, for as long as several operations are in a batch.
        let store = at(&own, "no-results-of-batch").await;
        let calls = (0..8).map(|n| store.get(format!("k{n}")).into_future());
        for outcome in join_all(calls).await {
            let error = outcome.expect_err("it retries for ever");
            assert!(matches!(error, Error::OutOfTime { .. } | Error::Network(_) | Error::Overdue { .. }), "{error:?}");
        }
        // Each failed batch costs its instance, and each operation is in one such batch at most.
        assert!(store.pool().discarded <= 8, "{:?}", store.pool());
    });
}

#[test]
fn steps_send_no_requests_over_wasi_http() {
    run(async {
        let own = Faulty::start([]).await;
        let store = at(&own, "sends-in-steps").await;
        refused!(store.get("k").time_limit(Duration::from_secs(1)).await, Network);
        // The driver's requests are all that is sent: those of the steps are for another path.
        let seen = own.seen();
        assert!((1..60).contains(&seen.len()), "{} requests in a second", seen.len());
        assert!(seen.iter().all(|seen| seen.target == "/k"), "{seen:?}");
    });
}

#[test]
fn attempts_without_backoff_are_delayed() {
    run(async {
        let own = Faulty::start((0..100_000).map(|_| Act::respond(200, "", ""))).await;
        let store = at(&own, "endless-retries").await;
        refused!(store.get("k").time_limit(Duration::from_secs(1)).await, Network);
        let sent = own.seen().len();
        assert!((5..20).contains(&sent), "{sent} requests in a second");
    });
}

#[test]
fn blob_larger_than_memory_is_too_large() {
    run(async {
        let open = async |mode| {
            let service = Faulty::start([Act::respond(200, "", "a few bytes")]).await;
            let store = at(&service, mode).await;
            (service, store)
        };
        let (_service, store) = open("vast-size").await;
        let failure = refused!(store.get("k").await.unwrap().bytes().await, TooLarge);
        assert!(failure.message.contains("memory"), "{failure:?}");
        // A blob of unknown size ends where the response does.
        let (_service, store) = open("unknown-size").await;
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "a few bytes");
    });
}
