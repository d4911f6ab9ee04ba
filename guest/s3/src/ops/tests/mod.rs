//! Tests of operations against a scripted service, with a simulated clock.

mod documents;
mod reads;
mod retries;
mod sans_io;
mod streams;
mod uploads;
mod writes;

use super::Store;
use sandbucket_plugin::checksum::Algorithm;
use sandbucket_plugin::contract::model::{CallOptions, Digest, Pair};

/// A store on a plain http endpoint with additional settings.
fn store(more: &[(&str, &str)]) -> Store {
    let mut pairs: Vec<Pair> = [
        ("bucket", "demo"),
        ("endpoint", "http://localhost:9000"),
        ("access-key", "ak"),
        ("secret-key", "very-secret"),
    ]
    .iter()
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .collect();
    pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    pairs.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Store::open(&pairs, 1).unwrap()
}

/// Call options with a time limit in seconds.
fn within(seconds: u64) -> CallOptions {
    CallOptions { time_limit: Some(seconds * 1_000_000_000), ..CallOptions::default() }
}

/// Digests of some bytes.
fn digests(of: &[u8], algorithms: &[Algorithm]) -> Vec<Digest> {
    algorithms.iter().map(|&algorithm| Digest { algorithm, value: algorithm.digest(of) }).collect()
}
