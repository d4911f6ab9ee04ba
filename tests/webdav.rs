//! The tutorial plugin (`guest/webdav`) as a component on the host, on a WebDAV server with a real socket (WsgiDAV, in the
//! tests' Python environment: it is an independent implementation of RFC 4918 with authentication and conditions, and costs no
//! crate to compile).

use std::path::Path;
use std::sync::LazyLock;

use sandbucket::{Engine, Store};
use sandbucket_tests::python::WebDav;
use sandbucket_tests::{WEBDAV, builder, refused, run};

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| builder().plugin_file(Path::new(WEBDAV)).build().expect("an engine with the tutorial plugin"));

async fn open(server: &WebDav) -> Store {
    open_with(server, &server.password).await
}

async fn open_with(server: &WebDav, password: &str) -> Store {
    let endpoint = format!("{}/dav", server.endpoint);
    let settings = [("endpoint", endpoint.as_str()), ("username", server.username.as_str()), ("password", password)];
    ENGINE.store(settings).await.expect("the store opens")
}

/// The methods of the requests that the server received for a key.
async fn requests(server: &WebDav, key: &str) -> String {
    let settings = [("endpoint", format!("{}/requests", server.endpoint))];
    let counters = ENGINE.store(settings).await.expect("the counters open");
    let methods = counters.get(format!("dav/{key}")).await.unwrap().bytes().await.unwrap();
    String::from_utf8(methods.to_vec()).unwrap()
}

#[test]
fn blob_is_put_read_and_deleted() {
    run(async {
        let server = WebDav::start().await.unwrap();
        let store = open(&server).await;
        let written = store.put("a b+ä.txt", "hello world").content_type("text/plain").await.unwrap();
        let head = store.head("a b+ä.txt").await.unwrap();
        assert_eq!((head.size, &head.etag), (11, &written.etag));
        assert!(head.etag.is_some() && head.last_modified.is_some());
        assert_eq!(store.get("a b+ä.txt").await.unwrap().bytes().await.unwrap(), "hello world");
        assert_eq!(store.get("a b+ä.txt").range(6..100).await.unwrap().bytes().await.unwrap(), "world");
        assert_eq!(store.delete("a b+ä.txt").await.unwrap().existed, None);
        // What is gone is deleted.
        assert_eq!(store.delete("a b+ä.txt").await.unwrap().existed, Some(false));
        let failure = refused!(store.get("a b+ä.txt").await, NotFound);
        assert!(failure.message.starts_with("get \"a b+ä.txt\" at http://127.0.0.1:"), "{}", failure.message);
        assert_eq!((failure.attempts, failure.response.map(|response| response.status)), (1, Some(404)));
        refused!(store.get("nothing").range(5..9).await, NotFound);
    });
}

#[test]
fn large_body_round_trips() {
    run(async {
        let server = WebDav::start().await.unwrap();
        let store = open(&server).await;
        let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        store.put("large", body.clone()).await.unwrap();
        assert!(store.get("large").await.unwrap().bytes().await.unwrap() == body);
    });
}

#[test]
fn conditions_hold_reads_and_writes_back() {
    run(async {
        let server = WebDav::start().await.unwrap();
        let store = open(&server).await;
        let etag = store.put("k", "one").if_absent().await.unwrap().etag.expect("an entity tag");
        refused!(store.put("k", "two").if_absent().await, PreconditionFailed);
        refused!(store.put("k", "two").if_match("\"other\"").await, PreconditionFailed);
        refused!(store.get("k").if_none_match(etag.clone()).await, NotModified);
        assert_eq!(store.get("k").if_match(etag.clone()).await.unwrap().bytes().await.unwrap(), "one");
        store.put("k", "three").if_match(etag).await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "three");
    });
}

