//! What only the dev server is set up for, and what only the S3 plugin writes.

use std::time::{Duration, SystemTime};

use sandbucket::PresignedMethod::Get;
use sandbucket_dev_server::DevServer;
use sandbucket_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, open, refused, run};

#[test]
fn multipart_copy_copies_the_blob() {
    run(async {
        // S3's limit for a single copy is 5 GiB.
        let server = DevServer::builder().credentials(ACCESS_KEY, SECRET_KEY).buckets([BUCKET]).copy_limit(6 << 20);
        let server = server.start().await.unwrap();
        let store = open(&server.endpoint(), &[]).await;
        let body: Vec<u8> = (0..11 * 1024 * 1024_u32).map(|n| (n / 7) as u8).collect();
        let put = store.put("from", body.clone()).content_type("text/plain").metadata("a", "grün");
        put.attribute("cache-control", "no-store").attribute("tags", "t=1").await.unwrap();
        let copied = store.copy("from", "to").part_size(5 * 1024 * 1024).await.unwrap();
        let blob = store.get("to").await.unwrap();
        let info = blob.info().clone();
        assert!(info.etag.as_deref().unwrap().ends_with("-3\""), "it was copied at once: {:?}", info.etag);
        assert_eq!((info.content_type.as_deref(), &info.etag), (Some("text/plain"), &copied.etag));
        assert_eq!(info.metadata, [("a".to_owned(), "grün".to_owned())]);
        assert!(
            info.attributes.contains(&("cache-control".to_owned(), "no-store".to_owned())),
            "{:?}",
            info.attributes
        );
        assert_eq!(blob.bytes().await.unwrap(), body);
        assert_eq!(store.tags("to").await.unwrap(), [("t".to_owned(), "1".to_owned())]);
        // With other properties, and with conditions on source and destination; failed conditions leave nothing behind.
        store.copy("from", "to").replace().content_type("text/html").await.unwrap();
        assert_eq!(store.head("to").await.unwrap().content_type.as_deref(), Some("text/html"));
        refused!(store.copy("from", "to").if_absent().await, PreconditionFailed);
        refused!(store.copy("from", "new").source_if_match("\"another\"").await, PreconditionFailed);
        store.rename("from", "new").await.unwrap();
        refused!(store.head("from").await, NotFound);
        assert!(store.list_uploads("").await.unwrap().uploads.is_empty());
    });
}

#[test]
fn dropped_multipart_copy_is_aborted() {
    run(async {
        let server = DevServer::builder().credentials(ACCESS_KEY, SECRET_KEY).buckets([BUCKET]).min_part(1);
        let server = server.start().await.unwrap();
        let store = open(&server.endpoint(), &[]).await;
        // With so many parts that the copy is dropped while they are copied: an upload is not aborted once its completion
        // has begun.
        store.put("from", vec![7; 4 << 20]).await.unwrap();
        let left = async || store.list_uploads("").await.unwrap().uploads.len();
        let copy = tokio::spawn(store.copy("from", "to").part_size(1 << 10).into_future());
        // An upload without a response to its initiation cannot be aborted; a part shows that the response has arrived.
        let has_part = async || match store.list_uploads("").await.unwrap().uploads.first() {
            Some(upload) => !store.list_parts("to", &upload.id).await.unwrap().parts.is_empty(),
            None => false,
        };
        while !has_part().await {
            assert!(!copy.is_finished(), "it was over before it could be given up");
        }
        copy.abort();
        assert!(copy.await.unwrap_err().is_cancelled());
        sandbucket_tests::engine().drain().await;
        assert_eq!(left().await, 0);
        refused!(store.head("to").await, NotFound);
    });
}

#[test]
fn conditional_upload_succeeds_if_blobs_are_dated_at_the_initiation() {
    run(async {
        let server = DevServer::builder().credentials(ACCESS_KEY, SECRET_KEY).buckets([BUCKET]);
        let server = server.min_part(1).initiation_dates(true).start().await.unwrap();
        let store = open(&server.endpoint(), &[]).await;
        let begun = SystemTime::now();
        let mut writer = store.upload("k").part_size(8).if_absent().begin().unwrap();
        writer.write("twenty-four bytes of it.").await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let written = writer.finish().await.unwrap();
        let info = store.head("k").await.unwrap();
        assert_eq!(info.etag, written.etag);
        let age = info.last_modified.unwrap().duration_since(begun).unwrap_or_default();
        assert!(age < Duration::from_secs(2), "dated {age:?} after the initiation");
        // The next write is another writer's.
        let mut writer = store.upload("k").part_size(8).if_absent().begin().unwrap();
        writer.write("twenty-four bytes of it.").await.unwrap();
        refused!(writer.finish().await, PreconditionFailed);
        server.stop().await;
    });
}

#[test]
fn presigning_sends_no_request_and_shows_no_secret() {
    run(async {
        let store = sandbucket_tests::open("http://127.0.0.1:9", &[("security-token", "a token")]).await;
        let url = store.presign(Get, "k").version("v1").await.unwrap();
        assert!(url.url.starts_with("http://127.0.0.1:9/sandbucket-tests/k?versionId=v1&"), "{}", url.url);
        assert!(
            url.url.contains("X-Amz-Expires=900&") && url.url.contains("X-Amz-Security-Token=a%20token&"),
            "{}",
            url.url
        );
        assert!(!url.url.contains(&sandbucket_tests::SECRET_KEY.replace(' ', "%20")));
        assert!(!format!("{url:?}").contains("X-Amz"), "{url:?}");
        for expires in [Duration::from_millis(999), Duration::from_secs(7 * 24 * 3600 + 1)] {
            let failure = refused!(store.presign(Get, "k").expires(expires).await, InvalidArgument);
            assert_eq!((failure.attempts, failure.subject.as_deref()), (0, Some("expires")));
        }
        let anonymous = sandbucket_tests::open("http://127.0.0.1:9", &[("access-key", ""), ("secret-key", "")]).await;
        assert_eq!(refused!(anonymous.presign(Get, "k").await, Unsupported).subject.as_deref(), Some("access-key"));
    });
}
