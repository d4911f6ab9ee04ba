//! Interoperability with boto3 in both directions, through a moto server that verifies signatures.

use futures::TryStreamExt;
use sandbucket::{BlobName, Error, Store};
use sandbucket_tests::python::{Boto, hex};
use sandbucket_tests::{BUCKET, Kind, Service, refused, run};
use serde_json::json;

struct Bench {
    moto: Service,
    boto: Boto,
}

impl Bench {
    async fn new() -> Self {
        let moto = Kind::Moto.start().await;
        let boto = moto.boto().await;
        Bench { moto, boto }
    }

    async fn store(&self, further: &[(&str, &str)]) -> Store {
        self.moto.open(further).await
    }
}

/// A distinct body for every key, with every byte value.
fn body_of(key: &str) -> Vec<u8> {
    key.bytes().chain(0..=255).collect()
}

#[test]
fn boto3_reads_blobs_written_by_sandbucket() {
    run(async {
        let mut bench = Bench::new().await;
        let store = bench.store(&[]).await;
        for key in Kind::Moto.odd_keys() {
            let put = store.put(&key, body_of(&key)).content_type("text/x-odd; a=b").metadata("Colour", "dark blue");
            let written = put.await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
            let got = bench.boto.call(json!({"op": "get", "bucket": BUCKET, "key": key})).await.unwrap();
            assert_eq!(got["body"], hex(&body_of(&key)), "{key:?}");
            assert_eq!(got["content_type"], "text/x-odd; a=b", "{key:?}");
            assert_eq!(got["metadata"], json!({"colour": "dark blue"}), "{key:?}");
            assert_eq!(got["etag"].as_str(), written.etag.as_deref(), "{key:?}");
        }
        // Every key is listed literally, and no other.
        let listed = bench.boto.call(json!({"op": "keys", "bucket": BUCKET})).await.unwrap();
        let mut listed: Vec<String> = serde_json::from_value(listed["keys"].clone()).unwrap();
        let mut wanted = Kind::Moto.odd_keys();
        listed.sort();
        wanted.sort();
        assert_eq!(listed, wanted);
    });
}

#[test]
fn sandbucket_reads_blobs_written_by_boto3() {
    run(async {
        let mut bench = Bench::new().await;
        let store = bench.store(&[]).await;
        for key in Kind::Moto.odd_keys() {
            let put = json!({
                "op": "put", "bucket": BUCKET, "key": key, "body": hex(&body_of(&key)),
                "content_type": "text/x-odd; a=b", "metadata": {"colour": "dark blue"},
            });
            bench.boto.call(put).await.unwrap();
            let blob = store.get(&key).await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
            assert_eq!(blob.info().content_type.as_deref(), Some("text/x-odd; a=b"), "{key:?}");
            assert_eq!(blob.info().metadata, [("colour".to_owned(), "dark blue".to_owned())], "{key:?}");
            assert_eq!(blob.bytes().await.unwrap(), body_of(&key), "{key:?}");
            let info = store.head(&key).await.unwrap();
            assert_eq!(info.size, body_of(&key).len() as u64);
            store.delete(&key).await.unwrap();
            refused!(store.head(&key).await, NotFound);
        }
    });
}

#[test]
fn request_with_a_wrong_secret_is_rejected() {
    run(async {
        let bench = Bench::new().await;
        for wrong in [[("secret-key", "wrong")], [("access-key", "AKIAWRONGWRONGWRONG")]] {
            let store = bench.store(&wrong).await;
            let failure = refused!(store.put("k", "x").await, AccessDenied);
            assert_eq!(failure.response.unwrap().status, 403);
            refused!(store.get("k").await, AccessDenied);
        }
        // moto accepts every region and payload signing mode, if the signature is consistent.
        for settings in [("payload-signing", "unsigned"), ("payload-signing", "signed"), ("region", "eu-central-1")] {
            let store = bench.store(&[settings]).await;
            store.put("k", "x").await.unwrap_or_else(|error| panic!("{settings:?}: {error}"));
            assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "x");
        }
    });
}

