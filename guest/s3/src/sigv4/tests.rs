use super::*;
use sandbucket_plugin::http::request::Method;

const NOON: AmzTime = AmzTime::from_secs(1_700_000_000);

fn credentials(secret: &str) -> Credentials {
    Credentials { access_key: "ak".into(), secret_key: Secret::new(secret), security_token: None }
}

fn request() -> Request {
    Request {
        method: Method::Get,
        https: false,
        authority: "localhost:9000".into(),
        path: "/demo/k".into(),
        query: Vec::new(),
        headers: Vec::new(),
    }
}

fn signed(signer: &mut Signer, credentials: &Credentials, now: AmzTime) -> String {
    let mut request = request();
    signer.sign(&mut request, credentials, &PayloadHash::Empty, now);
    request.headers.pop().unwrap().1
}

#[test]
fn hashes_are_lower_case_hex() {
    assert_eq!(sha256_hex(b""), EMPTY_SHA256);
    assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn cached_signing_key_is_replaced_with_the_day_and_the_secret() {
    let fresh = |secret: &str, now| signed(&mut Signer::new("us-east-1"), &credentials(secret), now);
    let mut signer = Signer::new("us-east-1");
    let tomorrow = AmzTime::from_secs(NOON.secs() + 86_400);
    for (secret, now) in [("a", NOON), ("a", NOON), ("a", tomorrow), ("b", tomorrow), ("a", NOON)] {
        assert_eq!(signed(&mut signer, &credentials(secret), now), fresh(secret, now));
    }
    assert_ne!(fresh("a", NOON), fresh("b", NOON));
}

#[test]
fn signing_adds_its_headers() {
    let mut request = request();
    request.header("range", "bytes=0-1");
    request.header("user-agent", "x");
    let token = Credentials { security_token: Some(Secret::new("a token")), ..credentials("s") };
    Signer::new("r").sign(&mut request, &token, &PayloadHash::Unsigned, NOON);
    let named: Vec<_> = request.headers[2..5].iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        named,
        [
            ("x-amz-date", "20231114T221320Z"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("x-amz-security-token", "a token")
        ]
    );
    let (name, value) = &request.headers[5];
    assert_eq!(name, "authorization");
    let start = "AWS4-HMAC-SHA256 Credential=ak/20231114/r/s3/aws4_request, \
                 SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=";
    assert!(value.starts_with(start) && value.len() == start.len() + 64, "{value}");
}

#[test]
fn debug_output_has_no_secret() {
    let token = Credentials { security_token: Some(Secret::new("hidden-token")), ..credentials("hidden-secret") };
    let mut signer = Signer::new("r");
    signer.sign(&mut request(), &token, &PayloadHash::Empty, NOON);
    let shown = format!("{signer:?} {token:?}");
    assert!(!shown.contains("hidden"), "{shown}");
}
