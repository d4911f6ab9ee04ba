//! Requests as a plugin builds them: what the host sends follows every rule, and servers parse it as intended.
//!
//! The input's first line has a method, `http` or `https`, an authority, a path and query, and a body's length; then one
//! header field per line.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use sandbucket::fuzzing::{PreparedRequest, header_lines, request_head};
use sandbucket_plugin::http::headers::parse_lines;

use crate::text;

/// A prepared request.
pub fn host_requests(data: &[u8]) {
    let text = text::of(data);
    let (first, headers) = text.split_once('\n').unwrap_or((&text, ""));
    let mut words = first.split(' ');
    let mut next = || words.next().unwrap_or_default();
    let Ok(method) = Method::from_bytes(next().as_bytes()) else { return };
    let prepared = PreparedRequest {
        method,
        https: next() == "https",
        authority: next().to_owned(),
        path_with_query: next().to_owned(),
        headers: headers.to_owned(),
        timeout: Duration::ZERO,
    };
    let length = next().parse().unwrap_or(0);
    lines_are_read_as_written(headers);
    match request_head(prepared.clone(), length) {
        Ok(head) => holds(&head, &prepared, length),
        Err(refused) => assert!(!refused.chars().any(char::is_control), "{refused:?}"),
    }
}

/// Checks a sent request against the rules, and against what a server parses.
pub fn holds(head: &Request<()>, prepared: &PreparedRequest, length: u64) {
    let method = head.method();
    assert_eq!(*method, prepared.method);
    assert!(["GET", "HEAD", "POST", "PUT", "DELETE"].contains(&method.as_str()));
    assert_eq!(head.uri().scheme_str(), Some(if prepared.https { "https" } else { "http" }));
    assert_eq!(head.uri().authority().map(|authority| authority.as_str()), Some(&*prepared.authority));
    assert!(head.headers().len() <= 1024 + 1 && prepared.headers.len() <= 64 << 10);
    assert_eq!(one(head.headers(), "host"), Some(&*prepared.authority));
    let announced = one(head.headers(), "content-length").map(|value| value.parse::<u64>().expect("a length"));
    let has_body = *method == Method::PUT || *method == Method::POST;
    assert_eq!(announced.unwrap_or(0), length);
    assert!(announced.is_some() || !has_body);
    for name in ["connection", "expect", "te", "trailer", "transfer-encoding", "upgrade", "keep-alive", "via"] {
        assert!(!head.headers().contains_key(name), "{name}");
    }
    assert!(has_body || length == 0);

    // As a server parses it.
    let target = head.uri().path_and_query().expect("a path").as_str();
    let mut wire = format!("{} {target} HTTP/1.1\r\n", head.method()).into_bytes();
    for (name, value) in head.headers() {
        wire.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    wire.extend(b"\r\n");
    let mut fields = vec![httparse::EMPTY_HEADER; head.headers().len() + 1];
    let mut read = httparse::Request::new(&mut fields);
    let status = read.parse(&wire).unwrap_or_else(|error| panic!("{error}: {:?}", text::of(&wire)));
    assert_eq!(status, httparse::Status::Complete(wire.len()), "{:?}", text::of(&wire));
    assert_eq!((read.method, read.path), (Some(method.as_str()), Some(target)));
    assert_eq!(read.headers.len(), head.headers().len());
    for (read, (name, value)) in read.headers.iter().zip(head.headers()) {
        assert_eq!(read.name, name.as_str());
        assert_eq!(read.value, value.as_bytes().trim_ascii());
    }
}

/// The single value of a field.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().map(|value| value.to_str().expect("a value"));
    assert!(values.next().is_none(), "{name} is there twice");
    value
}

/// The plugin parses the response headers that the host serialises as they were.
fn lines_are_read_as_written(lines: &str) {
    let mut headers = HeaderMap::new();
    for (name, value) in parse_lines(lines) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            let _ = headers.try_append(name, value);
        }
    }
    let written = header_lines(&headers);
    let read = parse_lines(&written);
    assert_eq!(read.len(), headers.len());
    for ((name, value), (read_name, read_value)) in headers.iter().zip(read) {
        assert_eq!((name.as_str(), text::of(value.as_bytes())), (&*read_name, read_value.into_owned()));
    }
}
