//! Blobs exchanged with azure-storage-blob, in both directions.

use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use sandbucket_tests::azurite::{ACCOUNT, KEY};
use sandbucket_tests::python::install;
use sandbucket_tests::{Service, run};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::start;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/azure/client.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/azure/requirements.txt");
const ENVIRONMENT: &str = concat!(env!("OUT_DIR"), "/azure-python");

/// Keys that both clients accept.
const KEYS: [&str; 7] = ["plain.txt", "a b/c+d", "a%2Fb", "é/🪣", "a//b", "~?&=#;", "/leading"];

/// Runs a command of the other client on the container, with this JSON, and returns its JSON.
pub(crate) async fn python(server: &Service, command: &str, given: &str) -> String {
    static PYTHON: OnceLock<std::path::PathBuf> = OnceLock::new();
    let python = PYTHON.get_or_init(|| {
        install(Path::new(REQUIREMENTS), Path::new(ENVIRONMENT)).expect("Python with azure-storage-blob")
    });
    let mut child = Command::new(python)
        .arg(SCRIPT)
        .args([&server.endpoint(), ACCOUNT, KEY, server.bucket(), command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the other client");
    child.stdin.take().unwrap().write_all(given.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A body for a key, in base64, as the script gives and takes it.
fn base64(body: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in body.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            text.push(if n <= chunk.len() { DIGITS[(bits >> (18 - 6 * n) & 63) as usize].into() } else { '=' });
        }
    }
    text
}

#[test]
fn blobs_of_the_plugin_are_read_by_azure_storage_blob() {
    run(async {
        let server = start().await;
        let store = server.open(&[("checksum", "md5")]).await;
        for key in KEYS {
            let put =
                store.put(key, format!("the body of {key}")).content_type("text/plain").metadata("Colour", "dark blue");
            put.attribute("cache-control", "no-cache").attribute("access-tier", "Cool").await.unwrap();
        }
        let pieces = futures::stream::iter((0..5).map(|n| Ok::<_, std::io::Error>(vec![n; 3 << 20])));
        let upload = store.upload("parts").part_size(5 << 20).content_type("text/x").metadata("a", "1");
        let written = upload.stream(pieces).await.unwrap();
        let got: Value = serde_json::from_str(&python(&server, "get", &json!(KEYS).to_string()).await).unwrap();
        for key in KEYS {
            let blob = &got[key];
            assert_eq!(blob["body"], base64(format!("the body of {key}").as_bytes()), "{key}");
            assert_eq!((&blob["type"], &blob["cache-control"]), (&json!("text/plain"), &json!("no-cache")));
            assert_eq!((&blob["metadata"], &blob["tier"]), (&json!({ "colour": "dark blue" }), &json!("Cool")));
        }
        let got: Value = serde_json::from_str(&python(&server, "get", "[\"parts\"]").await).unwrap();
        let body: Vec<u8> = (0..5_u8).flat_map(|n| vec![n; 3 << 20]).collect();
        assert!(got["parts"]["body"] == base64(&body));
        assert_eq!((&got["parts"]["type"], &got["parts"]["metadata"]), (&json!("text/x"), &json!({ "a": "1" })));
        assert_eq!(got["parts"]["etag"].as_str(), written.etag.as_deref());
        let mut listed: Vec<String> = serde_json::from_str(&python(&server, "list", "null").await).unwrap();
        let mut wanted: Vec<_> = KEYS.into_iter().chain(["parts"]).collect();
        listed.sort();
        wanted.sort_unstable();
        assert_eq!(listed, wanted);
    });
}

#[test]
fn blobs_of_azure_storage_blob_are_read_by_the_plugin() {
    run(async {
        let server = start().await;
        let store = server.open(&[("checksum", "md5")]).await;
        let blob = |key: &str, blocks: Option<u32>| {
            let body = base64(format!("the body of {key}").as_bytes());
            let metadata = json!({ "Colour": "dark blue", "shade_2": "x" });
            json!({ "key": key, "body": body, "type": "text/plain", "metadata": metadata, "blocks": blocks })
        };
        let blobs: Vec<_> = KEYS.into_iter().map(|key| blob(key, None)).chain([blob("blocks", Some(3))]).collect();
        python(&server, "put", &json!(blobs).to_string()).await;
        for key in KEYS.into_iter().chain(["blocks"]) {
            let blob = store.get(key).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            let info = blob.info().clone();
            assert_eq!(info.content_type.as_deref(), Some("text/plain"), "{key}");
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let mut metadata = info.metadata.clone();
            metadata.sort();
            assert_eq!(metadata, [pair("colour", "dark blue"), pair("shade_2", "x")], "{key}");
            for attribute in [pair("cache-control", "no-store"), pair("content-language", "de")] {
                assert!(info.attributes.contains(&attribute), "{key}: {:?}", info.attributes);
            }
            assert_eq!(blob.bytes().await.unwrap(), format!("the body of {key}"), "{key}");
        }
        let mut wanted: Vec<_> = KEYS.into_iter().chain(["blocks"]).collect();
        wanted.sort_unstable();
        let mut listed: Vec<_> = store.list("").await.unwrap().entries.into_iter().map(|entry| entry.key).collect();
        listed.sort();
        assert_eq!(listed, wanted);
    });
}
