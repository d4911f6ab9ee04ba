//! HTTP as a server sends it, into the host's client: whatever arrives, a request ends, returns only bytes that were sent,
//! and leaves nothing for the next request.
//!
//! The input's first byte is the method, the second the size of the pieces in which the rest is sent.

use bytes::Bytes;
use http::Method;
use memchr::memmem;
use sandbucket::fuzzing::{HttpOutcome, HttpResponse, HttpScript, exchange_over_http};

/// The response of a well-behaved server, recognised by its header field.
const GENUINE: &[u8] = b"HTTP/1.1 200 OK\r\nx-genuine: 7f3a\r\ncontent-length: 12\r\n\r\ngenuine 7f3a";

/// Bytes that a server sends in response to a request.
pub fn host_http(data: &[u8]) {
    let [method, size, sent @ ..] = data else { return };
    let (method, body) = match method % 4 {
        0 => (Method::GET, Bytes::new()),
        1 => (Method::HEAD, Bytes::new()),
        2 => (Method::PUT, Bytes::from_static(b"a body")),
        // More than a connection buffers.
        _ => (Method::PUT, Bytes::from(vec![b'x'; 300_000])),
    };
    let pieces = match size {
        0 => vec![sent.to_vec()],
        // With or without a pause between the pieces.
        size => sent.chunks(usize::from(size / 2).max(1)).flat_map(|piece| pause(piece, size % 2 == 0)).collect(),
    };
    let genuine = || vec![GENUINE.to_vec()];
    let script = HttpScript { connections: vec![vec![pieces, genuine()], vec![genuine()], vec![genuine()]] };
    let outcomes = exchange_over_http(script, &[(method.clone(), body), (Method::GET, Bytes::new())]);
    let [first, second] = &outcomes[..] else { panic!("{} outcomes", outcomes.len()) };
    assert_eq!(first.connection, 0, "a fresh connection was given up for another");
    if let Ok(response) = &first.result {
        was_sent(response, sent);
        is_framed(response, &method);
    }
    is_genuine(second);
}

fn pause(piece: &[u8], is_on: bool) -> Vec<Vec<u8>> {
    let piece = vec![piece.to_vec()];
    if is_on { [vec![Vec::new()], piece].concat() } else { piece }
}

/// The body's chunks occur in the sent bytes, in order.
fn was_sent(response: &HttpResponse, mut sent: &[u8]) {
    for piece in &response.body {
        let place = memmem::find(sent, piece);
        // A chunk may have been sent in several pieces.
        let Some(place) = place else { panic!("{piece:?} was not sent") };
        sent = &sent[place + piece.len()..];
    }
}

/// A complete body has the announced length.
fn is_framed(response: &HttpResponse, method: &Method) {
    let length: usize = response.body.iter().map(Bytes::len).sum();
    let has_no_body = *method == Method::HEAD || matches!(response.status, 101 | 204 | 304);
    // No request asks for an upgrade; 101 as a response is an error, and ends the connection.
    assert!(response.status >= 200 || response.status == 101, "{}", response.status);
    if has_no_body {
        assert_eq!(length, 0);
    } else if response.broke_off.is_none() && !response.headers.contains_key("transfer-encoding") {
        let mut announced = response.headers.get_all("content-length").into_iter();
        if let Some(announced) = announced.next().and_then(|value| value.to_str().ok()) {
            assert_eq!(announced.split(',').next().map(|value| value.trim().parse()), Some(Ok(length)));
        }
    }
    assert!(response.headers.len() <= 256);
}

/// The next request got its own response, or none.
fn is_genuine(outcome: &HttpOutcome) {
    if let Ok(response) = &outcome.result {
        assert_eq!(response.status, 200);
        assert!(response.headers.contains_key("x-genuine"), "{:?}", response.headers);
        assert_eq!(response.body.concat(), b"genuine 7f3a");
        assert_eq!(response.broke_off, None);
    }
}
