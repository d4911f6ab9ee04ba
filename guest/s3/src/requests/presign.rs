//! Presigned requests.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html>

use crate::settings::{Settings, insecure_customer_key};
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::{CallOptions, PresignOptions, PresignedMethod};
use sandbucket_plugin::http::request::{Method, Request, visible};
use sandbucket_plugin::presign::{push_header, validity};

use super::attributes;
use super::blob::WRITES;
use super::{base, version};
use crate::attributes::groups;

/// Maximum validity in seconds: 7 days.
pub const MAX_EXPIRES: u64 = 7 * 24 * 3600;

/// Parameters of a read that override headers of its response.
const RESPONSE_OVERRIDES: [&str; 6] = [
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

/// Headers that are sent as query parameters, so that users of the URL need not send them.
const QUERY_HEADERS: [&str; 2] = ["x-amz-request-payer", "x-amz-expected-bucket-owner"];

/// Suffix of the headers that contain a customer key.
const CUSTOMER_KEY: &str = "server-side-encryption-customer-key";

/// Headers that only the signature sets.
const RESERVED_HEADERS: [&str; 2] = ["x-amz-date", "x-amz-security-token"];

/// Returns the request to sign and its validity in seconds. Its headers must be sent with it.
pub fn presign(
    settings: &Settings,
    key: &str,
    method: PresignedMethod,
    options: &PresignOptions,
) -> Result<(Request, u64), Failure> {
    let expires = validity(options, MAX_EXPIRES, "7 days")?;
    let (method, accepts) = match method {
        PresignedMethod::Get => (Method::Get, groups::CUSTOMER_KEY),
        PresignedMethod::Head => (Method::Head, groups::CUSTOMER_KEY),
        PresignedMethod::Put => (Method::Put, WRITES.union(groups::CHECKSUM)),
        PresignedMethod::Delete => (Method::Delete, groups::BYPASS),
    };
    let mut request = base(method, settings, key);
    version(&mut request, options.version.as_deref())?;
    let reads = matches!(method, Method::Get | Method::Head);
    let mut call = CallOptions::default();
    for (name, value) in &options.call.attributes {
        match RESPONSE_OVERRIDES.iter().find(|response| reads && *response == name) {
            Some(&response) => request.parameter(response, visible(response, value)?),
            None => call.attributes.push((name.clone(), value.clone())),
        }
    }
    attributes::apply(&mut request, &call, settings, accepts)?;
    for (name, value) in std::mem::take(&mut request.headers) {
        let hoisted = QUERY_HEADERS.contains(&&*name);
        if hoisted { &mut request.query } else { &mut request.headers }.push((name, value));
    }
    for header in &options.headers {
        if header.0.ends_with(CUSTOMER_KEY) && !settings.sends_customer_keys() {
            return Err(insecure_customer_key(
                "headers",
                &format!("the header {}", sandbucket_plugin::contract::error::tidy(&header.0, 64)),
            ));
        }
        push_header(&mut request, header, &RESERVED_HEADERS)?;
    }
    Ok((request, expires))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;
    use sandbucket_plugin::contract::error::Kind;
    use sandbucket_plugin::contract::model::Pair;

    fn made(
        more: &[(&str, &str)],
        method: PresignedMethod,
        options: &PresignOptions,
    ) -> Result<(Request, u64), Failure> {
        let pairs = [&[("bucket", "demo"), ("endpoint", "http://localhost")], more].concat();
        let pairs: Vec<Pair> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        presign(&settings::parse(&pairs).unwrap(), "k", method, options)
    }

    fn options(attributes: &[(&str, &str)], headers: &[(&str, &str)]) -> PresignOptions {
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        PresignOptions {
            expires: 60_900_000_000,
            headers: owned(headers),
            call: CallOptions { attributes: owned(attributes), ..CallOptions::default() },
            ..PresignOptions::default()
        }
    }

    #[test]
    fn presigned_get_has_response_overrides_in_its_query() {
        let given = [("response-content-type", "text/plain"), ("expected-bucket-owner", "1")];
        let requested = PresignOptions { version: Some("v".into()), ..options(&given, &[]) };
        let (request, seconds) = made(&[("request-payer", "true")], PresignedMethod::Get, &requested).unwrap();
        let query = "/demo/k?versionId=v&response-content-type=text%2Fplain&x-amz-expected-bucket-owner=1&\
                     x-amz-request-payer=requester";
        assert_eq!((&*request.path_and_query(), seconds, request.headers.len()), (query, 60, 0));
        let refused = made(&[], PresignedMethod::Put, &options(&given[..1], &[])).unwrap_err();
        assert_eq!(refused.kind, Kind::Unsupported);
    }

    #[test]
    fn presigned_put_lists_the_headers_to_send() {
        let given = options(&[("cache-control", "no-store")], &[("content-type", "text/plain")]);
        let (request, _) = made(&[("storage-class", "GLACIER")], PresignedMethod::Put, &given).unwrap();
        let headers: Vec<_> = request.headers.iter().map(|(name, _)| &**name).collect();
        assert_eq!(headers, ["cache-control", "x-amz-storage-class", "content-type"]);
        assert!(
            made(&[("storage-class", "GLACIER")], PresignedMethod::Get, &options(&[], &[]))
                .unwrap()
                .0
                .headers
                .is_empty()
        );
    }

    #[test]
    fn customer_key_is_not_presigned_over_plain_http() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let allowed = [("allow-insecure-sse-customer-key", "true")];
        let attribute = options(&[("sse-customer-key", key)], &[]);
        let header = options(&[], &[("x-amz-server-side-encryption-customer-key", key)]);
        for (given, subject) in [(attribute, "sse-customer-key"), (header, "headers")] {
            for method in [PresignedMethod::Get, PresignedMethod::Head, PresignedMethod::Put] {
                let refused = made(&[], method, &given).unwrap_err();
                assert_eq!(refused.subject.as_deref(), Some(subject));
                assert!(refused.message.contains(allowed[0].0) && !refused.message.contains(key), "{refused}");
                assert!(made(&allowed, method, &given).is_ok());
            }
        }
    }

    #[test]
    fn validity_and_headers_of_presigned_requests_are_limited() {
        let at = |expires| {
            let options = PresignOptions { expires, ..PresignOptions::default() };
            made(&[], PresignedMethod::Get, &options).map(|(_, seconds)| seconds)
        };
        assert_eq!(at(1_000_000_000), Ok(1));
        assert_eq!(at(MAX_EXPIRES * 1_000_000_000), Ok(MAX_EXPIRES));
        for wrong in [0, 999_999_999, (MAX_EXPIRES + 1) * 1_000_000_000, u64::MAX] {
            assert_eq!(at(wrong).unwrap_err().subject.as_deref(), Some("expires"));
        }
        for wrong in [("Content-Type", "a"), ("host", "a"), ("a b", "a"), ("", "a"), ("a", "x\ny"), ("x-amz-date", "1")]
        {
            let refused = made(&[], PresignedMethod::Put, &options(&[], &[wrong])).unwrap_err();
            assert_eq!((refused.kind, refused.subject.as_deref()), (Kind::InvalidArgument, Some("headers")));
        }
        assert!(made(&[], PresignedMethod::Put, &options(&[], &[("a", "1"), ("a", "2")])).is_err());
    }
}
