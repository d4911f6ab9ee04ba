//! Compares signatures with those of the crate aws-sigv4, on random requests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::settings::Secret;
use sandbucket_s3::endpoint::{AddressingStyle, AwsHosts, Endpoint};
use sandbucket_s3::settings::Credentials;
use sandbucket_s3::sigv4::{PayloadHash, Signer, sha256_hex};
use sandbucket_s3::time::AmzTime;

/// A request and its credentials.
#[derive(Clone, Debug)]
struct Case {
    method: Method,
    endpoint: &'static str,
    region: String,
    key: String,
    query: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    unsigned: bool,
    access_key: String,
    secret_key: String,
    token: Option<String>,
    secs: u64,
}

/// A key: any text, often of characters with a special meaning.
fn key() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "/", "//", ".", "..", "/../", "/./", " ", "+", "%", "%2F", "%2e", "~", "?", "#", "&", "=", ":", "@", "\\",
        "\0", "\n", "\u{7f}", "é", "e\u{301}", "🪣", "a", "Z", "0", "*", "'", "(", "!", "$", ",", ";", "\"", "<", "[",
        "^", "`",
    ]);
    prop_oneof![
        1 => any::<String>().prop_filter("a key has a byte", |key| !key.is_empty()),
        2 => prop::collection::vec(odd, 1..12).prop_map(|pieces| pieces.concat()),
    ]
}

/// A header's value: visible ASCII with spaces, also at the ends and in sequence.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ -~]{0,40}", 1 => "[ a]{0,12}"]
}

fn headers() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "range",
            "content-type",
            "content-md5",
            "if-match",
            "if-none-match",
            "if-modified-since",
            "cache-control",
            "expires",
            "x-amz-meta-a",
            "x-amz-meta-a-b",
            "x-amz-acl",
        ])
        .prop_map(str::to_owned),
        "x-amz-meta-[a-z0-9!#$%&'*+.^_`|~-]{1,12}",
    ];
    prop::collection::btree_map(name, value(), 0..6)
}

fn query() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![Just("versionId".to_owned()), Just("partNumber".to_owned()), "[a-z~+/ %é-]{1,8}"];
    prop::collection::vec((name, any::<String>()), 0..4)
}

fn case() -> impl Strategy<Value = Case> {
    let methods = vec![Method::Get, Method::Head, Method::Put, Method::Post, Method::Delete];
    let endpoints =
        vec!["http://localhost:9000", "https://example.com", "https://example.com:8443/pre/fix", "http://[::1]:9"];
    let request = (
        prop::sample::select(methods),
        prop::sample::select(endpoints),
        key(),
        query(),
        headers(),
        prop::collection::vec(any::<u8>(), 0..200),
        any::<bool>(),
    );
    let signer = (
        "[a-z0-9-]{1,20}",
        "[A-Za-z0-9_]{1,30}",
        "[ -~é]{1,60}",
        // Excludes sequential spaces, which the crate does not normalize in a token.
        prop::option::of("[!-~]{1,40}( [!-~]{1,20}){0,2}"),
        0..253_402_300_799_u64,
    );
    (request, signer).prop_map(
        |((method, endpoint, key, query, headers, body, unsigned), (region, access_key, secret_key, token, secs))| {
            Case { method, endpoint, region, key, query, headers, body, unsigned, access_key, secret_key, token, secs }
        },
    )
}

impl Case {
    fn request(&self) -> Request {
        let endpoint =
            Endpoint::resolve(Some(self.endpoint), &self.region, "demo", AddressingStyle::Path, AwsHosts::default())
                .unwrap();
        Request {
            method: self.method,
            https: endpoint.https,
            path: endpoint.object_path(&self.key),
            authority: endpoint.authority,
            query: self.query.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.clone())).collect(),
            headers: self.headers.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.clone())).collect(),
        }
    }

    /// Headers added by this plugin.
    fn ours(&self, signer: &mut Signer) -> BTreeMap<String, String> {
        let mut request = self.request();
        let credentials = self.credentials();
        let payload = match (self.unsigned, self.body.is_empty()) {
            (true, _) => PayloadHash::Unsigned,
            (false, true) => PayloadHash::Empty,
            (false, false) => PayloadHash::Sha256(sha256_hex(&self.body)),
        };
        signer.sign(&mut request, &credentials, &payload, AmzTime::from_secs(self.secs));
        request.headers.drain(self.headers.len()..).map(|(name, value)| (name.into_owned(), value)).collect()
    }

    /// Headers added by aws-sigv4.
    fn theirs(&self) -> BTreeMap<String, String> {
        let body = if self.unsigned { SignableBody::UnsignedPayload } else { SignableBody::Bytes(&self.body) };
        let instructions = self.signed(settings(), body);
        instructions.headers().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect()
    }

    /// Query parameters added by this plugin for a presigned request.
    fn our_query(&self, expires: u64) -> BTreeMap<String, String> {
        let mut request = self.request();
        let credentials = self.credentials();
        let mut signer = Signer::new(self.region.as_str());
        signer.presign(&mut request, &credentials, expires, AmzTime::from_secs(self.secs));
        request.query.drain(self.query.len()..).map(|(name, value)| (name.into_owned(), value)).collect()
    }

    /// Query parameters added by aws-sigv4.
    fn their_query(&self, expires: u64) -> BTreeMap<String, String> {
        let mut settings = settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires));
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        let instructions = self.signed(settings, SignableBody::UnsignedPayload);
        instructions.params().iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect()
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            access_key: self.access_key.clone(),
            secret_key: Secret::new(self.secret_key.as_str()),
            security_token: self.token.as_deref().map(Secret::new),
        }
    }

    fn signed(&self, settings: SigningSettings, body: SignableBody<'_>) -> SigningInstructions {
        let request = self.request();
        let identity = AwsCredentials::new(&self.access_key, &self.secret_key, self.token.clone(), None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(UNIX_EPOCH + Duration::from_secs(self.secs))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let scheme = if request.https { "https" } else { "http" };
        let url = format!("{scheme}://{}{}", request.authority, request.path_and_query());
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(self.method.as_str(), url, headers, body).unwrap();
        sign(request, &params).unwrap().into_parts().0
    }
}

/// Settings for the rules of S3.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn presigning_adds_the_parameters_of_aws_sigv4(case in case(), expires in 1..=604_800_u64) {
        prop_assert_eq!(case.our_query(expires), case.their_query(expires));
    }

    #[test]
    fn signing_adds_the_headers_of_aws_sigv4(case in case()) {
        prop_assert_eq!(case.ours(&mut Signer::new(case.region.as_str())), case.theirs());
    }

    /// A reused signer keeps no state of one request that changes the next signature.
    #[test]
    fn reused_signer_signs_like_a_new_one(cases in prop::collection::vec(case(), 2..5)) {
        let region = cases[0].region.clone();
        let mut signer = Signer::new(region.as_str());
        for case in cases {
            let case = Case { region: region.clone(), ..case };
            prop_assert_eq!(case.ours(&mut signer), case.theirs());
        }
    }
}