#[test]
fn failed_responses_are_retried() {
    run(async {
        let server = WebDav::start().await.unwrap();
        let store = open(&server).await;
        store.put("flaky-PUT-1", "body").await.unwrap();
        assert_eq!(requests(&server, "flaky-PUT-1").await, "PUT PUT");
        store.put("flaky-GET-1", "body").await.unwrap();
        assert_eq!(store.get("flaky-GET-1").await.unwrap().bytes().await.unwrap(), "body");
        assert_eq!(requests(&server, "flaky-GET-1").await, "PUT GET GET");
        // The first request deleted it: whether it was there is not known.
        store.put("flaky-DELETE-1", "body").await.unwrap();
        assert_eq!(store.delete("flaky-DELETE-1").await.unwrap().existed, None);
        assert_eq!(requests(&server, "flaky-DELETE-1").await, "PUT DELETE DELETE");
    });
}

#[test]
fn conditional_put_with_a_lost_response_has_an_unknown_outcome() {
    run(async {
        let server = WebDav::start().await.unwrap();
        let store = open(&server).await;
        let failure = refused!(store.put("flaky-PUT-2", "body").if_absent().await, OutcomeUnknown);
        assert_eq!((failure.attempts, failure.response.map(|response| response.status)), (2, Some(412)));
        assert!(failure.message.contains("read the key before writing again"), "{}", failure.message);
        assert_eq!(store.get("flaky-PUT-2").await.unwrap().bytes().await.unwrap(), "body");
    });
}

#[test]
fn wrong_password_is_denied_and_not_displayed() {
    run(async {
        let server = WebDav::start().await.unwrap();
        let failure = refused!(open_with(&server, "hunter2").await.get("k").await, AccessDenied);
        assert_eq!((failure.attempts, failure.response.map(|response| response.status)), (1, Some(401)));
        assert!(failure.message.contains("check the credentials") && !failure.message.contains("hunter2"));
        let endpoint = format!("{}/dav", server.endpoint);
        let failure =
            refused!(ENGINE.store([("endpoint", endpoint.as_str()), ("password", "hunter2")]).await, InvalidSettings);
        assert_eq!(failure.subject.as_deref(), Some("username"));
        assert!(!failure.message.contains("hunter2"), "{}", failure.message);
    });
}

#[test]
fn operation_that_the_plugin_does_not_have_is_unsupported() {
    run(async {
        let server = WebDav::start().await.unwrap();
        let store = open(&server).await;
        let failure = refused!(store.tags("k").await, Unsupported);
        assert_eq!(failure.attempts, 0);
        let expected =
            format!("get the tags of \"k\" at {}/dav: this plugin does not have the operation", server.endpoint);
        assert_eq!(failure.message, expected);
        refused!(store.head("k").version("1").await, Unsupported);
        refused!(store.put("k", "body").metadata("colour", "red").await, Unsupported);
        refused!(store.put("k", "body").attribute("acl", "private").await, Unsupported);
        refused!(store.get("../secret").await, InvalidArgument);
        // The host looks at the source first.
        store.put("k", "body").await.unwrap();
        refused!(store.copy("k", "l").await, Unsupported);
    });
}

/// The page shows the plugin as it is: each of its code blocks in Rust is a part of it, in its order.
#[test]
fn tutorial_shows_the_plugin_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let (page, source, manifest) =
        (read("docs/plugins.md"), read("guest/webdav/src/lib.rs"), read("guest/webdav/Cargo.toml"));
    let blocks = |language: &str| -> Vec<String> {
        let opening = format!("```{language}\n");
        page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
    };
    let mut rest = &*source;
    let shown = blocks("rust");
    assert!(shown.len() > 5, "{} blocks", shown.len());
    for block in shown {
        let (_, after) =
            rest.split_once(&*block).unwrap_or_else(|| panic!("not in the plugin, or not there:\n{block}"));
        rest = after;
    }
    for block in blocks("toml") {
        assert!(manifest.contains(&block), "not in the manifest:\n{block}");
    }
    let lines = source.lines().count() + manifest.lines().count();
    assert!(lines < 200, "{lines} lines");
}
