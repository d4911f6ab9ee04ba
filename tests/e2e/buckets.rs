//! Bucket operations (create, exists, list, delete), and copies across buckets.

use std::future::IntoFuture;

use futures::TryStreamExt;
use sandbucket::{PresignedMethod, Store};
use sandbucket_tests::{BUCKET, dev_server, open, refused, run};

async fn names(store: &Store, prefix: &str) -> Vec<String> {
    store.list_buckets(prefix).buckets().map_ok(|bucket| bucket.name).try_collect().await.unwrap()
}

#[test]
fn bucket_is_created_listed_and_deleted() {
    run(async {
        let server = dev_server().await;
        let store = open(&server.endpoint(), &[]).await;
        assert!(store.bucket_exists(BUCKET).await.unwrap());
        assert!(!store.bucket_exists("other").await.unwrap());
        store.create_bucket("other").await.unwrap();
        assert!(store.bucket_exists("other").await.unwrap());
        assert_eq!(names(&store, "").await, ["other", BUCKET]);
        assert_eq!(names(&store, "oth").await, ["other"]);
        let page = store.list_buckets("").await.unwrap();
        assert!(page.buckets.iter().all(|bucket| bucket.created.is_some()) && page.next.is_none(), "{page:?}");
        // A new bucket is usable.
        let other = open(&server.endpoint(), &[("bucket", "other")]).await;
        other.put("k", "x").await.unwrap();
        refused!(store.delete_bucket("other").into_future().await, Conflict);
        other.delete("k").await.unwrap();
        store.delete_bucket("other").await.unwrap();
        assert!(!store.bucket_exists("other").await.unwrap());
        refused!(store.delete_bucket("other").into_future().await, NotFound);
        refused!(other.put("k", "x").await, NotFound);
    });
}

#[test]
fn bucket_operations_with_wrong_keys_are_denied() {
    run(async {
        let server = dev_server().await;
        let store = open(&server.endpoint(), &[("secret-key", "not it")]).await;
        refused!(store.create_bucket("other").into_future().await, AccessDenied);
        refused!(store.list_buckets("").into_future().await, AccessDenied);
        refused!(store.bucket_exists(BUCKET).into_future().await, AccessDenied);
    });
}

#[test]
fn blob_is_copied_from_another_bucket() {
    run(async {
        let server = dev_server().await;
        let store = open(&server.endpoint(), &[("key-prefix", "mine/")]).await;
        store.create_bucket("other").await.unwrap();
        let other = open(&server.endpoint(), &[("bucket", "other")]).await;
        other.put("a/k", "from the other").content_type("text/x").metadata("a", "b").await.unwrap();
        store.copy("a/k", "k").from_bucket("other").await.unwrap();
        let blob = store.get("k").await.unwrap();
        assert_eq!(blob.info().content_type.as_deref(), Some("text/x"));
        assert_eq!(blob.info().metadata, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(blob.bytes().await.unwrap(), "from the other");
        refused!(store.copy("none", "k2").from_bucket("other").await, NotFound);
        // The same as a part of an upload.
        let upload = store.create_upload("parts").await.unwrap();
        let part = store.copy_part("parts", upload.as_str(), 1, "a/k").from_bucket("other").await.unwrap();
        store.complete_upload("parts", upload, [part]).await.unwrap();
        assert_eq!(store.get("parts").await.unwrap().bytes().await.unwrap(), "from the other");
        // The store's own bucket does not have the key.
        refused!(store.copy("a/k", "k3").await, NotFound);
        let url = store.presign(PresignedMethod::Get, "k").await.unwrap().url;
        assert!(url.contains(BUCKET), "the bucket of a copy's source is of no other operation");
    });
}
