//! Listings, by page or as a stream, and bulk deletes.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use sandbucket::{BlobName, Entry, Store};
use sandbucket_tests::{Kind, refused, run};

use crate::start;

async fn write(store: &Store, keys: impl IntoIterator<Item = impl AsRef<str>>) {
    let keys: Vec<String> = keys.into_iter().map(|key| key.as_ref().to_owned()).collect();
    for some in keys.chunks(16) {
        let writes = some.iter().map(|key| store.put(key, key.clone()).into_future());
        futures::future::try_join_all(writes).await.unwrap();
    }
}

fn keys(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

async fn all(store: &Store, prefix: &str) -> Vec<String> {
    store.list(prefix).entries().map_ok(|entry| entry.key).try_collect().await.unwrap()
}

#[test]
fn list_returns_written_blobs() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        assert_eq!(store.list("").await.unwrap(), sandbucket::ListPage::default());
        write(&store, ["a", "b/1", "b/2", "c"]).await;
        let page = store.list("").await.unwrap();
        assert_eq!(keys(&page.entries), ["a", "b/1", "b/2", "c"]);
        assert_eq!((page.prefixes, page.next), (vec![], None));
        for entry in &page.entries {
            let head = store.head(&entry.key).await.unwrap();
            assert_eq!((entry.size, &entry.etag), (head.size, &head.etag), "{}", entry.key);
            let apart = entry.last_modified.unwrap().duration_since(head.last_modified.unwrap()).unwrap_or_default();
            assert!(apart.as_secs() < 2, "{apart:?}");
        }
        assert_eq!(keys(&store.list("b/").await.unwrap().entries), ["b/1", "b/2"]);
        assert_eq!(keys(&store.list("").start_after("b/1").await.unwrap().entries), ["b/2", "c"]);
    });
}

#[test]
fn unusual_keys_are_listed_literally() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let odd: BTreeSet<String> = server.kind.odd_keys().into_iter().collect();
        write(&store, &odd).await;
        // Listings and sets are both ordered by UTF-8 bytes; those of Azurite by UTF-16.
        let mut listed = all(&store, "").await;
        if server.kind == Kind::Azurite {
            listed.sort();
        }
        assert_eq!(listed, odd.iter().cloned().collect::<Vec<_>>());
        for key in &odd {
            let listed = all(&store, key).await;
            assert_eq!(listed.first(), Some(key), "{key:?}");
            let wanted: Vec<_> = odd.iter().filter(|other| other.starts_with(key.as_str())).cloned().collect();
            assert_eq!(listed, wanted, "{key:?}");
        }
    });
}

#[test]
fn delimiter_folds_keys_into_folders() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        write(&store, ["a", "f/1", "f/2", "f/g/3", "h//4", "h/5"]).await;
        let root = store.list("").delimiter("/").await.unwrap();
        assert_eq!((keys(&root.entries), root.prefixes), (vec!["a"], vec!["f/".to_owned(), "h/".to_owned()]));
        let folder = store.list("f/").delimiter("/").await.unwrap();
        assert_eq!((keys(&folder.entries), folder.prefixes), (vec!["f/1", "f/2"], vec!["f/g/".to_owned()]));
        let empty = store.list("h/").delimiter("/").await.unwrap();
        assert_eq!((keys(&empty.entries), empty.prefixes), (vec!["h/5"], vec!["h//".to_owned()]));
    });
}

#[test]
fn long_list_is_paged_and_deleted_in_batches() {
    run(async {
        let server = start().await;
        let store = server.open(&[("key-prefix", "tenant/")]).await;
        // More than one page, and more than one batch.
        let wanted: Vec<String> = (0..1207).map(|n| format!("k/{n:05}")).collect();
        write(&store, &wanted).await;
        assert_eq!(all(&store, "k/").await, wanted);
        let small: Vec<String> =
            store.list("k/000").page_size(7).entries().map_ok(|entry| entry.key).try_collect().await.unwrap();
        assert_eq!(small, wanted[..100]);
        let pages: Vec<_> = store.list("k/000").page_size(40).pages().try_collect().await.unwrap();
        assert_eq!(pages.iter().map(|page| page.entries.len()).collect::<Vec<_>>(), [40, 40, 20]);
        let next = store.list("k/").page_size(1000).await.unwrap().next.unwrap();
        let last = store.list("k/").continuation(next).await.unwrap();
        assert_eq!((last.entries.len(), last.next), (207, None));

        let outcomes = store.delete_many(&wanted).await.unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), wanted.len());
        assert_eq!(all(&store, "").await, Vec::<String>::new());
    });
}

#[test]
fn unusual_keys_are_deleted_in_bulk() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let odd = server.kind.odd_keys();
        write(&store, &odd).await;
        store.put("left alone", "x").await.unwrap();
        let named = odd.iter().map(String::as_str).chain(["never there"]);
        for (n, outcome) in store.delete_many(named).await.unwrap().into_iter().enumerate() {
            outcome.unwrap_or_else(|error| panic!("{:?}: {error}", odd.get(n)));
        }
        assert_eq!(all(&store, "").await, ["left alone"]);
    });
}

#[test]
fn list_versions_works_on_an_unversioned_bucket() {
    run(async {
        let server = start().await;
        if server.cannot(Kind::Garage, "it responds 501 `NotImplemented`") {
            return;
        }
        let store = server.open(&[]).await;
        write(&store, ["a", "b+ é", "c"]).await;
        let entries: Vec<_> = store.list_versions("").page_size(2).entries().try_collect().await.unwrap();
        let reported: Vec<_> =
            entries.iter().map(|entry| (entry.blob.key.as_str(), entry.latest, entry.deleted)).collect();
        assert_eq!(reported, [("a", true, false), ("b+ é", true, false), ("c", true, false)]);
        assert!(entries.iter().all(|entry| entry.version.is_none()), "{entries:?}");
    });
}

#[test]
fn invalid_list_or_batch_is_rejected_before_a_request() {
    run(async {
        let store = start().await.open_nowhere().await;
        let failure = refused!(store.list("").page_size(0).await, InvalidArgument);
        assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("page-size")));
        let failure = refused!(store.list("").continuation("of another store").await, InvalidArgument);
        assert_eq!(failure.subject.as_deref(), Some("continuation"));
        // Either the whole batch is rejected or nothing.
        for outcome in store.delete_many(["k", ""]).await.unwrap() {
            let failure = refused!(outcome, InvalidArgument);
            assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("key")));
        }
        assert!(store.delete_many(Vec::<BlobName>::new()).await.unwrap().is_empty());
    });
}
