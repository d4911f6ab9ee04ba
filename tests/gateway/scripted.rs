//! The gateway before a service that responds by script: what the services of the other tests do not have.

use sandbucket::{Error, Store, Tenants, TenantsConfig};
use sandbucket_gateway::{Gateway, Running, ServeConfig};
use sandbucket_tests::faulty::{Act, Faulty, Seen};
use sandbucket_tests::python::Boto;
use sandbucket_tests::{engine, open};
use serde_json::{Value, json};

use super::{Client, SECRET, run};

/// The gateway before this server, and a client of its bucket `photos`.
async fn serve(server: &Faulty) -> (Running, String) {
    let config = TenantsConfig::parse(&format!(
        "[tenants.alice.store.blob.s3]\nbucket = 'backend'\nendpoint = '{}'\nproxy = 'none'\naccess-key = 'k'\n\
         secret-key = 's'\naddressing-style = 'path'\nmax-retries = 0\n\
         [tenants.alice.gateway]\nkeys = [{{ access-key = 'alice', secret-key = '{SECRET}', access = 'read-write' }}]\n\
         buckets.photos = {{ prefix = 'p/' }}\n",
        server.endpoint()
    ))
    .unwrap();
    let serve = ServeConfig::parse("[serve]\nlisten = '127.0.0.1:0'\n").unwrap();
    let gateway = Gateway::new(Tenants::new(engine().clone()), serve).unwrap();
    gateway.apply(&config).await.unwrap();
    let running = gateway.start().await.unwrap();
    let endpoint = format!("http://{}", running.addresses()[0]);
    (running, endpoint)
}

async fn store(endpoint: &str) -> Store {
    open(endpoint, &[("bucket", "photos"), ("access-key", "alice"), ("secret-key", SECRET), ("max-retries", "0")]).await
}

/// Requests as lines: method and target.
fn lines(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|request| format!("{} {}", request.method, request.target)).collect()
}

