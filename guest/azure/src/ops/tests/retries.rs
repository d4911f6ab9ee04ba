use std::time::Duration;

use sandbucket_plugin::Kind;
use sandbucket_plugin::contract::model::{GetOptions, HeadOptions, PutOptions};
use sandbucket_plugin::testing::{Script, response};

use super::{refused, store};

#[test]
fn busy_service_is_asked_again_after_its_delay() {
    let busy = refused(503, "ServerBusy").with("retry-after", "7");
    let mut script = Script::new([busy, response(200, &[("etag", "\"e\"")], "hello")]);
    assert_eq!(store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap().body, b"hello");
    assert!(script.pauses[0] >= Duration::from_secs(7), "{:?}", script.pauses);
    let busy = refused(503, "ServerBusy");
    let mut script = Script::new([busy.clone(), busy]);
    let failure = store(&[("max-retries", "1")]).get(&mut script, "k", &GetOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.retryable, failure.attempts), (Kind::Throttled, true, 2));
}

#[test]
fn rejected_signature_is_made_again_for_the_time_of_the_service() {
    let late = refused(403, "AuthenticationFailed").with("date", "Tue, 14 Nov 2023 23:13:20 GMT");
    let mut script = Script::new([late, response(200, &[("etag", "\"e\""), ("content-length", "5")], "")]);
    store(&[]).head(&mut script, "k", &HeadOptions::default()).unwrap();
    assert_eq!(script.sent[1].header("x-ms-date"), Some("Tue, 14 Nov 2023 23:13:20 GMT"));
    assert_ne!(script.sent[0].header("authorization"), script.sent[1].header("authorization"));
}

#[test]
fn wrong_key_is_not_retried_and_shows_in_no_message() {
    let key = crate::requests::tests::KEY;
    let mut script = Script::new([refused(403, "AuthenticationFailed").with("date", "Tue, 14 Nov 2023 22:13:20 GMT")]);
    let failure = store(&[]).put(&mut script, "k", b"x", &PutOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::AccessDenied, Some("access-key")));
    assert!(!failure.message.contains(key) && !format!("{failure:?}").contains("SharedKey devstore"), "{failure}");
}

#[test]
fn token_shows_in_no_message() {
    let mut token = store(&[("access-key", ""), ("sas-token", "sp=r&sig=hidden")]);
    let moved = response(301, &[("location", "https://h/devstoreaccount1/demo/k?sp=r&sig=hidden")], "");
    let failure = token.head(&mut Script::new([moved]), "k", &HeadOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::InvalidSettings, Some("endpoint")));
    assert!(failure.message.contains("https://h\"") && !format!("{failure:?}").contains("hidden"), "{failure}");
    let mut script = Script::new([refused(403, "AuthenticationFailed")]);
    let failure = token.head(&mut script, "k", &HeadOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::AccessDenied, Some("sas-token")));
    assert!(!format!("{failure:?}").contains("hidden"), "{failure}");
    assert!(script.sent[0].request.path_and_query().ends_with("/demo/k?sp=r&sig=hidden"));
    assert!(!format!("{:?}", script.sent[0].request).contains("hidden"));
}
