//! Bodies in `aws-chunked` coding, with and without signatures and trailers, and forms.

use std::path::Path;

use ring::{digest, hmac};
use sandbucket_tests::python::{Boto, hex};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bench, Client, SECRET, bytes, run};

#[test]
fn boto3_sends_unsigned_chunks_with_trailers_over_tls() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        super::tls::certificate(folder.path());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let tls = format!("[serve.tls]\ncert = '{}'\nkey = '{}'\n", path("tls.crt"), path("tls.key"));
        let bench = Bench::with(&tls).await;
        let endpoint = format!("https://localhost:{}", bench.running.addresses()[0].port());
        let boto = Boto::trusting(&endpoint, "alice-rw", SECRET, Some(Path::new(&path("tls.crt")))).await.unwrap();
        let mut boto = Client(boto);
        for (algorithm, length) in [("CRC32", 9 << 20), ("CRC32C", 17), ("CRC64NVME", 17), ("SHA1", 0), ("SHA256", 17)]
        {
            let put = json!({
                "Bucket": "alice-photos", "Key": algorithm, "Body": {"hex": hex(&bytes(length))},
                "ChecksumAlgorithm": algorithm,
            });
            assert!(boto.ok("put_object", put).await[format!("Checksum{algorithm}")].is_string());
            let got = boto.ok("get_object", json!({"Bucket": "alice-photos", "Key": algorithm})).await;
            assert!(got["Body"] == hex(&bytes(length)), "{algorithm}: the body differs");
            assert_eq!(got["ResponseMetadata"]["HTTPHeaders"].get("content-encoding"), None);
        }
        bench.running.stop().await;
    });
}

fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn base64(data: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |piece: &[u8]| {
        let bits = piece.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - piece.len()));
        let digits = (0..4).map(|n| DIGITS[(bits >> (18 - 6 * n) & 63) as usize] as char);
        digits.enumerate().map(|(n, digit)| if n > piece.len() { '=' } else { digit }).collect::<String>()
    };
    data.chunks(3).map(encode).collect()
}

/// A signer of `aws-chunked` requests, by AWS's documentation of signature version 4.
struct Signer {
    host: String,
    date: String,
    scope: String,
    key: Vec<u8>,
}

impl Signer {
    async fn new(bench: &Bench, boto: &mut Client) -> Signer {
        // boto3 knows the date in the format of signatures.
        let presign =
            json!({"op": "presign", "method": "get_object", "bucket": "alice-photos", "key": "k", "expires": 60});
        let url = boto.0.call(presign).await.unwrap()["url"].as_str().unwrap().to_owned();
        let date = url.split("X-Amz-Date=").nth(1).unwrap()[..16].to_owned();
        let parts = [&date[..8], "us-east-1", "s3", "aws4_request"];
        let secret = format!("AWS4{SECRET}").into_bytes();
        let key = parts.iter().fold(secret, |key, part| sign(&key, part));
        Signer { host: bench.running.addresses()[0].to_string(), scope: parts.join("/"), date, key }
    }

    /// The head of a PUT, and its signature.
    fn head(&self, key: &str, payload: &str, decoded: usize, sent: usize, trailer: Option<&str>) -> (String, String) {
        let mut fields = vec![
            ("host", self.host.clone()),
            ("x-amz-content-sha256", payload.to_owned()),
            ("x-amz-date", self.date.clone()),
            ("x-amz-decoded-content-length", decoded.to_string()),
        ];
        fields.extend(trailer.map(|name| ("x-amz-trailer", name.to_owned())));
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = fields.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("PUT\n/alice-photos/{key}\n\n{lines}\n{names}\n{payload}");
        let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.date, self.scope, sha256(canonical.as_bytes()));
        let signature = hex(&sign(&self.key, &text));
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "PUT /alice-photos/{key} HTTP/1.1\r\n{fields}content-encoding: aws-chunked\r\ncontent-length: {sent}\r\n\
             connection: close\r\nauthorization: AWS4-HMAC-SHA256 Credential=alice-rw/{}, SignedHeaders={names}, \
             Signature={signature}\r\n\r\n",
            self.scope
        );
        (head, signature)
    }

    /// The lines of signed chunks of this size have always the same length.
    fn signed(&self, body: &[u8], size: usize, trailer: bool, mut signature: String) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in body.chunks(size).chain([&b""[..]]) {
            let (date, scope, empty) = (&self.date, &self.scope, sha256(b""));
            let text = format!("AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{signature}\n{empty}\n{}", sha256(chunk));
            signature = hex(&sign(&self.key, &text));
            out.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            if !chunk.is_empty() || !trailer {
                out.extend_from_slice(b"\r\n");
            }
        }
        if trailer {
            let line = self.checksum(body);
            let text = format!(
                "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{signature}\n{}",
                self.date,
                self.scope,
                sha256(format!("{line}\n").as_bytes())
            );
            let signature = hex(&sign(&self.key, &text));
            out.extend_from_slice(format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n").as_bytes());
        }
        out
    }

    fn checksum(&self, body: &[u8]) -> String {
        format!("x-amz-checksum-sha256:{}", base64(digest::digest(&digest::SHA256, body).as_ref()))
    }

    async fn send(&self, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may respond, and close, before it has read all of it.
        let _ = stream.write_all(body).await;
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response).await;
        String::from_utf8_lossy(&response).into_owned()
    }
}

