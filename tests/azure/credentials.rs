//! Shared Key, shared access signatures and anonymous access.

use sandbucket::PresignedMethod;
use sandbucket_tests::azurite::KEY;
use sandbucket_tests::{refused, run};

use crate::exchange::python;
use crate::start;

/// Settings without a key.
const NO_KEY: (&str, &str) = ("access-key", "");

#[test]
fn wrong_key_is_denied_and_shows_in_no_error() {
    run(async {
        let server = start().await;
        let wrong = "d3JvbmcgYnV0IHNlY3JldA==";
        let store = server.open(&[("access-key", wrong)]).await;
        for error in [store.put("k", "x").await.err(), store.get("k").await.err(), store.delete("k").await.err()] {
            let failure = refused!(Err::<(), _>(error.unwrap()), AccessDenied);
            assert_eq!((failure.attempts, failure.retryable), (1, false), "{failure:?}");
            assert!(
                failure.message.contains(server.bucket()) && !format!("{failure:?}").contains(wrong),
                "{failure:?}"
            );
        }
        refused!(server.open(&[]).await.head("k").await, NotFound);
    });
}

#[test]
fn signature_of_one_blob_permits_what_it_says() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("k", "body").await.unwrap();
        let url = store.presign(PresignedMethod::Get, "k").await.unwrap().url;
        let (_, token) = url.split_once('?').unwrap();
        let reader = server.open(&[NO_KEY, ("sas-token", token)]).await;
        assert_eq!(reader.get("k").await.unwrap().bytes().await.unwrap(), "body");
        let failure = refused!(reader.put("k", "other").await, AccessDenied);
        assert_eq!(failure.subject.as_deref(), Some("sas-token"));
        assert!(!format!("{failure:?}").contains("sig="), "{failure:?}");
        refused!(reader.get("other").await, AccessDenied);
        refused!(reader.presign(PresignedMethod::Get, "k").await, Unsupported);
    });
}

#[test]
fn signature_of_a_container_by_another_client_permits_all_operations() {
    run(async {
        let server = start().await;
        let token = python(&server, "sas", "\"racwdlt\"").await;
        let token: String = serde_json::from_str(&token).unwrap();
        for token in [format!("?{token}"), token] {
            let store = server.open(&[NO_KEY, ("sas-token", &token)]).await;
            store.put("k", "body").attribute("tags", "a=1").await.unwrap();
            assert_eq!(store.get("k").range(1..3).await.unwrap().bytes().await.unwrap(), "od");
            assert_eq!(store.list("").await.unwrap().entries.len(), 1);
            store.copy("k", "copy").await.unwrap();
            let id = store.create_upload("parts").await.unwrap();
            let part = store.upload_part("parts", &id, 1, "x").await.unwrap();
            assert_eq!(store.list_parts("parts", &id).await.unwrap().parts.len(), 1);
            store.complete_upload("parts", &id, [part]).await.unwrap();
            assert!(store.delete_many(["k", "copy", "parts"]).await.unwrap().iter().all(Result::is_ok));
        }
        let reader: String = serde_json::from_str(&python(&server, "sas", "\"r\"").await).unwrap();
        let reader = server.open(&[NO_KEY, ("sas-token", &reader)]).await;
        refused!(reader.list("").await, AccessDenied);
    });
}

#[test]
fn public_container_is_read_anonymously() {
    run(async {
        let server = start().await;
        server.open(&[]).await.put("k", "free for all").await.unwrap();
        let anonymous = server.open(&[NO_KEY]).await;
        let failure = refused!(anonymous.get("k").await, AccessDenied);
        assert_eq!(failure.subject.as_deref(), Some("access-key"), "{failure:?}");
        python(&server, "publish", "null").await;
        assert_eq!(anonymous.get("k").await.unwrap().bytes().await.unwrap(), "free for all");
        refused!(anonymous.put("k", "x").await, AccessDenied);
    });
}

#[test]
fn settings_are_rejected_without_showing_a_secret() {
    run(async {
        let server = start().await;
        for (name, value) in [
            ("container", "UPPER"),
            ("container", ""),
            ("access-key", "not base64, but hidden"),
            ("sas-token", "sp=r&sig=hidden"),
            ("max-retries", "many"),
            ("key-prefix", "../"),
            ("checksum", "crc32"),
        ] {
            let failure = refused!(server.try_open(&[(name, value)]).await, InvalidSettings);
            assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some(name)), "{failure:?}");
            assert!(!format!("{failure:?}").contains("hidden") && !format!("{failure:?}").contains(KEY), "{failure:?}");
        }
        let failure = refused!(server.try_open(&[("acount", "x")]).await, InvalidSettings);
        assert!(failure.message.contains("did you mean account"), "{failure:?}");
    });
}
