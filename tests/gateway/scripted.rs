//! The gateway before a service that responds by script: what the services of the other tests do not have.

use sandbucket::{Error, Store, Tenants, TenantsConfig};
use sandbucket_gateway::{Gateway, Running, ServeConfig};
use sandbucket_tests::faulty::{Act, Faulty, Seen};
use sandbucket_tests::python::Boto;
use sandbucket_tests::{engine, open};
use serde_json::json;

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
