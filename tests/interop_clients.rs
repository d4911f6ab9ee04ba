//! Interoperability with Amazon's and generic clients in both directions: multipart uploads, checksums, non-ASCII metadata
//! and presigned URLs, on moto and on the dev server.

use std::time::Duration;

use sandbucket::PresignedMethod;
use sandbucket_tests::python::{Boto, hex};
use sandbucket_tests::{BUCKET, Kind, Service, plain, run};
use serde_json::{Value, json};

/// Minimum size of a part other than the last.
const PART: usize = 5 << 20;
/// Checksums that both sides support: boto3's name and the setting's value.
const CHECKSUMS: [(&str, &str); 4] =
    [("CRC32", "crc32"), ("CRC32C", "crc32c"), ("CRC64NVME", "crc64nvme"), ("SHA256", "sha256")];
/// Non-ASCII text, longer than one encoded word.
const ODD: &str = "très foncé, 青い 🪣, and much more than the 75 characters that an encoded word of RFC 2047 may have";

/// A server, and Python clients for it.
struct Bench {
    service: Service,
    boto: Boto,
}

async fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for kind in [Kind::Moto, Kind::Dev] {
        let service = kind.start().await;
        let boto = service.boto().await;
        benches.push(Bench { service, boto });
    }
    benches
}

impl Bench {
    async fn ask(&mut self, command: Value) -> Value {
        self.boto.call(command).await.unwrap_or_else(|error| panic!("on {}: {error:#}", self.service.kind.name()))
    }

    async fn get(&mut self, key: &str) -> Value {
        self.ask(json!({"op": "get", "bucket": BUCKET, "key": key})).await
    }

    async fn aws(&mut self, arguments: &[&str], body: &[u8]) -> String {
        let response = self.ask(json!({"op": "aws", "arguments": arguments, "body": hex(body)})).await;
        response["body"].as_str().unwrap_or_default().to_owned()
    }
}

/// Bytes without a repeating pattern.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn boto3_reads_multipart_uploads_of_sandbucket() {
    run(async {
        for mut bench in benches().await {
            let store = bench.service.open(&[]).await;
            let body = bytes(PART + 1017);
            let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
                body.chunks(99_991).map(|piece| Ok(piece.to_vec())).collect();
            let upload = store.upload("k").part_size(PART).content_type("text/x-a").metadata("m", "1");
            let written = upload.stream(futures::stream::iter(pieces)).await.unwrap();
            let got = bench.get("k").await;
            assert!(got["body"] == hex(&body), "the body differs");
            assert_eq!((&got["content_type"], &got["metadata"]), (&json!("text/x-a"), &json!({"m": "1"})));
            assert_eq!(got["etag"].as_str(), written.etag.as_deref());
        }
    });
}

#[test]
fn sandbucket_reads_multipart_uploads_of_boto3() {
    run(async {
        for mut bench in benches().await {
            let store = bench.service.open(&[]).await;
            let body = bytes(PART + 1017);
            let upload = json!({
                "op": "upload", "bucket": BUCKET, "key": "k", "body": hex(&body), "part_size": PART, "checksum": "CRC32",
                "content_type": "text/x-a", "metadata": {"m": "1"},
            });
            bench.ask(upload).await;
            let blob = store.get("k").await.unwrap();
            assert_eq!(blob.info().content_type.as_deref(), Some("text/x-a"));
            assert_eq!(blob.info().metadata, [("m".to_owned(), "1".to_owned())]);
            assert!(blob.bytes().await.unwrap() == body, "the body differs");
            let across = store.get("k").range(PART as u64 - 7..PART as u64 + 7).await.unwrap();
            assert_eq!(across.bytes().await.unwrap(), body[PART - 7..PART + 7]);
        }
    });
}

#[test]
fn boto3_verifies_checksums_of_sandbucket() {
    run(async {
        for mut bench in benches().await {
            for (theirs, ours) in CHECKSUMS {
                let store = bench.service.open(&[("checksum", ours)]).await;
                store.put(ours, bytes(1017)).await.unwrap_or_else(|error| panic!("{ours}: {error}"));
                let got = bench.get(ours).await;
                assert_eq!(got["body"], hex(&bytes(1017)));
                if bench.service.cannot(Kind::Moto, "it returns no checksums") {
                    continue;
                }
                let name = format!("Checksum{theirs}");
                // The checksum was present; a wrong one would have failed the call.
                assert!(
                    got["checksums"][&name].is_string(),
                    "{}: {ours}: only {}",
                    bench.service.kind.name(),
                    got["checksums"]
                );
            }
        }
    });
}

#[test]
fn sandbucket_verifies_checksums_of_boto3() {
    run(async {
        for mut bench in benches().await {
            for (theirs, ours) in CHECKSUMS {
                let put = json!({
                    "op": "put", "bucket": BUCKET, "key": ours, "body": hex(&bytes(1017)), "checksum": theirs,
                });
                bench.ask(put).await;
                let store = bench.service.open(&[("checksum", ours)]).await;
                let blob = store.get(ours).await.unwrap_or_else(|error| panic!("{ours}: {error}"));
                assert_eq!(blob.bytes().await.unwrap(), bytes(1017), "{ours}");
            }
        }
    });
}

