//! AWS Signature Version 4 in the variant of S3: the path is encoded once and not normalized, and `x-amz-content-sha256` has the
//! body's hash.
//!
//! Every request is signed, so [`Signer`] caches the signing key of the day and reuses the buffer of canonical requests.

mod presign;

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::time::AmzTime;
use sandbucket_plugin::http::encode;
use sandbucket_plugin::http::request::Request;
use sandbucket_plugin::rt::hex::{digits, hex};
use sandbucket_plugin::rt::text_builder::TextBuilder;
use sandbucket_plugin::settings::Secret;

use crate::settings::Credentials;

/// Replaces the body's hash if the body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// SHA-256 of an empty body, in hex.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Whether a header is not signed, as proxies change, add or remove it.
fn is_unsigned(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'a') => matches!(name, "accept-encoding" | "authorization"),
        Some(b'c') => matches!(name, "connection" | "content-length"),
        Some(b'e') => name == "expect",
        Some(b't') => matches!(name, "te" | "transfer-encoding"),
        Some(b'u') => name == "user-agent",
        Some(b'v') => name == "via",
        Some(b'x') => name == "x-amzn-trace-id",
        _ => false,
    }
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The payload hash of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadHash {
    /// Empty body.
    Empty,
    /// The body is not signed.
    Unsigned,
    /// SHA-256 of the body in lower-case hex.
    Sha256(String),
}

impl PayloadHash {
    /// Value of `x-amz-content-sha256`.
    pub fn as_str(&self) -> &str {
        match self {
            PayloadHash::Empty => EMPTY_SHA256,
            PayloadHash::Unsigned => UNSIGNED_PAYLOAD,
            PayloadHash::Sha256(hex) => hex,
        }
    }
}

type Signature = hmac::digest::Output<Sha256>;

/// Signs requests to one service in one region.
pub struct Signer {
    region: String,
    service: &'static str,
    key: Option<SigningKey>,
    /// Buffer of the canonical request, which may contain a security token.
    canonical: TextBuilder,
}

/// The signing key of one day.
struct SigningKey {
    /// Secret it is derived from.
    secret: Secret,
    /// `date/region/service/aws4_request`.
    scope: String,
    mac: Hmac<Sha256>,
    /// Cache for requests signed in the same second: the time, and the HMAC of everything before the request's hash.
    second: Option<(String, Hmac<Sha256>)>,
}

impl SigningKey {
    /// The HMAC to add the hash of a request to that is signed at this time.
    fn at(&mut self, date: &str) -> Hmac<Sha256> {
        if let Some((second, mac)) = &self.second
            && second == date
        {
            return mac.clone();
        }
        let mut mac = self.mac.clone();
        for piece in [ALGORITHM, "\n", date, "\n", &self.scope, "\n"] {
            mac.update(piece.as_bytes());
        }
        self.second = Some((date.to_owned(), mac.clone()));
        mac
    }
}

impl Signer {
    /// A signer for S3 in a region.
    pub fn new(region: impl Into<String>) -> Self {
        Signer::for_service(region, "s3")
    }

    /// A signer for another service with the same rules.
    pub fn for_service(region: impl Into<String>, service: &'static str) -> Self {
        Signer { region: region.into(), service, key: None, canonical: TextBuilder::default() }
    }

    /// Signs a request by appending the headers `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token` (if there is a token)
    /// and `authorization`.
    ///
    /// Signs `host` and all headers except those that proxies change. The request must not be modified afterwards.
    pub fn sign(&mut self, request: &mut Request, credentials: &Credentials, payload: &PayloadHash, now: AmzTime) {
        let date = now.text();
        request.header("x-amz-date", date.as_str());
        request.header("x-amz-content-sha256", payload.as_str());
        if let Some(token) = &credentials.security_token {
            request.header("x-amz-security-token", token.expose());
        }
        let headers = signed_headers(request);
        let authorization = self.authorization(
            &mut Parts {
                method: request.method.as_str(),
                path: &request.path,
                query: &request.query,
                headers,
                payload: payload.as_str(),
            },
            credentials,
            &date,
        );
        request.header("authorization", authorization);
    }

    /// Returns the value of `authorization` for the parts of a request, signed at `date` ([`AmzTime::text`]). Sorts the headers.
    pub fn authorization(&mut self, parts: &mut Parts<'_>, credentials: &Credentials, date: &str) -> String {
        let signature = self.signature(parts, credentials, date);
        let key = self.signing_key(&credentials.secret_key, &date[..8]);
        let mut value = TextBuilder::with_capacity(256 + 16 * parts.headers.len());
        value.push(&[ALGORITHM, " Credential=", &credentials.access_key, "/", &key.scope, ", SignedHeaders="]);
        parts.push_header_names(&mut value);
        value.push(&[", Signature=", digits(&signature, &mut [0; 64])]);
        value.into_string()
    }

