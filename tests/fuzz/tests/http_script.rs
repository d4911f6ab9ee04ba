//! Tests that the scripted server of `host_http` does what the target assumes.

use bytes::Bytes;
use http::Method;
use sandbucket::fuzzing::{HttpOutcome, HttpScript, exchange_over_http};

/// Sends two requests: the first gets `response`, the second, on the same or another connection, one that says which.
fn two_requests(response: &[u8]) -> Vec<HttpOutcome> {
    let second = |name: &str| vec![format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{name}").into_bytes()];
    let connections = vec![vec![vec![response.to_vec()], second("same!")], vec![second("other")]];
    exchange_over_http(HttpScript { connections }, &[(Method::GET, Bytes::new()), (Method::GET, Bytes::new())])
}

fn body(outcome: &HttpOutcome) -> Result<Vec<u8>, &String> {
    outcome.result.as_ref().map(|response| response.body.concat())
}

#[test]
fn complete_response_leaves_the_connection_for_the_next_request() {
    let outcomes = two_requests(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(body(&outcomes[0]), Ok(b"hi".to_vec()));
    assert_eq!((outcomes[1].connection, body(&outcomes[1])), (0, Ok(b"same!".to_vec())));
}

#[test]
fn excess_bytes_close_the_connection() {
    let outcomes =
        two_requests(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(body(&outcomes[0]), Ok(b"hi".to_vec()));
    assert_eq!((outcomes[1].connection, body(&outcomes[1])), (1, Ok(b"other".to_vec())));
}

#[test]
fn silent_server_is_distinguished_from_a_stuck_request() {
    let outcomes = two_requests(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi");
    assert_eq!(outcomes[0].result.as_ref().unwrap_err(), "the server is silent");
    assert_eq!((outcomes[1].connection, body(&outcomes[1])), (1, Ok(b"other".to_vec())));
}
