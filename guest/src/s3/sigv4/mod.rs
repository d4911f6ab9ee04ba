//! AWS Signature Version 4, as S3 wants it: each path byte encoded once, no path tidied, the body's hash in
//! `x-amz-content-sha256`.
//!
//! This runs for every request, so the signing key is kept for as long as its day lasts, and the texts that are hashed
//! are built in buffers that are used again.

mod presign;

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::rt::hex::{digits, hex};
use crate::rt::text_builder::TextBuilder;
use crate::s3::encode;
use crate::s3::requests::Request;
use crate::s3::time::AmzTime;
use crate::settings::{Credentials, Secret};

/// In place of a body's hash: the transport is trusted with the body.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The SHA-256 of no bytes, in hex.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Whether a header is sent unsigned: what proxies on the way change, add or take off.
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

/// What is said of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadHash {
    /// There is none.
    Empty,
    /// Nothing.
    Unsigned,
    /// Its SHA-256, in lower-case hex.
    Sha256(String),
}

impl PayloadHash {
    /// As it is sent and signed.
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
    /// The canonical request, which may have a security token in it.
    canonical: TextBuilder,
}

/// The signing key of one day.
struct SigningKey {
    /// The secret it was made from.
    secret: Secret,
    /// `date/region/service/aws4_request`.
    scope: String,
    mac: Hmac<Sha256>,
    /// What is the same for all that is signed in one second: as it tells the time, and with all before the request's hash.
    second: Option<(String, Hmac<Sha256>)>,
}

impl SigningKey {
    /// What the hash of a request goes into that is signed at this time.
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
    /// A signer for S3 in this region.
    pub fn new(region: impl Into<String>) -> Self {
        Signer::for_service(region, "s3")
    }

    /// A signer for another service that signs as S3 does.
    pub fn for_service(region: impl Into<String>, service: &'static str) -> Self {
        Signer { region: region.into(), service, key: None, canonical: TextBuilder::default() }
    }

    /// Signs a request, by adding the headers `x-amz-date`, `x-amz-content-sha256`, `authorization` and, where there is a
    /// token, `x-amz-security-token` at the end of those that are there.
    ///
    /// All headers of the request are signed but those that proxies meddle with, and the `host` that its authority will
    /// be. What is to be sent otherwise than the request says must be changed before.
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

    /// The `authorization` header's value for these parts of a request, at this time as [`AmzTime::text`] tells it. Sorts
    /// the headers.
    pub fn authorization(&mut self, parts: &mut Parts<'_>, credentials: &Credentials, date: &str) -> String {
        let signature = self.signature(parts, credentials, date);
        let key = self.signing_key(&credentials.secret_key, &date[..8]);
        let mut value = TextBuilder::with_capacity(256 + 16 * parts.headers.len());
        value.push(&[ALGORITHM, " Credential=", &credentials.access_key, "/", &key.scope, ", SignedHeaders="]);
        parts.push_header_names(&mut value);
        value.push(&[", Signature=", digits(&signature, &mut [0; 64])]);
        value.into_string()
    }

    /// The signature of these parts of a request.
    fn signature(&mut self, parts: &mut Parts<'_>, credentials: &Credentials, date: &str) -> Signature {
        self.canonical.clear();
        parts.push_canonical(&mut self.canonical);
        let hash = Sha256::digest(self.canonical.as_bytes());
        let mut mac = self.signing_key(&credentials.secret_key, &date[..8]).at(date);
        mac.update(digits(&hash, &mut [0; 64]).as_bytes());
        mac.finalize().into_bytes()
    }

    /// The key of this day, made anew where the day or the secret is another than last time.
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

/// What is signed of a request.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// `GET`, `PUT` and so on.
    pub method: &'a str,
    /// The path, encoded as it is sent.
    pub path: &'a str,
    /// Names and values of the query, not encoded, in any order.
    pub query: &'a [(Cow<'static, str>, String)],
    /// The headers to sign, `host` among them, names in lower case, in any order. Values of the same name are joined in
    /// the order that they have here.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body's SHA-256 in hex, or [`UNSIGNED_PAYLOAD`].
    pub payload: &'a str,
}

impl Parts<'_> {
    /// Appends the canonical request, which is what the signature is about. Sorts the headers.
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
            // What was made here has no white space, and need not be searched for it.
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

    /// The names of the headers, which are sorted, each once.
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

/// The headers that are signed, and the `host` that the authority will be.
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

/// Sorted by encoded name, then encoded value: not as one text, where `=` would take part in the order.
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

/// Sorts, and leaves alike ones in their order. By insertion: there are a dozen at most of what it is for, and the library's
/// own sorts are 15 KB of code.
fn sort<T>(list: &mut [T], is_before: impl Fn(&T, &T) -> bool) {
    for end in 1..list.len() {
        let mut at = end;
        while at > 0 && is_before(&list[at], &list[at - 1]) {
            list.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// A header's value, without white space around it and with one space for each stretch of it inside.
fn push_value(out: &mut TextBuilder, value: &str) {
    for (n, word) in value.split_ascii_whitespace().enumerate() {
        out.push(&[if n > 0 { " " } else { "" }, word]);
    }
}

/// The SHA-256 of these bytes, in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests;
