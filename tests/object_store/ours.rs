//! Tests beyond the crate's suite: tags, signing, checksums, large bodies, bulk deletes.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{
    Attribute, AttributeValue, Attributes, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, TagSet,
    UpdateVersion, WriteMultipart, integration,
};
use sandbucket_object_store::SandbucketStore;
use sandbucket_tests::{Kind, plain, run};

use super::start;

#[test]
fn put_sends_tags() {
    run(async {
        let (service, store) = start().await;
        if service.cannot(Kind::Garage, "it responds 501 `NotImplemented`") {
            return;
        }
        let mut tags = TagSet::default();
        tags.push("a b", "1");
        tags.push("c", "=+");
        let path = Path::from("tagged");
        store.put_opts(&path, "x".into(), PutOptions { tags: tags.clone(), ..PutOptions::default() }).await.unwrap();
        let mut there = store.store().tags("tagged").await.unwrap();
        there.sort();
        let wanted = [("a b", "1"), ("c", "=+")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(there, wanted);
    });
}

#[test]
fn signed_urls_are_fetched_by_another_client() {
    run(async {
        let (service, store) = start().await;
        if service
            .cannot(Kind::Azurite, "a presigned put needs the header x-ms-blob-type, which a URL alone does not carry")
        {
            return;
        }
        service.prepare_for_presigned().await;
        let path = Path::from("a folder/é +.txt");
        let minute = Duration::from_secs(60);
        let url = store.signed_url(Method::PUT, &path, minute).await.unwrap();
        let type_ = [("content-type".to_owned(), "text/plain".to_owned())];
        assert_eq!(plain::fetch("PUT", url.as_str(), &type_, "body").await.unwrap().status, 200);
        let url = store.signed_url(Method::GET, &path, minute).await.unwrap();
        assert_eq!(plain::fetch("GET", url.as_str(), &[], "").await.unwrap().body, "body");
        let html = SignedUrlOptions::new().with_query([("response-content-type", "text/html")]);
        let url = store.signed_url_opts(Method::GET, &path, minute, &html).await.unwrap();
        let response = plain::fetch("GET", url.as_str(), &[], "").await.unwrap();
        assert_eq!(response.content_type.as_deref(), Some("text/html"));
        for (method, query) in [(Method::POST, ("versionId", "v")), (Method::GET, ("unheard-of", "x"))] {
            let options = SignedUrlOptions::new().with_query([query]);
            let refused = store.signed_url_opts(method, &path, minute, &options).await.unwrap_err();
            assert!(matches!(refused, Error::NotSupported { .. }), "{refused}");
        }
    });
}

#[test]
fn suite_passes_with_checksums_and_unsigned_bodies() {
    run(async {
        let (service, _) = start().await;
        let settings: &[_] = match service.kind {
            Kind::Azurite => &[("checksum", "md5")],
            _ => &[("checksum", "sha256"), ("checksum", "crc64nvme"), ("payload-signing", "unsigned")],
        };
        for &setting in settings {
            let store = service.open(&[setting, ("key-prefix", &format!("{}-{}/", setting.0, setting.1))]).await;
            integration::put_get_delete_list(&SandbucketStore::new(store)).await;
        }
    });
}

#[test]
fn attributes_of_every_kind_round_trip() {
    run(async {
        let (service, store) = start().await;
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, "text/plain".into());
        attributes.insert(Attribute::CacheControl, "no-store".into());
        attributes.insert(Attribute::Metadata("colour".into()), AttributeValue::from("grün"));
        if !matches!(service.kind, Kind::Garage | Kind::Ceph | Kind::Azurite) {
            attributes.insert(Attribute::StorageClass, "STANDARD_IA".into());
        }
        let path = Path::from("k");
        let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
        store.put_opts(&path, "x".into(), options).await.unwrap();
        let got = store.get(&path).await.unwrap();
        assert_eq!(got.attributes, attributes);
    });
}

#[test]
fn body_too_large_for_one_call_is_uploaded_in_parts() {
    run(async {
        let (service, store) = start().await;
        let path = Path::from("large");
        let size = (64 << 20) + 7;
        let body: PutPayload = vec![b'x'; size].into();
        store.put(&path, body).await.unwrap();
        assert_eq!(store.head(&path).await.unwrap().size, size as u64);
        assert_eq!(store.get_range(&path, size as u64 - 3..size as u64).await.unwrap(), "xxx");
        let kept = store.put_opts(&path, vec![b'y'; size].into(), PutMode::Create.into()).await;
        if !service.cannot(Kind::Garage, "it takes no notice of conditions on what is written") {
            assert!(matches!(kept, Err(Error::AlreadyExists { .. })), "{kept:?}");
        }
    });
}

#[test]
fn update_requires_the_matching_version() {
    run(async {
        let (_service, store) = start().await;
        let path = Path::from("k");
        let update = PutMode::Update(UpdateVersion { e_tag: None, version: None });
        assert!(matches!(store.put_opts(&path, "x".into(), update.into()).await, Err(Error::Generic { .. })));
        assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
    });
}

