//! Server-side copies and renames.

use sandbucket_tests::{Kind, refused, run};

use crate::start;

#[test]
fn copy_preserves_body_and_metadata() {
    run(async {
        let server = start().await;
        let store = server.open(&[("key-prefix", "tenant/")]).await;
        let put = store.put("from +é?", "body").content_type("text/plain").metadata("a", "1");
        put.attribute("cache-control", "no-store").await.unwrap();
        let copied = store.copy("from +é?", "to").await.unwrap();
        let blob = store.get("to").await.unwrap();
        let info = blob.info().clone();
        assert_eq!((info.content_type.as_deref(), info.etag), (Some("text/plain"), copied.etag));
        assert_eq!(info.metadata, [("a".to_owned(), "1".to_owned())]);
        assert!(
            info.attributes.contains(&("cache-control".to_owned(), "no-store".to_owned())),
            "{:?}",
            info.attributes
        );
        assert_eq!(blob.bytes().await.unwrap(), "body");
        assert_eq!(store.get("from +é?").await.unwrap().bytes().await.unwrap(), "body");
        refused!(store.copy("nothing", "to").await, NotFound);
    });
}

#[test]
fn unusual_keys_are_copied_to_unusual_keys() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let odd = server.kind.odd_keys();
        for key in &odd {
            store.put(key, key.clone()).await.unwrap();
        }
        for (from, to) in odd.iter().zip(odd.iter().rev()).filter(|(from, to)| from.len() + 2 <= 1024 && from != to) {
            let to = format!("c/{to}");
            if to.len() > 1024 || !server.kind.takes(&to) {
                continue;
            }
            store.copy(from, &to).await.unwrap_or_else(|error| panic!("{from:?} to {to:?}: {error}"));
            assert_eq!(store.get(&to).await.unwrap().bytes().await.unwrap(), *from, "{from:?} to {to:?}");
        }
    });
}

#[test]
fn copy_may_replace_properties() {
    run(async {
        let server = start().await;
        if server.cannot(Kind::Azurite, "it has no Put Blob From URL") {
            return;
        }
        let store = server.open(&[]).await;
        store.put("k", "body").content_type("text/plain").metadata("a", "1").await.unwrap();
        store.copy("k", "k").replace().content_type("text/html").metadata("b", "grün").await.unwrap();
        let info = store.head("k").await.unwrap();
        assert_eq!(info.content_type.as_deref(), Some("text/html"));
        assert_eq!(info.metadata, [("b".to_owned(), "grün".to_owned())]);
        let failure = refused!(store.copy("k", "l").attribute("cache-control", "no-store").await, InvalidArgument);
        assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("cache-control")));
    });
}

#[test]
fn copy_honours_its_conditions() {
    run(async {
        let server = start().await;
        if server.cannot(Kind::Moto, "it copies whatever the condition") {
            return;
        }
        let store = server.open(&[]).await;
        let tag = store.put("from", "body").await.unwrap().etag.unwrap();
        store.copy("from", "a").source_if_match(&tag).await.unwrap();
        refused!(store.copy("from", "b").source_if_match("\"another\"").await, PreconditionFailed);
        refused!(store.copy("from", "b").source_if_none_match(&tag).await, PreconditionFailed);
        refused!(store.head("b").await, NotFound);
        if server.cannot(Kind::Garage, "it takes no notice of conditions on what is written") {
            return;
        }
        refused!(store.copy("from", "a").if_absent().await, PreconditionFailed);
        let made = store.copy("from", "c").if_absent().await.unwrap().etag.unwrap();
        refused!(store.copy("from", "c").if_match("\"another\"").await, PreconditionFailed);
        store.copy("from", "c").if_match(&made).await.unwrap();
    });
}

#[test]
fn rename_moves_the_blob() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("from", "body").metadata("a", "1").await.unwrap();
        store.rename("from", "to").await.unwrap();
        refused!(store.head("from").await, NotFound);
        assert_eq!(store.get("to").await.unwrap().bytes().await.unwrap(), "body");
        // A rename to the same key keeps the blob.
        store.rename("to", "to").await.unwrap();
        assert_eq!(store.head("to").await.unwrap().size, 4);
        refused!(store.rename("from", "to").await, NotFound);
        assert_eq!(store.head("to").await.unwrap().size, 4);
        if server.kind == Kind::Dev {
            store.put("from", "other").await.unwrap();
            refused!(store.rename("from", "to").if_absent().await, PreconditionFailed);
            assert_eq!(store.head("from").await.unwrap().size, 5);
        }
    });
}
