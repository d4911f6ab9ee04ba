//! Presigned URLs, fetched by a client without any knowledge of S3.

use std::time::Duration;

use sandbucket::PresignedMethod::{Delete, Get, Head, Put};
use sandbucket_tests::{Kind, plain, refused, run};

use crate::start;

#[test]
fn presigned_urls_permit_their_method_only() {
    run(async {
        let server = start().await;
        let checks = server.prepare_for_presigned().await;
        let store = server.open(&[("key-prefix", "tenant/")]).await;
        let key = "a +/é?&=.txt";
        let put = store.presign(Put, key).header("content-type", "text/plain").await.unwrap();
        assert!(put.headers.contains(&("content-type".to_owned(), "text/plain".to_owned())), "{:?}", put.headers);
        let response = plain::fetch("PUT", &put.url, &put.headers, "body").await.unwrap();
        assert_eq!(response.status, if server.kind == Kind::Azurite { 201 } else { 200 }, "{:?}", response.body);
        assert_eq!(store.head(key).await.unwrap().content_type.as_deref(), Some("text/plain"));

        let get = store.presign(Get, key).expires(Duration::from_secs(60)).await.unwrap();
        let response = plain::fetch("GET", &get.url, &get.headers, "").await.unwrap();
        assert_eq!(
            (response.status, &*response.body, response.content_type.as_deref()),
            (200, &b"body"[..], Some("text/plain"))
        );
        let head = store.presign(Head, key).await.unwrap();
        let response = plain::fetch("HEAD", &head.url, &head.headers, "").await.unwrap();
        assert_eq!((response.status, response.body.len()), (200, 0));
        let other = store.presign(Get, key).attribute("response-content-type", "text/html").await.unwrap();
        let response = plain::fetch("GET", &other.url, &[], "").await.unwrap();
        assert_eq!((response.status, response.content_type.as_deref()), (200, Some("text/html")));

        if checks {
            // Another method, key or header invalidates the signature.
            let changed = get.url.replace("tenant", "tenanT");
            let wrong = [("DELETE", &get.url), ("GET", &changed)];
            for (method, url) in wrong {
                assert_eq!(plain::fetch(method, url, &[], "").await.unwrap().status, 403, "{method} {url}");
            }
            let type_ = [("content-type".to_owned(), "text/html".to_owned())];
            if !server.cannot(Kind::Azurite, "signatures of Azure cover no headers") {
                assert_eq!(plain::fetch("PUT", &put.url, &type_, "x").await.unwrap().status, 403);
            }
            let brief = store.presign(Get, key).expires(Duration::from_secs(1)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2500)).await;
            // S3 responds 403, Garage 400.
            assert!([400, 403].contains(&plain::fetch("GET", &brief.url, &[], "").await.unwrap().status));
        }

        let delete = store.presign(Delete, key).await.unwrap();
        let response = plain::fetch("DELETE", &delete.url, &delete.headers, "").await.unwrap();
        assert!((200..300).contains(&response.status), "{}", response.status);
        if server.kind != Kind::Moto {
            refused!(store.head(key).await, NotFound);
        }
    });
}