#[test]
fn non_ascii_metadata_round_trips_with_boto3() {
    run(async {
        for mut bench in benches().await {
            let store = bench.service.open(&[]).await;
            store.put("ours", "x").metadata("colour", ODD).await.unwrap();
            let got = bench.get("ours").await;
            assert_eq!(got["decoded"], json!({"colour": ODD}), "{got}");

            // boto3 accepts ASCII only: its users encode other text, as here, with one word in each encoding.
            let encoded = "=?UTF-8?B?dHLDqHMg?= =?utf-8?Q?fonc=C3=A9=2C_bleu?=";
            let put =
                json!({"op": "put", "bucket": BUCKET, "key": "theirs", "body": "", "metadata": {"colour": encoded}});
            bench.ask(put).await;
            let info = store.head("theirs").await.unwrap();
            assert_eq!(info.metadata, [("colour".to_owned(), "très foncé, bleu".to_owned())]);
        }
    });
}

#[test]
fn urllib_fetches_urls_presigned_by_sandbucket() {
    run(async {
        for mut bench in benches().await {
            let store = bench.service.open(&[]).await;
            let checks = bench.service.prepare_for_presigned().await;
            for key in ["plain", "a b/+%é"] {
                let signed = store.presign(PresignedMethod::Put, key).expires(Duration::from_secs(60)).await.unwrap();
                let headers: Value = signed.headers.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
                let put = json!({"op": "fetch", "method": "PUT", "url": signed.url, "headers": headers, "body": hex(b"body")});
                assert_eq!(bench.ask(put).await["status"], 200, "{key}");
                let signed = store.presign(PresignedMethod::Get, key).await.unwrap();
                let got = bench.ask(json!({"op": "fetch", "method": "GET", "url": signed.url})).await;
                assert_eq!((&got["status"], &got["body"]), (&json!(200), &json!(hex(b"body"))), "{key}");
                // Another last digit of the signature.
                let (rest, last) = signed.url.split_at(signed.url.len() - 1);
                let other = format!("{rest}{}", if last == "0" { "1" } else { "0" });
                let got = bench.ask(json!({"op": "fetch", "method": "GET", "url": other})).await;
                assert!(!checks || got["status"] == 403, "{key}: a wrong signature: {got}");
                let signed = store.presign(PresignedMethod::Head, key).await.unwrap();
                assert_eq!(bench.ask(json!({"op": "fetch", "method": "HEAD", "url": signed.url})).await["status"], 200);
                let signed = store.presign(PresignedMethod::Delete, key).await.unwrap();
                assert_eq!(
                    bench.ask(json!({"op": "fetch", "method": "DELETE", "url": signed.url})).await["status"],
                    204
                );
                sandbucket_tests::refused!(store.head(key).await, NotFound);
            }
        }
    });
}

#[test]
fn urls_presigned_by_boto3_are_fetched() {
    run(async {
        for mut bench in benches().await {
            let store = bench.service.open(&[]).await;
            bench.service.prepare_for_presigned().await;
            let presign = |method: &str| json!({"op": "presign", "bucket": BUCKET, "key": "a b", "method": method, "expires": 60});
            let url = bench.ask(presign("put_object")).await["url"].as_str().unwrap().to_owned();
            assert_eq!(plain::fetch("PUT", &url, &[], "body").await.unwrap().status, 200);
            assert_eq!(store.get("a b").await.unwrap().bytes().await.unwrap(), "body");
            let url = bench.ask(presign("get_object")).await["url"].as_str().unwrap().to_owned();
            let got = plain::fetch("GET", &url, &[], "").await.unwrap();
            assert_eq!((got.status, got.body.as_ref()), (200, b"body".as_slice()));
        }
    });
}

#[test]
fn aws_cli_reads_and_writes_the_same_blobs() {
    run(async {
        for mut bench in benches().await {
            let store = bench.service.open(&[]).await;
            store.put("a b/ours.txt", "body").content_type("text/x-a").await.unwrap();
            let ours = format!("s3://{BUCKET}/a b/ours.txt");
            assert_eq!(bench.aws(&["s3", "cp", &ours, "-"], b"").await, hex(b"body"));

            // More than one chunk.
            let body = bytes((8 << 20) + 1017);
            let theirs = format!("s3://{BUCKET}/theirs");
            bench.aws(&["s3", "cp", "-", &theirs, "--content-type", "text/x-b", "--metadata", "m=1"], &body).await;
            let blob = store.get("theirs").await.unwrap();
            assert_eq!(blob.info().content_type.as_deref(), Some("text/x-b"));
            assert_eq!(blob.info().metadata, [("m".to_owned(), "1".to_owned())]);
            assert!(blob.info().etag.as_deref().is_some_and(|tag| tag.contains('-')), "{:?}", blob.info().etag);
            assert!(blob.bytes().await.unwrap() == body, "the body differs");
        }
    });
}

#[test]
fn botocore_reads_profiles_as_the_table_says() {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");
    let python = sandbucket_tests::python::interpreter().unwrap();
    let output = std::process::Command::new(python).arg(format!("{scripts}/profiles.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    // Unit tests of `sandbucket` check the same table.
    let cases: Vec<Value> = serde_json::from_str(include_str!("interop/profiles.json")).unwrap();
    assert_eq!(read.len(), cases.len());
    for (case, read) in cases.iter().zip(read) {
        assert_eq!(case["expected"], read, "{}", case["name"]);
    }
}
