//! What uploads are on a service without upload objects.

use futures::TryStreamExt;
use sandbucket::Store;
use sandbucket_tests::{refused, run};

use crate::exchange::python;
use crate::start;

async fn listed(store: &Store) -> Vec<(String, String)> {
    let uploads: Vec<_> = store.list_uploads("").page_size(2).uploads().try_collect().await.unwrap();
    uploads.into_iter().map(|upload| (upload.key, upload.id.as_str().to_owned())).collect()
}

#[test]
fn uploads_to_one_key_are_apart_until_one_of_them_is_completed() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let (one, two) = (store.create_upload("k").await.unwrap(), store.create_upload("k").await.unwrap());
        let first = store.upload_part("k", &one, 1, "one").await.unwrap();
        let second = store.upload_part("k", &two, 1, "two").await.unwrap();
        for id in [&one, &two] {
            assert_eq!(store.list_parts("k", id).await.unwrap().parts.len(), 1);
        }
        let mut found = listed(&store).await;
        found.sort();
        let mut wanted = [&one, &two].map(|id| ("k".to_owned(), id.as_str().to_owned()));
        wanted.sort();
        assert_eq!(found, wanted);
        // A part of another upload is none of this one.
        let failure = refused!(store.complete_upload("k", &one, [second.clone()]).await, InvalidArgument);
        assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("parts")));
        store.complete_upload("k", &one, [first.clone()]).await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "one");
        // Azure drops the other parts of the key.
        let failure = refused!(store.complete_upload("k", &two, [second]).await, NotFound);
        assert!(failure.message.contains("another write of the key dropped it"), "{failure:?}");
        // Completed again, it makes the same blob again.
        store.complete_upload("k", &one, [first]).await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "one");
        assert!(listed(&store).await.is_empty());
    });
}

#[test]
fn abort_leaves_a_committed_blob_and_other_uploads_alone() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let tag = store.put("k", "committed").await.unwrap().etag;
        let (one, two) = (store.create_upload("k").await.unwrap(), store.create_upload("k").await.unwrap());
        store.upload_part("k", &one, 1, "one").await.unwrap();
        let second = store.upload_part("k", &two, 1, "two").await.unwrap();
        for _ in 0..2 {
            store.abort_upload("k", &one).await.unwrap();
        }
        refused!(store.list_parts("k", &one).await, NotFound);
        assert_eq!(store.head("k").await.unwrap().etag, tag);
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "committed");
        store.complete_upload("k", &two, [second]).await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "two");
        // Of an upload without parts, and of none at all, nothing is left.
        let empty = store.create_upload("nothing").await.unwrap();
        store.abort_upload("nothing", &empty).await.unwrap();
        assert!(listed(&store).await.is_empty());
        refused!(store.head("nothing").await, NotFound);
    });
}

#[test]
fn upload_that_is_found_is_completed_if_it_has_no_properties() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let id = store.create_upload("bare").await.unwrap();
        store.upload_part("bare", &id, 3, "bare").await.unwrap();
        let rich = store.create_upload("rich").content_type("text/plain").await.unwrap();
        store.upload_part("rich", &rich, 1, "rich").await.unwrap();
        for (key, found) in listed(&store).await {
            let parts: Vec<_> = store.list_parts(&key, &*found).parts().try_collect().await.unwrap();
            assert_eq!(parts.len(), 1, "{key}");
            let completed = store.complete_upload(&key, &*found, parts).await;
            if key == "bare" {
                completed.unwrap();
                assert_eq!(store.get("bare").await.unwrap().bytes().await.unwrap(), "bare");
            } else {
                let failure = refused!(completed, Unsupported);
                assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("upload")));
                store.abort_upload(&key, &*found).await.unwrap();
            }
        }
        assert!(listed(&store).await.is_empty());
    });
}

#[test]
fn empty_parts_make_an_empty_blob() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        let id = store.create_upload("k").content_type("text/plain").await.unwrap();
        let part = store.upload_part("k", &id, 1, "").await.unwrap();
        assert_eq!(part.size, 0);
        store.complete_upload("k", &id, [part]).await.unwrap();
        let info = store.head("k").await.unwrap();
        assert_eq!((info.size, info.content_type.as_deref()), (0, Some("text/plain")));
    });
}

#[test]
fn blocks_of_another_client_are_left_alone() {
    run(async {
        let server = start().await;
        let store = server.open(&[]).await;
        python(&server, "stage", "{\"key\": \"k\", \"block\": \"foreign1\", \"body\": \"x\"}").await;
        assert!(listed(&store).await.is_empty());
        // The ids of a blob's uncommitted blocks are equally long.
        let id = store.create_upload("k").await.unwrap();
        let failure = refused!(store.upload_part("k", &id, 1, "y").await, Conflict);
        assert!(failure.message.contains("another client's upload"), "{failure:?}");
    });
}
