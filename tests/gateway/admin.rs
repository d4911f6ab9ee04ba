//! The admin API, health endpoints, metrics, reload and shutdown.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbucket::TenantsConfig;
use sandbucket_gateway::{AdminAddress, AdminClient, Gateway};
use sandbucket_tests::plain;
use sandbucket_tests::python::hex;
use serde_json::{Value, json};

use super::{Bench, SECRET, run, tenants};

const ADMIN: &str = "admin = '127.0.0.1:0'\nhealth = '127.0.0.1:0'\n";

fn admin(bench: &Bench) -> (AdminClient, String) {
    let Some(AdminAddress::Tcp(address)) = bench.running.admin() else { panic!("no admin API") };
    (AdminClient::new(AdminAddress::Tcp(*address)), format!("http://{address}"))
}

async fn status_of(method: &str, url: &str, headers: &[(&str, &str)]) -> u16 {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    plain::fetch(method, url, &headers, "").await.unwrap().status
}

#[test]
fn status_and_metrics_count_requests_by_tenant() {
    run(async {
        let bench = Bench::with(ADMIN).await;
        let mut alice = bench.boto("alice-rw").await;
        alice.ok("put_object", json!({"Bucket": "alice-photos", "Key": "k", "Body": {"hex": hex(b"abc")}})).await;
        alice.ok("get_object", json!({"Bucket": "alice-photos", "Key": "k"})).await;
        alice.fails("get_object", json!({"Bucket": "alice-photos", "Key": "absent"}), "NoSuchKey", 404).await;
        let mut nobody = bench.boto("nobody").await;
        nobody.fails("list_buckets", json!({}), "InvalidAccessKeyId", 403).await;

        let (client, url) = admin(&bench);
        let status = client.get("/status").await.unwrap();
        assert_eq!((&status["ready"], &status["draining"]), (&json!(true), &json!(false)));
        assert_eq!(status["unauthenticated"]["client-errors"], 1);
        let alice = client.get("/tenants/alice").await.unwrap();
        assert_eq!(
            (&alice["requests"], &alice["client-errors"], &alice["sent-bytes"]),
            (&json!(3), &json!(1), &alice["sent-bytes"])
        );
        assert_eq!((&alice["open"], &alice["keys"], &alice["in-flight"]), (&json!(true), &json!(3), &json!(0)));
        assert_eq!(alice["received-bytes"], 3);
        assert!(alice["sent-bytes"].as_u64().unwrap() > 3);
        assert_eq!(alice["buckets"], json!(["alice-all", "alice-music", "alice-photos"]));
        assert_eq!(client.get("/tenants/nobody").await.unwrap_err().to_string(), "there is no tenant \"nobody\"");

        let health = format!("http://{}", bench.running.health().unwrap());
        for base in [&url, &health] {
            assert_eq!(status_of("GET", &format!("{base}/healthz"), &[]).await, 200);
            assert_eq!(status_of("GET", &format!("{base}/readyz"), &[]).await, 200);
            let metrics = plain::fetch("GET", &format!("{base}/metrics"), &[], "").await.unwrap();
            let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
            let line = "sandbucket_gateway_requests_total{tenant=\"alice\",operation=\"GetObject\",status=\"4xx\"} 1";
            assert!(metrics.contains(line), "{metrics}");
            for secret in [SECRET, bench.alice.secret_key(), "alice-rw", &bench.alice.endpoint()] {
                assert!(!metrics.contains(secret) && !status.to_string().contains(secret), "{secret}");
            }
        }
        // The dashboard shows metrics that exist: the gateway's own, and the library's, which say what it does not repeat.
        let metrics = bench.gateway.metrics_text();
        assert!(!metrics.contains("sandbucket_gateway_tenant_"), "{metrics}");
        let of_library = |name: &str| {
            let name = ["_sum", "_count", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            sandbucket::telemetry::ALL.contains(&name)
        };
        let dashboard = include_str!("../../deploy/grafana/sandbucket.json");
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let used: BTreeSet<&str> =
            dashboard.split(|c| !name(c)).filter(|word| word.starts_with("sandbucket_")).collect();
        assert!(used.len() > 8, "{used:?}");
        for name in used {
            assert!(of_library(name) || metrics.contains(&format!("\n{name}")), "there is no {name} in\n{metrics}");
        }
        assert_eq!(status_of("GET", &format!("{health}/status"), &[]).await, 404);
        let page = plain::fetch("GET", &url, &[], "").await.unwrap();
        assert!(page.status == 200 && String::from_utf8_lossy(&page.body).contains("<title>Sandbucket gateway"));
        bench.running.stop().await;
    });
}

#[test]
fn web_pages_of_other_origins_cannot_use_the_admin_api() {
    run(async {
        let bench = Bench::with(ADMIN).await;
        let (_, url) = admin(&bench);
        assert_eq!(status_of("POST", &format!("{url}/drain"), &[]).await, 403);
        assert_eq!(status_of("DELETE", &format!("{url}/tenants/alice"), &[]).await, 403);
        let address = url.trim_start_matches("http://");
        let request = "GET /status HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".to_owned();
        let response = super::limits::exchange(address, request.as_bytes()).await;
        assert!(response.starts_with("HTTP/1.1 403"), "{response}");
        assert!(bench.gateway.tenants().get("alice").is_some());
        bench.running.stop().await;
    });
}

#[test]
fn tenants_are_set_removed_and_drained_while_serving() {
    run(async {
        let bench = Bench::with(ADMIN).await;
        let (client, url) = admin(&bench);
        let mut text = "[store.blob.s3]\nallow-private = true\nproxy = 'none'\n".to_owned();
        for (key, value) in bench.alice.settings(&[]) {
            text.push_str(&format!("{key} = {value:?}\n"));
        }
        text.push_str(&format!(
            "[gateway]\nkeys = [{{ access-key = 'carol', secret-key = '{SECRET}', access = 'read-write' }}]\n\
             buckets.carols = {{ prefix = 'carol/' }}\n"
        ));
        let mut carol = bench.boto("carol").await;
        carol.fails("list_buckets", json!({}), "InvalidAccessKeyId", 403).await;
        let put = |path: &'static str, text: String| client.send(http::Method::PUT, path, text);
        assert_eq!(put("/tenants/carol", text.clone()).await.unwrap()["changed"], false);
        carol.ok("put_object", json!({"Bucket": "carols", "Key": "k", "Body": {"hex": "00"}})).await;
        assert_eq!(put("/tenants/carol", text.clone()).await.unwrap()["changed"], true);

        let refused = put("/tenants/alice", text.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("configuration"), "{refused}");
        let refused = put("/tenants/dave", text.replace("'carol'", "'alice-rw'")).await.unwrap_err().to_string();
        assert!(refused.contains("alice") && !refused.contains(SECRET), "{refused}");
        let misspelled = text.replace("'carol'", "'dave'").replace("bucket = ", "buckett = ");
        let refused = put("/tenants/dave", misspelled).await.unwrap_err().to_string();
        assert!(refused.contains("buckett"), "{refused}");
        assert!(bench.gateway.tenants().get("dave").is_none());

        let post = |path: &'static str| client.send(http::Method::POST, path, String::new());
        assert_eq!(post("/tenants/carol/drain").await.unwrap()["drained"], true);
        carol.fails("list_buckets", json!({}), "SlowDown", 503).await;
        post("/tenants/carol/resume").await.unwrap();
        carol.ok("list_buckets", json!({})).await;
        // Also after the configuration is applied again.
        bench.gateway.apply(&TenantsConfig::parse(&tenants(&bench.alice, &bench.bob)).unwrap()).await.unwrap();
        carol.ok("list_buckets", json!({})).await;
        client.send(http::Method::DELETE, "/tenants/carol", String::new()).await.unwrap();
        carol.fails("list_buckets", json!({}), "InvalidAccessKeyId", 403).await;

        post("/drain").await.unwrap();
        assert_eq!(status_of("GET", &format!("{url}/readyz"), &[]).await, 503);
        let mut alice = bench.boto("alice-rw").await;
        alice.ok("list_buckets", json!({})).await;
        bench.running.stop().await;
    });
}

#[test]
fn changed_files_are_applied_and_faulty_ones_are_not() {
    run(async {
        let bench = Bench::start().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sandbucket.toml");
        let socket = folder.path().join("admin.sock");
        let text = |tenants: &str| {
            format!(
                "[serve]\nlisten = '127.0.0.1:0'\nadmin = 'unix:{}'\n[sandbox]\ncache-dir = {:?}\n{tenants}",
                socket.display(),
                sandbucket_tests::CACHE
            )
        };
        let tables = tenants(&bench.alice, &bench.bob);
        std::fs::write(&file, text(&tables)).unwrap();
        let gateway = Gateway::load(&file).await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (started, address) = tokio::sync::oneshot::channel();
        let running = tokio::spawn({
            let gateway = gateway.clone();
            async move {
                let stopped = async {
                    let _ = stopped.await;
                };
                gateway.run(stopped, |running| started.send(running.addresses()[0]).unwrap()).await
            }
        });
        let endpoint = format!("http://{}", address.await.unwrap());
        let client = AdminClient::new(AdminAddress::Unix(socket.clone()));
        let boto = |key: &'static str| {
            let endpoint = endpoint.clone();
            async move { super::Client(sandbucket_tests::python::Boto::start(&endpoint, key, SECRET).await.unwrap()) }
        };
        boto("alice-rw").await.ok("list_buckets", json!({})).await;

        std::fs::write(&file, text(&tables.replace("'alice-rw'", "'alice-new'"))).unwrap();
        let mut new = boto("alice-new").await;
        until(async || new.call("list_buckets", &json!({})).await.get("failed").is_none()).await;
        boto("alice-rw").await.fails("list_buckets", json!({}), "InvalidAccessKeyId", 403).await;

        std::fs::write(
            &file,
            text(&tables.replace("[tenants.alice.store", "[tenants.alice]\nweight = 'x'\n[tenants.alice.store")),
        )
        .unwrap();
        until(async || client.get("/status").await.unwrap()["reload-error"] != Value::Null).await;
        let error = client.get("/status").await.unwrap()["reload-error"].to_string();
        assert!(error.contains("weight") && error.contains("sandbucket.toml:7"), "{error}");
        new.ok("list_buckets", json!({})).await;
        assert!(client.send(http::Method::POST, "/reload", String::new()).await.is_err());

        std::fs::write(&file, text(&tables)).unwrap();
        let done = client.send(http::Method::POST, "/reload", String::new()).await.unwrap();
        assert_eq!((&done["added"], &done["unchanged"]), (&json!([]), &json!(2)));
        boto("alice-rw").await.ok("list_buckets", json!({})).await;
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
        assert!(!socket.exists());
        bench.running.stop().await;
    });
}

/// Waits until it holds.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
