//! Tests of the server as a client sees it: statuses, headers and bodies over HTTP.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::DevServer;

#[cfg(unix)]
mod confinement;

struct Asker {
    server: DevServer,
    client: Client<HttpConnector, Full<Bytes>>,
}

struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Response {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and S3's error code, as `404 NoSuchKey`.
    fn error(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let code = body.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next()).unwrap_or("");
        format!("{} {code}", self.status.as_u16())
    }
}

impl Asker {
    /// A server that also accepts unsigned requests.
    async fn start() -> Self {
        let server = DevServer::builder().anonymous(true).buckets(["one"]).start().await.unwrap();
        Asker { server, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = Request::builder().method(method).uri(format!("{}/{path}", self.server.endpoint()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        Response { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.ask(Method::GET, path, headers, "").await
    }

    async fn put(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        self.ask(Method::PUT, path, headers, body).await
    }
}

#[tokio::test]
async fn keys_invalid_as_file_names_are_stored_separately() {
    let asker = Asker::start().await;
    let long = "k".repeat(1024);
    let keys =
        ["a", "a/b", "a/", "a//b", "/a", "//", ".", "..", "a/../b", "b", "\u{1}\n\u{7f}", "🪣 +%~", long.as_str()];
    let path = |key: &str| format!("one/{}", utf8_percent_encode(key, NON_ALPHANUMERIC));
    for key in keys {
        let put = asker.put(&path(key), &[], &format!("content of {key:?}")).await;
        assert_eq!(put.status, 200, "{key:?}: {}", put.error());
    }
    for key in keys {
        let got = asker.get(&path(key), &[]).await;
        assert_eq!(got.body, format!("content of {key:?}"), "{key:?}");
    }
    assert_eq!(asker.ask(Method::DELETE, &path("a"), &[], "").await.status, 204);
    assert_eq!(asker.ask(Method::DELETE, &path("a"), &[], "").await.status, 204);
    assert_eq!(asker.get(&path("a"), &[]).await.error(), "404 NoSuchKey");
    assert_eq!(asker.get(&path("a/b"), &[]).await.status, 200);
    assert_eq!(asker.put(&path(&"k".repeat(1025)), &[], "").await.error(), "400 KeyTooLongError");
}

#[tokio::test]
async fn ranges_conditions_and_metadata_match_s3() {
    let asker = Asker::start().await;
    let put = asker.put("one/k", &[("x-amz-meta-Colour", "blue"), ("cache-control", "no-cache")], "0123456789").await;
    let tag = put.header("etag").to_owned();
    assert_eq!(tag, "\"781e5e245d69b566979b86e28d23f2c7\"");

    let head = asker.ask(Method::HEAD, "one/k", &[], "").await;
    assert_eq!(head.header("content-length"), "10");
    assert_eq!(head.header("content-type"), "binary/octet-stream");
    assert_eq!(head.header("x-amz-meta-colour"), "blue");
    assert_eq!(head.header("cache-control"), "no-cache");
    assert!(!head.header("x-amz-request-id").is_empty());
    let written = head.header("last-modified").to_owned();

    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=-99", 206, "bytes 0-9/10", "0123456789"),
    ] {
        let got = asker.get("one/k", &[("range", range)]).await;
        assert_eq!(
            (got.status.as_u16(), got.header("content-range"), &got.body[..]),
            (status, content_range, body.as_bytes())
        );
    }
    assert_eq!(asker.get("one/k", &[("range", "bytes=10-")]).await.error(), "416 InvalidRange");

    for (name, value, status) in [
        ("if-match", tag.as_str(), 200),
        ("if-match", "\"other\"", 412),
        ("if-match", &format!("\"other\", {tag}"), 200),
        ("if-match", "\"other\", \"another\"", 412),
        ("if-none-match", &format!("{tag},\"other\""), 304),
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", written.as_str(), 304),
        ("if-unmodified-since", written.as_str(), 200),
        ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT", 412),
    ] {
        assert_eq!(asker.get("one/k", &[(name, value)]).await.status, status, "GET {name}: {value}");
        let head = asker.ask(Method::HEAD, "one/k", &[(name, value)], "").await;
        assert_eq!(head.status, status, "HEAD {name}: {value}");
    }
    assert_eq!(asker.put("one/k", &[("if-none-match", "*")], "x").await.error(), "412 PreconditionFailed");
    assert_eq!(asker.put("one/k", &[("if-match", "\"other\"")], "x").await.error(), "412 PreconditionFailed");
    assert_eq!(asker.put("one/new", &[("if-match", &tag)], "x").await.error(), "404 NoSuchKey");
    assert_eq!(asker.put("one/new", &[("if-none-match", "*")], "x").await.status, 200);
    assert_eq!(asker.put("one/k", &[("if-match", &tag)], "x").await.status, 200);

    let big = "v".repeat(2048);
    assert_eq!(asker.put("one/k", &[("x-amz-meta-a", &big)], "x").await.error(), "400 MetadataTooLarge");
    assert_eq!(asker.get("two/k", &[]).await.error(), "404 NoSuchBucket");
    assert_eq!(asker.put("two/k", &[], "x").await.error(), "404 NoSuchBucket");
    assert_eq!(asker.get("one/k?versionId=7", &[]).await.error(), "404 NoSuchVersion");
}

#[tokio::test]
async fn parts_are_read_by_number_and_a_completion_can_be_repeated() {
    let server = DevServer::builder().anonymous(true).buckets(["one"]).min_part(1).start().await.unwrap();
    let asker = Asker { server, client: Client::builder(TokioExecutor::new()).build_http() };
    let created = asker.ask(Method::POST, "one/k?uploads", &[], "").await;
    let text = String::from_utf8(created.body.to_vec()).unwrap();
    let id = text.split("<UploadId>").nth(1).unwrap().split("</UploadId>").next().unwrap();
    let mut parts = String::new();
    for (number, body) in [(2, "abc"), (5, "de")] {
        let put = asker.put(&format!("one/k?partNumber={number}&uploadId={id}"), &[], body).await;
        parts.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", put.header("etag")));
    }
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let upload = format!("one/k?uploadId={id}");
    let done = asker.ask(Method::POST, &upload, &[], &document).await;
    assert_eq!(done.status, 200, "{}", done.error());
    let again = asker.ask(Method::POST, &upload, &[], &document).await;
    assert_eq!((again.status, again.body), (StatusCode::OK, done.body));
    assert_eq!(asker.ask(Method::DELETE, &upload, &[], "").await.error(), "404 NoSuchUpload");

    for (number, body, range) in [(1, "abc", "bytes 0-2/5"), (2, "de", "bytes 3-4/5")] {
        let got = asker.get(&format!("one/k?partNumber={number}"), &[]).await;
        assert_eq!((got.status.as_u16(), got.header("content-range")), (206, range));
        assert_eq!((got.header("x-amz-mp-parts-count"), &got.body[..]), ("2", body.as_bytes()));
        let head = asker.ask(Method::HEAD, &format!("one/k?partNumber={number}"), &[], "").await;
        assert_eq!((head.status.as_u16(), head.header("content-range")), (206, range));
        assert_eq!(head.header("content-length"), body.len().to_string());
    }
    assert_eq!(asker.get("one/k?partNumber=3", &[]).await.error(), "416 InvalidPartNumber");
    let both = asker.get("one/k?partNumber=1", &[("range", "bytes=0-1")]).await;
    assert_eq!(both.error(), "400 InvalidRequest");
    // A copy is of one piece.
    asker.put("one/copy", &[("x-amz-copy-source", "/one/k")], "").await;
    let copy = asker.get("one/copy?partNumber=1", &[]).await;
    assert_eq!((&copy.body[..], copy.header("x-amz-mp-parts-count")), (&b"abcde"[..], ""));
    assert_eq!(asker.get("one/copy?partNumber=2", &[]).await.error(), "416 InvalidPartNumber");
}

#[tokio::test]
async fn tags_are_counted_and_sorted() {
    let asker = Asker::start().await;
    asker.put("one/k", &[("x-amz-tagging", "foo=bar&bar")], "").await;
    let head = asker.ask(Method::HEAD, "one/k", &[], "").await;
    assert_eq!(head.header("x-amz-tagging-count"), "2");
    let tags = asker.get("one/k?tagging", &[]).await;
    let tags = String::from_utf8(tags.body.to_vec()).unwrap();
    assert!(tags.find("<Key>bar</Key>").unwrap() < tags.find("<Key>foo</Key>").unwrap(), "{tags}");
}

#[tokio::test]
async fn contradictory_encryption_and_parts_with_another_key_are_rejected() {
    let asker = Asker::start().await;
    let name = |end: &str| format!("x-amz-server-side-encryption{end}");
    let (way, kms, key) = (name(""), name("-aws-kms-key-id"), name("-customer-key-md5"));
    for headers in [
        vec![(way.as_str(), "AES256"), (key.as_str(), "DWygnHRtgiJ77HCm+1rvHw==")],
        vec![(way.as_str(), "AES256"), (kms.as_str(), "a-key")],
        vec![(kms.as_str(), "a-key")],
        vec![(way.as_str(), "aes:kms")],
    ] {
        assert_eq!(asker.put("one/k", &headers, "x").await.error(), "400 InvalidArgument", "{headers:?}");
    }
    let with_key = [(key.as_str(), "DWygnHRtgiJ77HCm+1rvHw==")];
    let created = asker.ask(Method::POST, "one/k?uploads", &with_key, "").await;
    let text = String::from_utf8(created.body.to_vec()).unwrap();
    let id = text.split("<UploadId>").nth(1).unwrap().split("</UploadId>").next().unwrap();
    let part = format!("one/k?partNumber=1&uploadId={id}");
    for other in [&[][..], &[(key.as_str(), "arxBvwY2V4SiOne6yppVPQ==")]] {
        assert_eq!(asker.put(&part, other, "x").await.error(), "400 InvalidRequest");
    }
    assert_eq!(asker.put(&part, &with_key, "x").await.status, 200);
}

#[tokio::test]
async fn one_of_many_concurrent_creates_succeeds() {
    let asker = std::sync::Arc::new(Asker::start().await);
    let tries: Vec<_> = (0..16)
        .map(|n| {
            let asker = asker.clone();
            let body = format!("writer {n}").repeat(1000);
            tokio::spawn(async move { asker.put("one/race", &[("if-none-match", "*")], &body).await.status })
        })
        .collect();
    let mut created = 0;
    for one in tries {
        match one.await.unwrap().as_u16() {
            200 => created += 1,
            status => assert_eq!(status, 412),
        }
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn requests_without_keys_are_denied_and_shutdown_stops_the_server() {
    let server = DevServer::builder().buckets(["one"]).start().await.unwrap();
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let address = server.address();
    let folder = server.folder().to_owned();
    let ask = || client.get(format!("http://{address}/one/k").parse().unwrap());
    assert_eq!(ask().await.unwrap().status(), 403);
    server.stop().await;
    assert!(ask().await.is_err());
    assert!(!folder.exists());
}

#[tokio::test]
async fn invalid_bucket_name_is_rejected() {
    for name in ["ab", "Upper", "a_b", "..", "a/b", "192.168.1.1"] {
        let error = DevServer::builder().buckets([name]).start().await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn server_on_all_addresses_reports_a_connectable_endpoint() {
    let server = DevServer::builder().listen("0.0.0.0:0").start().await.unwrap();
    assert_eq!(server.endpoint(), format!("http://127.0.0.1:{}", server.address().port()));
}
