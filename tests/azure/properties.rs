//! Tiers, tags, checksums, and metadata by Azure's rules.

use sandbucket::BlobInfo;
use sandbucket_tests::{refused, run};

use crate::start;

fn attribute<'a>(info: &'a BlobInfo, name: &str) -> Option<&'a str> {
    info.attributes.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
}

#[test]
fn access_tier_is_set_per_call_or_store() {
    run(async {
        let server = start().await;
        let store = server.open(&[("access-tier", "Cool")]).await;
        store.put("k", "x").await.unwrap();
        assert_eq!(attribute(&store.head("k").await.unwrap(), "access-tier"), Some("Cool"));
        store.put("k", "x").attribute("access-tier", "Hot").await.unwrap();
        assert_eq!(attribute(&store.head("k").await.unwrap(), "access-tier"), Some("Hot"));
        let id = store.create_upload("parts").attribute("access-tier", "Cold").await.unwrap();
        let part = store.upload_part("parts", &id, 1, "x").await.unwrap();
        store.complete_upload("parts", &id, [part]).await.unwrap();
        assert_eq!(attribute(&store.head("parts").await.unwrap(), "access-tier"), Some("Cold"));
        let listed = store.list("parts").await.unwrap().entries;
        assert!(listed[0].attributes.contains(&("access-tier".to_owned(), "Cold".to_owned())), "{listed:?}");
        refused!(store.put("k", "x").attribute("storage-class", "STANDARD_IA").await, Unsupported);
    });
}

#[test]
fn tags_are_set_read_and_deleted() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        store.put("k", "body").attribute("tags", "a=1&b%20c=2").await.unwrap();
        let mut tags = store.tags("k").await.unwrap();
        tags.sort();
        assert_eq!(tags, [pair("a", "1"), pair("b c", "2")]);
        store.set_tags("k", [("x", "y=+-._:/ 1")]).await.unwrap();
        assert_eq!(store.tags("k").await.unwrap(), [pair("x", "y=+-._:/ 1")]);
        store.set_tags("k", Vec::<(String, String)>::new()).await.unwrap();
        assert_eq!(store.tags("k").await.unwrap(), []);
        refused!(store.tags("nothing").await, NotFound);
        for wrong in [[("a", "1"), ("a", "2")], [("a", "é"), ("b", "1")]] {
            let failure = refused!(store.set_tags("k", wrong).await, InvalidArgument);
            assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("tags")));
        }
    });
}

#[test]
fn metadata_names_are_identifiers() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        // In an order in which `_` and digits distinguish the service's order of signed headers from that of ASCII.
        let put = store.put("k", "x").metadata("a_b", "1").metadata("a1", "2").metadata("_z", "3").metadata("Ab", "4");
        put.await.unwrap();
        let mut metadata = store.head("k").await.unwrap().metadata;
        metadata.sort();
        let wanted = [("_z", "3"), ("a1", "2"), ("a_b", "1"), ("ab", "4")];
        assert_eq!(metadata, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for wrong in ["a-b", "1a", "a.b"] {
            let failure = refused!(store.put("k", "x").metadata(wrong, "v").await, InvalidArgument);
            assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("metadata")));
        }
    });
}

#[test]
fn bodies_are_sent_with_md5_that_the_service_verifies() {
    run(async {
        let server = start().await;
        let store = server.open(&[("checksum", "md5"), ("max-retries", "0")]).await;
        store.put("k", "body").await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "body");
        let pieces = futures::stream::iter([Ok::<_, std::io::Error>(vec![1; 6 << 20])]);
        store.upload("parts").part_size(5 << 20).stream(pieces).await.unwrap();
        assert_eq!(store.head("parts").await.unwrap().size, 6 << 20);
        // Of another body. Azurite has no code of its own for it.
        let wrong = store.put("k", "other").attribute("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==").await;
        assert!(wrong.is_err(), "{wrong:?}");
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "body");
    });
}

#[test]
fn snapshots_protect_a_blob_unless_they_are_deleted_too() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        store.put("k", "x").await.unwrap();
        store.delete("k").attribute("delete-snapshots", "include").await.unwrap();
        refused!(store.head("k").await, NotFound);
        let failure = refused!(store.delete("k").attribute("delete-snapshots", "all").await, InvalidArgument);
        assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("delete-snapshots")));
    });
}