    /// Computes the signature of the parts of a request.
    fn signature(&mut self, parts: &mut Parts<'_>, credentials: &Credentials, date: &str) -> Signature {
        self.canonical.clear();
        parts.push_canonical(&mut self.canonical);
        let hash = Sha256::digest(self.canonical.as_bytes());
        let mut mac = self.signing_key(&credentials.secret_key, &date[..8]).at(date);
        mac.update(digits(&hash, &mut [0; 64]).as_bytes());
        mac.finalize().into_bytes()
    }

    /// Returns the cached signing key, derived anew if the day or the secret has changed.
    fn signing_key(&mut self, secret: &Secret, day: &str) -> &mut SigningKey {
        if self.key.as_ref().is_some_and(|key| !key.scope.starts_with(day) || key.secret != *secret) {
            self.key = None;
        }
        self.key.get_or_insert_with(|| {
            let first = ["AWS4", secret.expose()].join("");
            let mut mac = hmac(first.as_bytes());
            for step in [day, &self.region, self.service, "aws4_request"] {
                mac.update(step.as_bytes());
                mac = hmac(&mac.finalize().into_bytes());
            }
            let scope = [day, &self.region, self.service, "aws4_request"].join("/");
            SigningKey { secret: secret.clone(), scope, mac, second: None }
        })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).field("service", &self.service).finish_non_exhaustive()
    }
}

/// The signed parts of a request.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// `GET`, `PUT` and so on.
    pub method: &'a str,
    /// Encoded path.
    pub path: &'a str,
    /// Query parameters, not encoded, in any order.
    pub query: &'a [(Cow<'static, str>, String)],
    /// Headers to sign, including `host`, names in lower case, in any order. Values of the same name are joined in this order.
    pub headers: Vec<(&'a str, &'a str)>,
    /// SHA-256 of the body in hex, or [`UNSIGNED_PAYLOAD`].
    pub payload: &'a str,
}

impl Parts<'_> {
    /// Appends the canonical request. Sorts the headers.
    pub fn push_canonical(&mut self, out: &mut TextBuilder) {
        sort(&mut self.headers, |one, other| one.0 < other.0);
        out.push(&[self.method, "\n", self.path, "\n"]);
        push_query(out, self.query);
        let mut last = None;
        for &(name, value) in &self.headers {
            if last == Some(name) {
                out.push(&[","]);
            } else {
                out.push(&["\n", name, ":"]);
            }
            // Generated values contain no white space to normalize.
            if matches!(name, "host" | "x-amz-content-sha256" | "x-amz-date") {
                out.push(&[value]);
            } else {
                push_value(out, value);
            }
            last = Some(name);
        }
        out.push(&["\n\n"]);
        self.push_header_names(out);
        out.push(&["\n", self.payload]);
    }

    /// Appends the names of the sorted headers, each once.
    fn push_header_names(&self, out: &mut TextBuilder) {
        let mut last = None;
        for &(name, _) in &self.headers {
            if last != Some(name) {
                out.push(&[if last.is_some() { ";" } else { "" }, name]);
                last = Some(name);
            }
        }
    }
}

/// The headers to sign, including `host`.
fn signed_headers(request: &Request) -> Vec<(&str, &str)> {
    let mut headers: Vec<(&str, &str)> = Vec::with_capacity(request.headers.len() + 1);
    for (name, value) in &request.headers {
        if !is_unsigned(name) {
            headers.push((name, value));
        }
    }
    headers.push(("host", &request.authority));
    headers
}

/// Appends the query, sorted by encoded name, then encoded value; `=` does not take part in the order.
fn push_query(out: &mut TextBuilder, query: &[(Cow<'static, str>, String)]) {
    let mut pairs = Vec::with_capacity(query.len());
    for (name, value) in query {
        pairs.push((encode::query(name), encode::query(value)));
    }
    sort(&mut pairs, |one, other| one < other);
    for (n, (name, value)) in pairs.iter().enumerate() {
        out.push(&[if n > 0 { "&" } else { "" }, name, "=", value]);
    }
}

/// Stable insertion sort for the dozen headers or parameters of a request. Replaces `sort_by`, which adds 15 KB of code.
fn sort<T>(list: &mut [T], is_before: impl Fn(&T, &T) -> bool) {
    for end in 1..list.len() {
        let mut at = end;
        while at > 0 && is_before(&list[at], &list[at - 1]) {
            list.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Appends a header's value, trimmed and with sequential spaces as one.
fn push_value(out: &mut TextBuilder, value: &str) {
    for (n, word) in value.split_ascii_whitespace().enumerate() {
        out.push(&[if n > 0 { " " } else { "" }, word]);
    }
}

/// SHA-256 of the bytes in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests;