#[test]
fn signed_chunks_are_verified() {
    run(async {
        let bench = Bench::start().await;
        let mut alice = bench.boto("alice-rw").await;
        let signer = Signer::new(&bench, &mut alice).await;
        let body = bytes(300_000);
        for trailer in [false, true] {
            let payload = if trailer {
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
            } else {
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
            };
            let name = trailer.then_some("x-amz-checksum-sha256");
            // The signature of the head covers the length, and has a fixed length itself.
            let sent = signer.signed(&body, 64 << 10, trailer, "0".repeat(64)).len();
            let (head, signature) = signer.head("chunks", payload, body.len(), sent, name);
            let mut chunks = signer.signed(&body, 64 << 10, trailer, signature);
            let response = signer.send(&head, &chunks).await;
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
            let got = alice.ok("get_object", json!({"Bucket": "alice-photos", "Key": "chunks"})).await;
            assert!(got["Body"] == hex(&body), "the body differs");
            assert_eq!(got.get("ContentEncoding"), None);
            alice.ok("delete_object", json!({"Bucket": "alice-photos", "Key": "chunks"})).await;
            // One byte of the last chunk with bytes differs.
            let at = sent - 1000;
            chunks[at] ^= 1;
            let response = signer.send(&head, &chunks).await;
            assert!(response.starts_with("HTTP/1.1 403") && response.contains("SignatureDoesNotMatch"), "{response}");
            alice.fails("head_object", json!({"Bucket": "alice-photos", "Key": "chunks"}), "404", 404).await;
        }
        bench.running.stop().await;
    });
}

#[test]
fn chunk_of_any_size_is_bounded_in_memory() {
    run(async {
        let bench = Bench::start().await;
        let mut alice = bench.boto("alice-rw").await;
        let signer = Signer::new(&bench, &mut alice).await;
        let body = bytes(24 << 20);
        // One chunk, as some clients send a body of any length.
        let payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        let mut chunk = format!("{:x}\r\n", body.len()).into_bytes();
        chunk.extend_from_slice(&body);
        for (sum, status) in [(signer.checksum(&body), 200), (signer.checksum(b"other"), 400)] {
            let mut chunks = chunk.clone();
            chunks.extend_from_slice(format!("\r\n0\r\n{sum}\r\n\r\n").as_bytes());
            let key = format!("one-{status}");
            let (head, _) = signer.head(&key, payload, body.len(), chunks.len(), Some("x-amz-checksum-sha256"));
            let response = signer.send(&head, &chunks).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
        }
        let store = bench.alice.open(&[]).await;
        assert!(store.get("photos/one-200").await.unwrap().bytes().await.unwrap() == body);
        alice.fails("head_object", json!({"Bucket": "alice-photos", "Key": "one-400"}), "404", 404).await;
        // Signed ones cannot be divided.
        let payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
        let body = bytes((1 << 20) + 1);
        let sent = signer.signed(&body, body.len(), false, "0".repeat(64)).len();
        let (head, signature) = signer.head("large", payload, body.len(), sent, None);
        let response = signer.send(&head, &signer.signed(&body, body.len(), false, signature)).await;
        assert!(response.starts_with("HTTP/1.1 400") && response.contains("InvalidRequest"), "{response}");
        bench.running.stop().await;
    });
}

#[test]
fn form_with_a_policy_stores_its_file() {
    run(async {
        let bench = Bench::start().await;
        let mut alice = bench.boto("alice-rw").await;
        let form = alice.ok("generate_presigned_post", json!({"Bucket": "alice-photos", "Key": "form"})).await;
        let post = async |file: &str, with: &dyn Fn(&str, &str) -> String| {
            let mut body = String::new();
            for (name, value) in form["fields"].as_object().unwrap() {
                let value = with(name, value.as_str().unwrap());
                body.push_str(&format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
            }
            body.push_str("--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n");
            body.push_str(&format!("{file}\r\n--b--\r\n"));
            let headers = [("content-type".to_owned(), "multipart/form-data; boundary=b".to_owned())];
            let url = form["url"].as_str().unwrap();
            sandbucket_tests::plain::fetch("POST", url, &headers, body).await.unwrap().status
        };
        assert_eq!(post("text", &|_, value| value.to_owned()).await, 204);
        let got = alice.ok("get_object", json!({"Bucket": "alice-photos", "Key": "form"})).await;
        assert_eq!(got["Body"], hex(b"text"));
        // Another key than the policy's.
        let other = |name: &str, value: &str| if name == "key" { "elsewhere".to_owned() } else { value.to_owned() };
        assert!((400..500).contains(&post("text", &other).await));
        let elsewhere = json!({"Bucket": "alice-photos", "Key": "elsewhere"});
        alice.fails("head_object", elsewhere, "404", 404).await;
        bench.running.stop().await;
    });
}
