//! Containers, the contract's buckets; and copies across them.

use std::future::IntoFuture;

use futures::TryStreamExt;
use sandbucket::Store;
use sandbucket_tests::{refused, run};

use crate::start;

async fn names(store: &Store, prefix: &str) -> Vec<String> {
    store.list_buckets(prefix).buckets().map_ok(|bucket| bucket.name).try_collect().await.unwrap()
}

#[test]
fn container_is_created_listed_and_deleted_only_if_empty() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let name = format!("{}-other", server.bucket());
        assert!(store.bucket_exists(server.bucket()).await.unwrap());
        assert!(!store.bucket_exists(&name).await.unwrap());
        store.create_bucket(&name).await.unwrap();
        refused!(store.create_bucket(&name).into_future().await, Conflict);
        assert!(store.bucket_exists(&name).await.unwrap());
        assert_eq!(names(&store, &name).await, std::slice::from_ref(&name));
        assert!(names(&store, "").await.contains(&name));
        let other = server.open(&[("container", &name)]).await;
        other.put("k", "x").await.unwrap();
        // Azure itself deletes a container with all that is in it.
        refused!(store.delete_bucket(&name).into_future().await, Conflict);
        assert_eq!(other.get("k").await.unwrap().bytes().await.unwrap(), "x");
        other.delete("k").await.unwrap();
        store.delete_bucket(&name).await.unwrap();
        assert!(!store.bucket_exists(&name).await.unwrap());
        refused!(store.delete_bucket(&name).into_future().await, NotFound);
        let failure = refused!(other.put("k", "x").await, NotFound);
        assert_eq!(failure.subject.as_deref(), Some("container"));
    });
}

#[test]
fn blob_is_copied_from_another_container() {
    run(async {
        let server = start().await;
        let store = server.open(&[("key-prefix", "mine/")]).await;
        let name = format!("{}-source", server.bucket());
        store.create_bucket(&name).await.unwrap();
        let other = server.open(&[("container", &name)]).await;
        other.put("a/k", "from the other").content_type("text/x").metadata("a", "b").await.unwrap();
        store.copy("a/k", "k").from_bucket(&name).await.unwrap();
        let blob = store.get("k").await.unwrap();
        assert_eq!(blob.info().content_type.as_deref(), Some("text/x"));
        assert_eq!(blob.info().metadata, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(blob.bytes().await.unwrap(), "from the other");
        refused!(store.copy("none", "k2").from_bucket(&name).await, NotFound);
        // The store's own container does not have the key.
        refused!(store.copy("a/k", "k3").await, NotFound);
    });
}