#[test]
fn part_is_read_by_the_range_that_the_service_reports() {
    run(async {
        let part = "etag: \"0123456789abcdef0123456789abcdef-3\"\r\ncontent-range: bytes 5-9/12\r\n\
                    x-amz-mp-parts-count: 3\r\n";
        let head = || Act::raw(format!("HTTP/1.1 206 Partial Content\r\n{part}content-length: 5\r\n\r\n"));
        let server = Faulty::start([head(), Act::respond(206, part, "56789"), head()]).await;
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        let at = json!({"Bucket": "photos", "Key": "k", "PartNumber": 2});
        let got = boto.ok("get_object", at.clone()).await;
        assert_eq!((&got["Body"], &got["ContentRange"]), (&json!("3536373839"), &json!("bytes 5-9/12")));
        assert_eq!((&got["PartsCount"], &got["ResponseMetadata"]["HTTPStatusCode"]), (&json!(3), &json!(206)));
        let head = boto.ok("head_object", at.clone()).await;
        assert_eq!((&head["ContentLength"], &head["ContentRange"]), (&json!(5), &json!("bytes 5-9/12")));
        assert_eq!((&head["PartsCount"], &head["ResponseMetadata"]["HTTPStatusCode"]), (&json!(3), &json!(206)));
        let seen = server.seen();
        let asked = ["HEAD /backend/p/k?partNumber=2", "GET /backend/p/k", "HEAD /backend/p/k?partNumber=2"];
        assert_eq!(lines(&seen), asked);
        assert_eq!(seen[1].header("range"), Some("bytes=5-9"));
        assert_eq!(seen[1].header("if-match"), Some("\"0123456789abcdef0123456789abcdef-3\""));

        // A service that ignores the number, one that has no such part, and numbers that are none.
        let whole =
            Act::raw("HTTP/1.1 200 OK\r\netag: \"0123456789abcdef0123456789abcdef-3\"\r\ncontent-length: 12\r\n\r\n");
        server.then([whole, Act::raw("HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\n\r\n")]);
        boto.fails("get_object", at.clone(), "NotImplemented", 501).await;
        boto.fails("get_object", at, "InvalidPartNumber", 416).await;
        for number in [0, 10_001] {
            let at = json!({"Bucket": "photos", "Key": "k", "PartNumber": number});
            boto.fails("get_object", at, "InvalidArgument", 400).await;
        }
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

#[test]
fn part_is_that_of_the_range_whatever_the_tag_is() {
    run(async {
        let part = |tag: &str, range: &str| format!("etag: \"{tag}\"\r\ncontent-range: bytes {range}/12\r\n");
        let head = |tag: &str, range: &str| {
            let part = part(tag, range);
            Act::raw(format!("HTTP/1.1 206 Partial Content\r\n{part}content-length: 5\r\n\r\n"))
        };
        let get = |tag: &str, range: &str, body: &str| Act::respond(206, &part(tag, range), body);
        let script = [head("opaque", "0-4"), get("opaque", "0-4", "01234"), head("opaque", "0-4")];
        let server = Faulty::start(script).await;
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        let at = |number: u32| json!({"Bucket": "photos", "Key": "k", "PartNumber": number});
        let got = boto.ok("get_object", at(1)).await;
        assert_eq!((&got["Body"], &got["ContentRange"]), (&json!("3031323334"), &json!("bytes 0-4/12")));
        assert_eq!(boto.ok("head_object", at(1)).await["ContentRange"], json!("bytes 0-4/12"));
        server.then([head("opaque", "5-9"), get("opaque", "5-9", "56789")]);
        assert_eq!(boto.ok("get_object", at(2)).await["Body"], json!("3536373839"));
        // Without a range, the tag says whether there are parts.
        let whole = || Act::raw("HTTP/1.1 200 OK\r\netag: \"opaque\"\r\ncontent-length: 12\r\n\r\n");
        server.then([whole(), Act::respond(200, "etag: \"opaque\"\r\n", "0123456789ab"), whole()]);
        assert_eq!(boto.ok("get_object", at(1)).await["ContentLength"], json!(12));
        boto.fails("get_object", at(2), "InvalidPartNumber", 416).await;
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

#[test]
fn part_of_a_blob_that_changes_is_read_again_or_a_conflict() {
    run(async {
        let part = |tag: &str| format!("etag: \"{tag}-2\"\r\ncontent-range: bytes 5-9/12\r\n");
        let head =
            |tag: &str| Act::raw(format!("HTTP/1.1 206 Partial Content\r\n{}content-length: 5\r\n\r\n", part(tag)));
        let changed = || Act::error(412, "PreconditionFailed");
        let server = Faulty::start([head("a"), changed(), head("b"), Act::respond(206, &part("b"), "56789")]).await;
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        let at = json!({"Bucket": "photos", "Key": "k", "PartNumber": 2});
        let got = boto.ok("get_object", at.clone()).await;
        assert_eq!((&got["Body"], &got["ETag"]), (&json!("3536373839"), &json!("\"b-2\"")));
        let sent: Vec<_> = server.seen().iter().filter_map(|seen| seen.header("if-match").map(str::to_owned)).collect();
        assert_eq!(sent, ["\"a-2\"", "\"b-2\""]);
        server.then([head("a"), changed(), head("b"), changed()]);
        boto.fails("get_object", at, "ConditionalRequestConflict", 409).await;
        // The client's own condition is answered as it is.
        server.then([head("a"), changed()]);
        let own = json!({"Bucket": "photos", "Key": "k", "PartNumber": 2, "IfMatch": "\"a-2\""});
        boto.fails("get_object", own, "PreconditionFailed", 412).await;
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

#[test]
fn checksum_of_a_part_is_reported_and_that_of_the_blob_is_not() {
    run(async {
        // The CRC-32 of `56789`.
        let part = |sums: &str| {
            format!("etag: \"0123456789abcdef0123456789abcdef-3\"\r\ncontent-range: bytes 5-9/12\r\n{sums}")
        };
        let of_part = part("x-amz-checksum-crc32: Ex2gcA==\r\nx-amz-checksum-type: COMPOSITE\r\n");
        let of_blob = part("x-amz-checksum-crc32: AAAAAA==-3\r\nx-amz-checksum-type: COMPOSITE\r\n");
        let unclear = part("x-amz-checksum-crc32: AAAAAA==\r\nx-amz-checksum-type: FULL_OBJECT\r\n");
        let head = |part: &str| Act::raw(format!("HTTP/1.1 206 Partial Content\r\n{part}content-length: 5\r\n\r\n"));
        let server = Faulty::start([]).await;
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        let at = json!({"Bucket": "photos", "Key": "k", "PartNumber": 2, "ChecksumMode": "ENABLED"});
        for (found, sum) in [(of_part, Some(&json!("Ex2gcA=="))), (of_blob, None), (unclear, None)] {
            server.then([head(&found), head(&found), Act::respond(206, &part(""), "56789")]);
            assert_eq!(boto.ok("head_object", at.clone()).await.get("ChecksumCRC32"), sum);
            let got = boto.ok("get_object", at.clone()).await;
            assert_eq!((got.get("ChecksumCRC32"), &got["Body"]), (sum, &json!("3536373839")));
        }
        assert!(server.seen().iter().all(|seen| seen.header("x-amz-checksum-mode") == Some("ENABLED")));
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

#[test]
fn service_that_reports_no_checksums_is_read_without() {
    run(async {
        let unknown = || Act::error(501, "NotImplemented");
        let etag = "etag: \"a\"\r\n";
        let found = || Act::raw(format!("HTTP/1.1 200 OK\r\n{etag}content-length: 5\r\n\r\n"));
        let no_body = || Act::raw("HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n");
        let server = Faulty::start([unknown(), Act::respond(200, etag, "56789"), no_body(), found()]).await;
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        let at = json!({"Bucket": "photos", "Key": "k", "ChecksumMode": "ENABLED"});
        assert_eq!(boto.ok("get_object", at.clone()).await["Body"], json!("3536373839"));
        assert_eq!(boto.ok("head_object", at).await["ContentLength"], json!(5));
        let seen = server.seen();
        let asked: Vec<_> = seen.iter().map(|seen| seen.header("x-amz-checksum-mode").is_some()).collect();
        assert_eq!(asked, [true, false, true, false]);
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

#[test]
fn head_that_is_rejected_without_a_code_has_that_of_a_get() {
    run(async {
        let head = || Act::raw("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let invalid = || Act::error(400, "InvalidRequest");
        // boto3 looks up the bucket's region after a HEAD like this, and tries again.
        let server = Faulty::start([head(), invalid(), head(), invalid()]).await;
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        let at = json!({"Bucket": "photos", "Key": "k"});
        // As of a blob that is encrypted with a client's key.
        boto.fails("head_object", at.clone(), "400", 400).await;
        let seen = server.seen();
        assert_eq!((lines(&seen)[1].as_str(), seen[1].header("range")), ("GET /backend/p/k", Some("bytes=0-0")));
        let with = json!({"Bucket": "photos", "Key": "k", "ObjectAttributes": ["ETag"]});
        server.then([head(), invalid()]);
        boto.fails("get_object_attributes", with, "InvalidRequest", 400).await;
        // The tenant's credentials are no fault of the client.
        let unknown_key = || Act::error(403, "InvalidAccessKeyId");
        // boto3 tries twice.
        server.then([head(), unknown_key(), head(), unknown_key()]);
        boto.fails("head_object", at, "503", 503).await;
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

#[test]
fn condition_of_a_delete_is_checked_and_sent() {
    run(async {
        let head = |etag: &str| Act::raw(format!("HTTP/1.1 200 OK\r\netag: {etag}\r\ncontent-length: 1\r\n\r\n"));
        let gone = || Act::respond(204, "", "");
        // The last one changes between the look at it and the delete.
        let script = [head("\"a\""), gone(), head("\"a\""), gone(), head("\"b\""), head("\"a\"")];
        let server = Faulty::start(script).await;
        server.then([Act::error(412, "PreconditionFailed")]);
        let (running, endpoint) = serve(&server).await;
        let store = store(&endpoint).await;
        store.delete("k").attribute("if-match", "\"a\"").await.unwrap();
        store.delete("k").attribute("if-match", "*").await.unwrap();
        for _ in 0..2 {
            let refused = store.delete("k").attribute("if-match", "\"a\"").await.unwrap_err();
            assert!(matches!(refused, Error::PreconditionFailed(_)), "{refused:?}");
        }
        let seen = server.seen();
        let methods: Vec<_> = seen.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(methods, ["HEAD", "DELETE", "HEAD", "DELETE", "HEAD", "HEAD", "DELETE"]);
        let sent: Vec<_> = seen.iter().filter_map(|request| request.header("if-match")).collect();
        assert_eq!(sent, ["\"a\"", "\"a\""]);
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

/// The response of a HEAD of a blob of one byte.
fn found(etag: &str) -> Act {
    Act::raw(format!("HTTP/1.1 200 OK\r\netag: {etag}\r\ncontent-length: 1\r\n\r\n"))
}

/// Keys and codes of the errors of a bulk delete, and the keys that it deleted.
fn outcomes(output: &Value) -> (Vec<String>, Vec<String>) {
    let list = |field: &str| output[field].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let deleted = list("Deleted").iter().map(|entry| text(entry, "Key")).collect();
    let errors = list("Errors").into_iter().map(|entry| format!("{} {}", text(&entry, "Key"), text(&entry, "Code")));
    (deleted, errors.collect())
}

#[test]
fn failure_of_a_bulk_delete_does_not_hide_conditional_deletes() {
    run(async {
        let server = Faulty::start([found("\"a\""), Act::respond(204, "", "")]).await;
        server.then([Act::error(503, "SlowDown")]);
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        let delete = |objects: Value| json!({"Bucket": "photos", "Delete": {"Objects": objects}});
        let all = json!([{"Key": "a", "ETag": "\"a\""}, {"Key": "b"}, {"Key": "c"}]);
        let output = boto.ok("delete_objects", delete(all)).await;
        let (deleted, errors) = outcomes(&output);
        assert_eq!((deleted, errors), (vec!["a".to_owned()], vec!["b SlowDown".to_owned(), "c SlowDown".to_owned()]));
        assert_eq!(server.left(), 0);
        // Without conditions it is the same: the response names what was not deleted.
        server.then([Act::error(503, "SlowDown")]);
        let output = boto.ok("delete_objects", delete(json!([{"Key": "b"}, {"Key": "c"}]))).await;
        assert_eq!(outcomes(&output), (vec![], vec!["b SlowDown".to_owned(), "c SlowDown".to_owned()]));
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

#[test]
fn bulk_delete_compares_entity_tags_strongly() {
    run(async {
        let server = Faulty::start([]).await;
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        for tag in ["W/\"x\"", "\"*\"", "*", "\"y\""] {
            server.then([found("\"x\"")]);
            let objects = json!({"Bucket": "photos", "Delete": {"Objects": [{"Key": "k", "ETag": tag}]}});
            let (deleted, errors) = outcomes(&boto.ok("delete_objects", objects).await);
            assert_eq!((deleted, errors), (vec![], vec!["k PreconditionFailed".to_owned()]), "{tag}");
        }
        server.then([found("\"x\"")]);
        boto.fails(
            "delete_object",
            json!({"Bucket": "photos", "Key": "k", "IfMatch": "W/\"x\""}),
            "PreconditionFailed",
            412,
        )
        .await;
        assert!(server.seen().iter().all(|request| request.method == "HEAD"));
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}

#[test]
fn conditional_delete_of_a_blob_with_a_clients_key_compares_the_listed_tag() {
    run(async {
        // What S3 responds to a HEAD without the key.
        let keyless = || Act::raw("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let listed = |key: &str, tag: &str| {
            let body = format!(
                "<ListBucketResult><Name>backend</Name><IsTruncated>false</IsTruncated><Contents><Key>{key}</Key>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{tag}&quot;</ETag><Size>1</Size></Contents>\
                 </ListBucketResult>"
            );
            Act::respond(200, "content-type: application/xml\r\n", body)
        };
        let gone = || Act::respond(204, "", "");
        let server = Faulty::start([keyless(), listed("p/k", "x"), gone()]).await;
        let (running, endpoint) = serve(&server).await;
        let mut boto = Client(Boto::start(&endpoint, "alice", SECRET).await.unwrap());
        let owner = "123456789012";
        let at = json!({"Bucket": "photos", "Key": "k", "IfMatch": "\"x\"", "ExpectedBucketOwner": owner});
        boto.ok("delete_object", at.clone()).await;
        let seen = server.seen();
        let methods: Vec<_> = seen.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(methods, ["HEAD", "GET", "DELETE"]);
        assert!(seen.iter().all(|request| request.header("x-amz-expected-bucket-owner") == Some(owner)), "{seen:?}");
        assert_eq!(seen[2].header("if-match"), Some("\"x\""));
        server.then([keyless(), listed("p/k", "y")]);
        boto.fails("delete_object", at.clone(), "PreconditionFailed", 412).await;
        server.then([keyless(), listed("p/k2", "x")]);
        boto.fails("delete_object", at, "NoSuchKey", 404).await;
        server.then([keyless(), listed("p/k", "x"), gone()]);
        let objects = json!({"Objects": [{"Key": "k", "ETag": "\"x\""}]});
        let bulk = json!({"Bucket": "photos", "Delete": objects, "ExpectedBucketOwner": owner});
        assert_eq!(outcomes(&boto.ok("delete_objects", bulk).await), (vec!["k".to_owned()], vec![]));
        assert!(server.seen().iter().all(|request| request.header("x-amz-expected-bucket-owner") == Some(owner)));
        assert_eq!(server.left(), 0);
        running.stop().await;
    });
}
