//! AWS's test suite for Signature Version 4, as far as it applies to S3.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use sandbucket_plugin::http::encode;
use sandbucket_plugin::rt::text_builder::TextBuilder;
use sandbucket_plugin::settings::Secret;
use sandbucket_s3::settings::Credentials;
use sandbucket_s3::sigv4::{EMPTY_SHA256, Parts, Signer, sha256_hex};
use sandbucket_s3::time::AmzTime;

/// Signing time of every case: 2015-08-30T12:36:00Z.
const SIGNED_AT: AmzTime = AmzTime::from_secs(1_440_938_160);

/// Cases that do not apply to S3, and why.
const NOT_S3: [(&str, &str); 9] = [
    ("double-encode-path", "S3 encodes a path once"),
    ("double-url-encode", "S3 encodes a path once"),
    ("get-relative-normalized", "S3 does not tidy a path"),
    ("get-relative-relative-normalized", "S3 does not tidy a path"),
    ("get-slash-dot-slash-normalized", "S3 does not tidy a path"),
    ("get-slash-normalized", "S3 does not tidy a path"),
    ("get-slash-pointless-dot-normalized", "S3 does not tidy a path"),
    ("get-slashes-normalized", "S3 does not tidy a path"),
    ("post-sts-header-after", "S3 wants the token signed"),
];

/// Number of cases that apply.
const APPLIED: usize = 31;

fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws-sig-v4-test-suite")
}

/// A request in the suite.
struct Case {
    method: String,
    path: String,
    query: Vec<(Cow<'static, str>, String)>,
    headers: Vec<(String, String)>,
    body: String,
    token: Option<String>,
    signs_body: bool,
}

impl Case {
    fn read(folder: &Path) -> Case {
        let text = read(folder, "request.txt");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let (method, rest) = first.split_once(' ').unwrap();
        let target = rest.strip_suffix(" HTTP/1.1").unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            if line.starts_with(' ') {
                // A header continued in the next line.
                let (_, value) = headers.last_mut().unwrap();
                value.push('\n');
                value.push_str(line);
            } else {
                let (name, value) = line.split_once(':').unwrap();
                headers.push((name.to_ascii_lowercase(), value.to_owned()));
            }
        }
        let context = read(folder, "context.json");
        Case {
            method: method.to_owned(),
            // Some paths in the suite are encoded.
            path: encode::key_path(&decoded(path)),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (Cow::Owned(decoded(name)), decoded(value)))
                .collect(),
            headers,
            body: body.to_owned(),
            token: context.split_once("\"token\": \"").map(|(_, rest)| rest.split_once('"').unwrap().0.to_owned()),
            signs_body: context.contains("\"sign_body\": true"),
        }
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn read(folder: &Path, file: &str) -> String {
    let path = folder.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).replace("\r\n", "\n")
}

#[test]
fn requests_of_the_suite_are_signed_as_specified() {
    let mut applied = 0;
    let mut skipped = BTreeSet::new();
    for entry in fs::read_dir(suite()).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_type().unwrap().is_dir() {
            continue;
        }
        let name = entry.file_name().into_string().unwrap();
        if let Some((name, _)) = NOT_S3.iter().find(|(case, _)| *case == name) {
            skipped.insert(*name);
            continue;
        }
        check(&name, &entry.path());
        applied += 1;
    }
    assert_eq!(applied, APPLIED);
    assert_eq!(skipped, NOT_S3.iter().map(|(name, _)| *name).collect());
}

fn check(name: &str, folder: &Path) {
    let case = Case::read(folder);
    let date = SIGNED_AT.text();
    let hash = if case.signs_body { sha256_hex(case.body.as_bytes()) } else { EMPTY_SHA256.to_owned() };
    let mut headers: Vec<(&str, &str)> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    headers.push(("x-amz-date", &date));
    if case.signs_body {
        headers.push(("x-amz-content-sha256", &hash));
    }
    if let Some(token) = &case.token {
        headers.push(("x-amz-security-token", token));
    }
    let mut parts = Parts { method: &case.method, path: &case.path, query: &case.query, headers, payload: &hash };

    let mut canonical = TextBuilder::default();
    parts.push_canonical(&mut canonical);
    let canonical = canonical.into_string();
    assert_eq!(canonical, read(folder, "header-canonical-request.txt"), "{name}");
    let scope = "20150830/us-east-1/service/aws4_request";
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
    assert_eq!(to_sign, read(folder, "header-string-to-sign.txt"), "{name}");

    let credentials = Credentials {
        access_key: "AKIDEXAMPLE".into(),
        secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        security_token: None,
    };
    let mut signer = Signer::for_service("us-east-1", "service");
    let value = signer.authorization(&mut parts, &credentials, &date);
    let signature = read(folder, "header-signature.txt");
    assert!(value.ends_with(&format!(", Signature={signature}")), "{name}: {value}");
    assert!(value.contains(&format!("Credential=AKIDEXAMPLE/{scope}, ")), "{name}: {value}");

    // The same in the query, for cases that sign the token, as S3 does.
    let headers = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let parts = Parts { method: &case.method, path: &case.path, query: &[], headers, payload: &hash };
    let credentials = Credentials { security_token: case.token.as_deref().map(Secret::new), ..credentials };
    let mut query = case.query.clone();
    signer.sign_query(parts, &mut query, &credentials, 3600, &date);
    let (name_, signature) = query.last().unwrap();
    assert_eq!((&**name_, signature), ("X-Amz-Signature", &read(folder, "query-signature.txt")), "{name}");
}
