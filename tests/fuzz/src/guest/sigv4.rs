//! Signatures of arbitrary requests, compared with those of AWS's own crate.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use arbitrary::{Arbitrary, Result, Unstructured};
use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::http::time::LAST;
use sandbucket_plugin::settings::Secret;
use sandbucket_s3::endpoint::{AddressingStyle, AwsHosts, Endpoint};
use sandbucket_s3::settings::Credentials;
use sandbucket_s3::sigv4::{PayloadHash, Signer, sha256_hex};
use sandbucket_s3::time::AmzTime;

const REGION: &str = "eu-west-1";

/// A key, a query, headers and a body, signed in the header.
pub fn guest_sigv4(data: &[u8]) {
    if let Ok((request, body, secs)) = case(&mut Unstructured::new(data)) {
        let theirs = theirs(&request, &body, secs);
        let count = request.headers.len();
        let mut ours = request;
        let hash = if body.is_empty() { PayloadHash::Empty } else { PayloadHash::Sha256(sha256_hex(&body)) };
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: Secret::new("wJalrXUtnFEMI"),
            security_token: None,
        };
        Signer::new(REGION).sign(&mut ours, &credentials, &hash, AmzTime::from_secs(secs));
        let ours: BTreeMap<String, String> =
            ours.headers.drain(count..).map(|(name, value)| (name.into_owned(), value)).collect();
        assert_eq!(ours, theirs);
    }
}

fn case(u: &mut Unstructured<'_>) -> Result<(Request, Vec<u8>, u64)> {
    const NAMES: [&str; 6] = ["range", "content-type", "if-match", "x-amz-meta-a", "x-amz-meta-a-b", "x-amz-acl"];
    let method = *u.choose(&[Method::Get, Method::Head, Method::Put, Method::Post, Method::Delete])?;
    let endpoint = *u.choose(&["http://localhost:9000", "https://example.com:8443/pre/fix", "http://[::1]:9"])?;
    let style = AddressingStyle::Path;
    let endpoint = Endpoint::resolve(Some(endpoint), REGION, "demo", style, AwsHosts::default()).expect("an endpoint");
    let mut headers = BTreeMap::new();
    for _ in 0..u.int_in_range(0..=3)? {
        // Visible ASCII, and spaces also at the ends and in a row.
        let value: Vec<u8> = Arbitrary::arbitrary(u)?;
        let value = value.into_iter().map(|byte| char::from(b' ' + byte % 95)).collect();
        headers.insert(*u.choose(&NAMES)?, value);
    }
    let mut query = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        let (name, value): (String, String) = Arbitrary::arbitrary(u)?;
        if !name.is_empty() {
            query.push((Cow::Owned(name), value));
        }
    }
    let secs = u.int_in_range(0..=LAST)?;
    let body = if method == Method::Put { Arbitrary::arbitrary(u)? } else { Vec::new() };
    let key: String = Arbitrary::arbitrary(u)?;
    let key = if key.is_empty() { "k".to_owned() } else { key };
    let request = Request {
        method,
        https: endpoint.https,
        path: endpoint.object_path(&key),
        authority: endpoint.authority,
        query,
        headers: headers.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect(),
    };
    Ok((request, body, secs))
}

/// The headers that AWS's crate adds.
fn theirs(request: &Request, body: &[u8], secs: u64) -> BTreeMap<String, String> {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = AwsCredentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI", None, None, "fuzz").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_secs(secs))
        .settings(settings)
        .build()
        .expect("parameters")
        .into();
    let scheme = if request.https { "https" } else { "http" };
    let url = format!("{scheme}://{}{}", request.authority, request.path_and_query());
    let headers = request.headers.iter().map(|(name, value)| (&**name, value.as_str()));
    let signable = SignableRequest::new(request.method.as_str(), url, headers, SignableBody::Bytes(body));
    let instructions = sign(signable.expect("a request"), &params).expect("a signature").into_parts().0;
    instructions.headers().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect()
}
