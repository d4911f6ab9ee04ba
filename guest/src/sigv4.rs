//! Signature version 4 in the `Authorization` header, by S3's rules: the path is signed as it is sent, and the payload's
//! hash, or word that it is not signed, is a header.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::encode;
use crate::request::Request;
use crate::settings::Credentials;
use crate::time::AmzTime;

/// The hash of no bytes.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What stands for the hash of a payload that is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What is signed of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadHash {
    /// There is none.
    Empty,
    /// Nothing: TLS is trusted with it.
    Unsigned,
    /// Its SHA-256 in hex.
    Sha256(String),
}

impl PayloadHash {
    fn as_str(&self) -> &str {
        match self {
            PayloadHash::Empty => EMPTY_SHA256,
            PayloadHash::Unsigned => UNSIGNED_PAYLOAD,
            PayloadHash::Sha256(hex) => hex,
        }
    }
}

/// Signs requests, and keeps the key that holds for a day.
pub struct Signer {
    region: String,
    key: Option<([u8; 8], [u8; 32])>,
}

impl Signer {
    /// Signs for this region.
    pub fn new(region: impl Into<String>) -> Self {
        Signer { region: region.into(), key: None }
    }

    /// Adds `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token` where there is one, and `authorization`.
    ///
    /// All headers of the request are signed, and `host`.
    pub fn sign(&mut self, request: &mut Request, credentials: &Credentials, payload: &PayloadHash, now: AmzTime) {
        let stamp = now.stamp();
        let stamp: String = stamp.iter().map(|&b| char::from(b)).collect();
        let date = &stamp[..8];
        request.header("x-amz-date", stamp.clone());
        request.header("x-amz-content-sha256", payload.as_str());
        if let Some(token) = &credentials.security_token {
            request.header("x-amz-security-token", token.expose());
        }
        let scope = format!("{date}/{}/s3/aws4_request", self.region);
        let (canonical, signed) = canonical(request, payload);
        let to_sign = format!("{ALGORITHM}\n{stamp}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let key = self.key_of(date, credentials);
        let mut value =
            format!("{ALGORITHM} Credential={}/{scope},SignedHeaders={signed},Signature=", credentials.access_key);
        push_hex(&mut value, &hmac(&key, to_sign.as_bytes()));
        request.header("authorization", value);
    }

    /// The key of this day. A store's credentials and region never change, so that the day alone tells it apart.
    fn key_of(&mut self, date: &str, credentials: &Credentials) -> [u8; 32] {
        let mut day = [0; 8];
        day.copy_from_slice(date.as_bytes());
        match self.key {
            Some((of, key)) if of == day => key,
            _ => {
                let first = format!("AWS4{}", credentials.secret_key.expose());
                let key = [self.region.as_bytes(), b"s3", b"aws4_request"]
                    .iter()
                    .fold(hmac(first.as_bytes(), &day), |key, part| hmac(&key, part));
                self.key = Some((day, key));
                key
            }
        }
    }
}

/// The request as it is signed, and the names of the headers in it.
fn canonical(request: &Request, payload: &PayloadHash) -> (String, String) {
    let mut headers: Vec<(&str, Cow<'_, str>)> =
        request.headers.iter().map(|(name, value)| (&**name, trimmed(value))).collect();
    headers.push(("host", Cow::Borrowed(&request.authority)));
    headers.sort_unstable_by(|a, b| a.0.cmp(b.0));
    let mut text = String::with_capacity(512);
    text.push_str(request.method.as_str());
    text.push('\n');
    text.push_str(&request.path);
    text.push('\n');
    let mut query: Vec<(String, String)> =
        request.query.iter().map(|(name, value)| (encode::query(name), encode::query(value))).collect();
    query.sort();
    for (n, (name, value)) in query.iter().enumerate() {
        if n > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text.push('\n');
    let mut signed = String::with_capacity(128);
    for (name, value) in &headers {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
        if !signed.is_empty() {
            signed.push(';');
        }
        signed.push_str(name);
    }
    text.push('\n');
    text.push_str(&signed);
    text.push('\n');
    text.push_str(payload.as_str());
    (text, signed)
}

/// The value without outer spaces, and with one space where there are several.
fn trimmed(value: &str) -> Cow<'_, str> {
    let value = value.trim_matches(' ');
    if !value.contains("  ") {
        return Cow::Borrowed(value);
    }
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    Cow::Owned(words.join(" "))
}

/// The SHA-256 in hex, in lower case.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    push_hex(&mut hex, &Sha256::digest(bytes));
    hex
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length; the error of this signature is for other kinds.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    mac.update(message);
    mac.finalize().into_bytes().into()
}
