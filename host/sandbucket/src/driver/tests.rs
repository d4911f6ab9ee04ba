use std::error::Error as _;
use std::io;
use std::net::TcpListener;

use crate::{Engine, Error, Limits, StoreOptions};

#[tokio::test(flavor = "multi_thread")]
async fn error_of_a_request_without_a_response_has_the_transport_error_as_source() {
    // A port that was free a moment ago refuses connections.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let engine = Engine::load(Limits::default()).await.unwrap();
    let options = StoreOptions::new().allow_private().settings([
        ("bucket", "photos"),
        ("access-key", "a"),
        ("secret-key", "s"),
        ("endpoint", &format!("http://{address}")),
        ("max-retries", "1"),
    ]);
    let store = engine.open(options).await.unwrap();
    let Err(error) = store.get("k").await else { panic!("a response") };
    assert!(matches!(error, Error::Network(_)), "{error:?}");
    // The message has the details by itself.
    assert!(error.to_string().contains(&format!("connecting to {address}: ")), "{error}");
    let kind = std::iter::successors(error.source(), |error| (*error).source())
        .find_map(|source| source.downcast_ref::<io::Error>())
        .map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::ConnectionRefused), "{error:?}");
}