#[test]
fn missing_blob_is_a_not_found_error() {
    run(async {
        let bench = Bench::new().await;
        let failure = refused!(bench.store(&[]).await.get("nothing").await, NotFound);
        assert_eq!(failure.response.unwrap().code.as_deref(), Some("NoSuchKey"));
        let failure = refused!(bench.store(&[("bucket", "no-such-bucket")]).await.get("k").await, NotFound);
        assert_eq!(failure.response.unwrap().code.as_deref(), Some("NoSuchBucket"));
        assert!(failure.message.contains("no-such-bucket"), "{}", failure.message);
    });
}

#[test]
fn ranges_and_conditions_are_honoured() {
    run(async {
        let bench = Bench::new().await;
        let store = bench.store(&[]).await;
        let tag = store.put("k", "0123456789").await.unwrap().etag.unwrap();
        assert_eq!(store.get("k").range(2..5).await.unwrap().bytes().await.unwrap(), "234");
        assert_eq!(store.get("k").range(7..).await.unwrap().bytes().await.unwrap(), "789");
        assert_eq!(store.get("k").range(sandbucket::ByteRange::Last(2)).await.unwrap().bytes().await.unwrap(), "89");
        refused!(store.get("k").range(10..11).await, InvalidRange);

        assert_eq!(store.get("k").if_match(&tag).await.unwrap().bytes().await.unwrap(), "0123456789");
        refused!(store.get("k").if_match("\"other\"").await, PreconditionFailed);
        refused!(store.get("k").if_none_match(&tag).await, NotModified);
        refused!(store.put("k", "x").if_absent().await, PreconditionFailed);
        store.put("new", "x").if_absent().await.unwrap();
        let error = store.put("k", "x").if_match("\"other\"").await.err();
        assert!(matches!(error, Some(Error::PreconditionFailed(_))), "{error:?}");
        store.put("k", "changed").if_match(&tag).await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "changed");
    });
}

#[test]
fn versions_are_listed_read_and_deleted() {
    run(async {
        let mut bench = Bench::new().await;
        bench.boto.call(json!({"op": "keep-versions", "bucket": BUCKET})).await.unwrap();
        let store = bench.store(&[("key-prefix", "p/")]).await;
        let first = store.put("k", "first").await.unwrap().version.expect("a version");
        let second = store.put("k", "second").await.unwrap().version.expect("a version");
        assert_ne!(first, second);
        let read = async |version: &str| store.get("k").version(version).await.unwrap().bytes().await.unwrap();
        assert_eq!((read(&first).await, read(&second).await), ("first".into(), "second".into()));
        assert_eq!(store.head("k").await.unwrap().version.as_deref(), Some(second.as_str()));

        store.copy(BlobName::from("k").version(&first), "restored").await.unwrap();
        assert_eq!(store.get("restored").await.unwrap().bytes().await.unwrap(), "first");
        // A delete marker hides the versions, which still exist.
        store.delete("k").await.unwrap();
        refused!(store.get("k").await, NotFound);
        assert_eq!(read(&first).await, "first");
        let entries: Vec<_> = store.list_versions("k").entries().try_collect().await.unwrap();
        let mut reported: Vec<_> = entries.iter().map(|entry| (entry.blob.size, entry.latest, entry.deleted)).collect();
        reported.sort();
        assert_eq!(reported, [(0, true, true), (5, false, false), (6, false, false)]);
        assert!(entries.iter().all(|entry| entry.blob.key == "k" && entry.version.is_some()), "{entries:?}");

        // Deletes versions permanently: one alone, and the others in bulk.
        store.delete("k").version(&first).await.unwrap();
        refused!(store.get("k").version(&first).await, NotFound);
        let rest = entries.iter().filter(|entry| entry.version.as_deref() != Some(first.as_str()));
        let rest = rest.map(|entry| BlobName::from("k").version(entry.version.clone().unwrap()));
        assert!(store.delete_many(rest).await.unwrap().iter().all(|outcome| outcome.is_ok()));
        assert!(store.list_versions("k").await.unwrap().entries.is_empty());
    });
}
