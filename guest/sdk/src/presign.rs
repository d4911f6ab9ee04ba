//! Presigned requests: their validity, the header fields that a caller adds, and their URL.
//!
//! A plugin makes the request as for a call, adds the caller's fields with [`push_header`], signs it into its query, and returns
//! [`presigned`].

use crate::contract::error::{Error, Failure, tidy};
use crate::contract::model::{Pair, PresignOptions, Presigned};
use crate::http::request::{Request, is_token, visible};

/// Header fields that the HTTP client sets, or that authorize a request: a caller cannot add them.
const RESERVED: [&str; 5] = ["authorization", "connection", "content-length", "host", "transfer-encoding"];

/// The validity of a presigned request in whole seconds, from 1 to `max`. `max_text` is the maximum for people: `7 days`.
///
/// # Errors
/// A fault of `expires`.
pub fn validity(options: &PresignOptions, max: u64, max_text: &str) -> Result<u64, Failure> {
    let seconds = options.expires / 1_000_000_000;
    if !(1..=max).contains(&seconds) {
        let why = format!("a presigned URL is good for 1 second to {max_text} ({max} seconds), not {seconds} seconds");
        return Err(Error::fault("expires", why));
    }
    Ok(seconds)
}

/// Adds a header field that the request must be sent with. `reserved` are the names, in lower case, of further ones that only the
/// plugin may set.
///
/// # Errors
/// A fault of `headers`: a name that is reserved, there already, or no header name in lower case; or a value that is not 1 to 1,024
/// characters of visible ASCII and spaces.
pub fn push_header(request: &mut Request, (name, value): &Pair, reserved: &[&str]) -> Result<(), Failure> {
    let wrong = |why: &str| Err(Error::fault("headers", format!("the header \"{}\" {why}", tidy(name, 64))));
    if name.is_empty() || !name.bytes().all(|b| is_token(b) && !b.is_ascii_uppercase()) {
        return wrong("is no header name in lower case");
    }
    if RESERVED.iter().chain(reserved).any(|reserved| reserved == name) {
        return wrong("cannot be given: it is set when the request is signed or sent");
    }
    if request.headers.iter().any(|(there, _)| there == name) {
        return wrong("is given twice");
    }
    match visible("headers", value) {
        Ok(value) => request.header(name.clone(), value),
        Err(_) => return wrong("has a value that is not 1 to 1,024 characters of visible ASCII and spaces"),
    }
    Ok(())
}

/// The presigned request: its URL, and the header fields to send with it.
pub fn presigned(request: Request) -> Presigned {
    let scheme = if request.https { "https" } else { "http" };
    let url = format!("{scheme}://{}{}", request.authority, request.path_and_query());
    let mut headers = Vec::with_capacity(request.headers.len());
    for (name, value) in request.headers {
        headers.push((name.into_owned(), value));
    }
    Presigned { url, headers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Method;

    #[test]
    fn validity_is_limited_in_whole_seconds() {
        let at = |expires| validity(&PresignOptions { expires, ..PresignOptions::default() }, 60, "1 minute");
        assert_eq!((at(1_000_000_000).unwrap(), at(60_999_999_999).unwrap()), (1, 60));
        for wrong in [0, 999_999_999, 61_000_000_000, u64::MAX] {
            let fault = at(wrong).unwrap_err();
            assert!(fault.subject.as_deref() == Some("expires") && fault.message.contains("1 minute (60 s"), "{fault}");
        }
    }

    #[test]
    fn header_that_is_reserved_repeated_or_malformed_is_rejected() {
        let mut request = Request::new(Method::Put, false, "h:1", "/k");
        let mut push =
            |name: &str, value: &str| push_header(&mut request, &(name.to_owned(), value.to_owned()), &["x-own"]);
        push("content-type", " text/plain ").unwrap();
        for (name, value) in [
            ("x-own", "1"),
            ("host", "a"),
            ("content-type", "b"),
            ("Accept", "a"),
            ("a b", "a"),
            ("", "a"),
            ("a", "\n"),
        ] {
            assert_eq!(push(name, value).unwrap_err().subject.as_deref(), Some("headers"), "{name:?}");
        }
        request.parameter("sig", "a/b");
        let presigned = presigned(request);
        assert_eq!(presigned.url, "http://h:1/k?sig=a%2Fb");
        assert_eq!(presigned.headers, [("content-type".to_owned(), "text/plain".to_owned())]);
    }
}
