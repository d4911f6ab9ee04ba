//! A misbehaving service: each case ends in the right result or the right error, in bounded time and with a bounded number
//! of requests, and the store works afterwards.

mod connections;
mod floods;
#[path = "../front.rs"]
mod front;
mod idle;
mod lenient;
mod lost_responses;
mod malformed;
mod no_ranges;
mod proxies;
mod rejections;
mod retries;
mod slow;
mod stale;
mod throttling;
mod timeouts;
mod uploads;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sandbucket::{Error, Failure, Store};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{SECRET_KEY, open, refused, run};

/// The path of the blob `k` in requests.
const PATH: &str = "/sandbucket-tests/k";
/// The maximum number of attempts of the bench's store.
const ATTEMPTS: usize = 3;

/// A faulty server, and a store on it with a timeout of one second and [`ATTEMPTS`] attempts.
struct Bench {
    server: Faulty,
    store: Store,
}

impl Bench {
    async fn new(script: impl IntoIterator<Item = Act>) -> Self {
        Bench::with(script, &[]).await
    }

    async fn with(script: impl IntoIterator<Item = Act>, further: &[(&str, &str)]) -> Self {
        let server = Faulty::start(script).await;
        server.keep(PATH, "right");
        let settings = [&[("region", "eu-central-1"), ("timeout", "1s"), ("max-retries", "2")], further].concat();
        let store = open(&server.endpoint(), &settings).await;
        Bench { server, store }
    }

    async fn read(&self) -> Result<Vec<u8>, Error> {
        Ok(self.store.get("k").await?.bytes().await?.to_vec())
    }

    /// The number of requests that the server has received.
    fn requests(&self) -> usize {
        self.server.seen().len()
    }

    /// Asserts that the script was played, the next calls succeed, and no instance was lost.
    async fn ends_well(self) {
        assert_eq!(self.server.left(), 0, "the script was not played to its end");
        let before = self.requests();
        self.store.put("after", "all is well").await.expect("a put afterwards");
        let after = self.store.get("after").await.expect("a get afterwards").bytes().await.expect("its body");
        assert_eq!(after, "all is well");
        assert_eq!(self.requests(), before + 2, "a healthy request was sent more than once");
        let pool = self.store.pool();
        assert_eq!((pool.busy, pool.discarded), (0, 0), "{pool:?}");
        assert!(pool.idle >= 1, "{pool:?}");
    }
}

/// A script that repeats `act` for every attempt.
fn always(act: Act) -> Vec<Act> {
    vec![act; ATTEMPTS]
}

fn code(failure: &Failure) -> Option<&str> {
    failure.response.as_ref()?.code.as_deref()
}

fn status(failure: &Failure) -> u16 {
    failure.response.as_ref().map_or(0, |response| response.status)
}

/// Asserts what holds for every error: attempts, bucket, length, no secret.
fn is_decent(failure: &Failure, attempts: usize) {
    assert_eq!(failure.attempts as usize, attempts, "{failure:?}");
    assert!(failure.message.contains("sandbucket-tests"), "does not name the bucket: {failure:?}");
    assert!(failure.message.len() < 4096, "{} bytes of message", failure.message.len());
    assert!(!format!("{failure:?}").contains(SECRET_KEY), "the secret shows");
}
