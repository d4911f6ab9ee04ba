//! Shared Key authorization: an HMAC of the request with the account's key.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key>

use std::cmp::Ordering;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sandbucket_plugin::http::request::Request;
use sha2::Sha256;

/// Header fields whose values are signed without their names, in this order. `content-length` is third.
const SIGNED: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// A key of an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// Decodes base64. None if it is not.
    pub fn from_base64(text: &str) -> Option<Key> {
        Base64::decode_vec(text).ok().filter(|bytes| !bytes.is_empty()).map(Key)
    }

    /// HMAC-SHA256 of a text, in base64.
    pub fn sign(&self, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        Base64::encode_string(&mac.finalize().into_bytes())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Signs a request with a body of this length by appending `authorization`. The request must not be changed afterwards; only
/// `host`, `user-agent` and `content-length` may be added.
pub fn sign(request: &mut Request, body_length: u64, account: &str, key: &Key) {
    let signature = key.sign(&string_to_sign(request, body_length, account));
    request.header("authorization", format!("SharedKey {account}:{signature}"));
}

/// The text that is signed.
pub fn string_to_sign(request: &Request, body_length: u64, account: &str) -> String {
    let mut text = String::with_capacity(512);
    text.push_str(request.method.as_str());
    text.push('\n');
    for name in SIGNED {
        match name {
            // Since version 2015-02-21 no length is signed for 0.
            "content-length" if body_length == 0 => {}
            "content-length" => text.push_str(&body_length.to_string()),
            _ => {
                if let Some((_, value)) = request.headers.iter().find(|(there, _)| there == name) {
                    text.push_str(value);
                }
            }
        }
        text.push('\n');
    }
    push_headers(&mut text, request);
    push_resource(&mut text, request, account);
    text
}

/// Appends the fields `x-ms-*`, sorted by name.
fn push_headers(text: &mut String, request: &Request) {
    let mut fields: Vec<(&str, &str)> = Vec::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        if name.starts_with("x-ms-") {
            fields.push((name, value.trim()));
        }
    }
    fields.sort_unstable_by(|(one, _), (other, _)| compare(one, other));
    for (name, value) in fields {
        for piece in [name, ":", value, "\n"] {
            text.push_str(piece);
        }
    }
}

/// The service's order of header names in lower case, which is that of words: `_` comes before digits and letters, although its
/// ASCII code is between them.
fn compare(one: &str, other: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'_' { b' ' } else { byte };
    one.bytes().map(rank).cmp(other.bytes().map(rank))
}

/// Appends account, path and parameters, sorted by name.
fn push_resource(text: &mut String, request: &Request, account: &str) {
    for piece in ["/", account, &request.path] {
        text.push_str(piece);
    }
    let mut parameters: Vec<(String, &str)> = Vec::with_capacity(request.query.len());
    for (name, value) in &request.query {
        parameters.push((name.to_ascii_lowercase(), value));
    }
    parameters.sort_unstable();
    for (name, value) in parameters {
        for piece in ["\n", &name, ":", value] {
            text.push_str(piece);
        }
    }
}

/// Decodes the query of a URL into names and values.
pub fn parameters(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decode(n), decode(v))).collect()
}