#[test]
fn delete_stream_deletes_many_blobs() {
    run(async {
        let (_service, store) = start().await;
        let paths: Vec<Path> = (0..30).map(|n| Path::from(format!("many/{n:02}"))).collect();
        for path in &paths {
            store.put(path, "x".into()).await.unwrap();
        }
        let locations = futures::stream::iter(paths.clone()).map(Ok).boxed();
        let deleted: Vec<Path> = store.delete_stream(locations).try_collect().await.unwrap();
        assert_eq!(deleted, paths);
        assert_eq!(store.list(None).count().await, 0);
        // An error in the input stream is passed on.
        let failing = futures::stream::iter([
            Ok(Path::from("a")),
            Err(Error::NotImplemented { operation: "x".into(), implementer: "y".into() }),
        ]);
        let outcome: Result<Vec<Path>, Error> = store.delete_stream(failing.boxed()).try_collect().await;
        assert!(outcome.is_err());
    });
}

#[test]
fn object_store_writers_work() {
    run(async {
        let (service, store) = start().await;
        let path = Path::from("written");
        let mut writer = WriteMultipart::new(store.put_multipart(&path).await.unwrap());
        for _ in 0..12 {
            writer.write(&[b'z'; 1 << 20]);
        }
        writer.finish().await.unwrap();
        assert_eq!(store.head(&path).await.unwrap().size, 12 << 20);
        // The blob is not written, and the upload is aborted.
        let mut upload = store.put_multipart(&Path::from("aborted")).await.unwrap();
        upload.put_part(vec![b'z'; 1 << 20].into()).await.unwrap();
        upload.abort().await.unwrap();
        assert!(store.store().list_uploads("").await.unwrap().uploads.is_empty());
        if service.cannot(Kind::Garage, "it takes no empty part") {
            return;
        }
        let mut empty = store.put_multipart(&path).await.unwrap();
        empty.complete().await.unwrap();
        assert_eq!(store.head(&path).await.unwrap().size, 0);
    });
}

#[test]
fn already_exists_error_names_the_path() {
    run(async {
        let (service, store) = start().await;
        if service.cannot(Kind::Garage, "it takes no notice of conditions on what is written")
            || service.cannot(Kind::Moto, "it copies whatever the condition")
        {
            return;
        }
        let (from, to) = (Path::from("from"), Path::from("to"));
        store.put(&from, "a".into()).await.unwrap();
        store.put(&to, "b".into()).await.unwrap();
        let copied = store.copy_if_not_exists(&from, &to).await;
        let renamed = store.rename_if_not_exists(&from, &to).await;
        for refused in [copied, renamed] {
            assert!(matches!(&refused, Err(Error::AlreadyExists { path, .. }) if path == "to"), "{refused:?}");
        }
        store.rename_if_not_exists(&from, &Path::from("new")).await.unwrap();
        assert!(matches!(store.head(&from).await, Err(Error::NotFound { .. })));
        assert_eq!(store.get(&Path::from("new")).await.unwrap().bytes().await.unwrap(), "a");
    });
}

#[test]
fn upload_completes_after_all_parts() {
    run(async {
        let (_service, store) = start().await;
        let path = Path::from("k");
        let mut upload = store.put_multipart(&path).await.unwrap();
        let (first, last) = (upload.put_part(vec![b'a'; 5 << 20].into()), upload.put_part("b".into()));
        first.await.unwrap();
        // Completing too early fails, and the upload continues.
        assert!(upload.complete().await.unwrap_err().to_string().contains("1 of 2"));
        last.await.unwrap();
        upload.complete().await.unwrap();
        assert_eq!(store.head(&path).await.unwrap().size, (5 << 20) + 1);
    });
}

#[test]
fn errors_name_the_operation_and_path() {
    run(async {
        let (_service, store) = start().await;
        let error = store.get(&Path::from("no/such")).await.unwrap_err();
        assert!(matches!(&error, Error::NotFound { path, .. } if path == "no/such"), "{error:?}");
        assert!(
            error.to_string().contains("no/such")
                && (error.to_string().contains("in bucket") || error.to_string().contains("in container")),
            "{error}"
        );
        assert!(store.list(Some(&Path::from("none"))).next().await.is_none());
        assert_eq!(format!("{store}"), "Sandbucket");
    });
}

#[test]
fn ranges_beyond_the_blob_are_errors() {
    run(async {
        let (_service, store) = start().await;
        let path = Path::from("short");
        store.put(&path, vec![7; 50].into()).await.unwrap();
        // Adjacent ranges are fetched in one request.
        for ranges in [&[0..10, 100..110][..], &[100..110, 0..10], &[0..10, 51..60], &[60..70, 80..90]] {
            store.get_ranges(&path, ranges).await.expect_err("there is nothing in one of them");
        }
        let cut = store.get_ranges(&path, &[0..10, 45..60]).await.unwrap();
        assert_eq!(cut.iter().map(|bytes| bytes.len()).collect::<Vec<_>>(), [10, 5]);
    });
}
