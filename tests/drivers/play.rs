//! Plays the scenarios of `scenarios.json` on this host.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use sandbucket::{Body, Engine, Error, Failure as Details, Store};
use sandbucket_tests::faulty::scenario::{Call, Content, Expect, FailedKey, Failure, Scenario, Success, Table};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/drivers/scenarios.json");
/// Scenarios that are played concurrently.
const MAX_CONCURRENCY: usize = 8;
/// Pieces in which a stream gives its bytes.
const PIECE: usize = 10_000;

/// A plugin that scenarios are played with.
pub(crate) struct Player<'a> {
    /// An engine that may reach private addresses, and one that may not.
    pub(crate) engines: [&'a Engine; 2],
    /// The settings of a store for a scenario's server at this endpoint.
    pub(crate) settings: fn(&Scenario, &str) -> Vec<(String, String)>,
    /// Whether the scenario is about every plugin.
    pub(crate) takes: fn(&Scenario) -> bool,
}

impl Player<'_> {
    /// Plays the scenarios, some at once: their timeouts are of a second. Asserts that each has its outcome, and returns their number.
    pub(crate) async fn play_all(&self) -> usize {
        let table = Table::read(Path::new(TABLE)).unwrap_or_else(|error| panic!("{error}"));
        let scenarios: Vec<_> = table.scenarios.iter().filter(|scenario| (self.takes)(scenario)).collect();
        let played = scenarios.iter().map(|scenario| self.play(scenario));
        let wrong: Vec<_> = stream::iter(played).buffer_unordered(MAX_CONCURRENCY).collect().await;
        let wrong = wrong.concat();
        assert!(wrong.is_empty(), "{} mismatches:\n{}", wrong.len(), wrong.join("\n"));
        scenarios.len()
    }

    /// Plays a scenario, and returns what differs from its outcome.
    async fn play(&self, scenario: &Scenario) -> Vec<String> {
        let server = scenario.start().await;
        let [private, public] = self.engines;
        let engine = if scenario.private_networks { private } else { public };
        let store = engine.store((self.settings)(scenario, &server.endpoint())).await.expect("the store opens");
        let outcome = call(&store, &scenario.call).await;
        private.drain().await;
        let mut wrong = server.mismatches();
        wrong.extend(compare(&scenario.expect, outcome));
        if scenario.private_networks {
            wrong.extend(ends_well(&store).await);
        }
        wrong.into_iter().map(|wrong| format!("{}: {wrong}", scenario.name)).collect()
    }
}

/// What a call returned.
#[derive(Debug, Default)]
struct Outcome {
    body: Option<Vec<u8>>,
    size: Option<u64>,
    etag: Option<String>,
    keys: Option<Vec<String>>,
    failed: Option<Vec<(String, Error)>>,
    tags: Option<BTreeMap<String, String>>,
}

async fn call(store: &Store, call: &Call) -> Result<Outcome, Error> {
    let written = |written: sandbucket::Written| Outcome { etag: written.etag, ..Outcome::default() };
    match call {
        Call::Get { key, range, if_none_match, time_limit_ms } => {
            let mut get = store.get(key);
            if let Some((start, end)) = *range {
                get = get.range(start..end);
            }
            if let Some(etag) = if_none_match {
                get = get.if_none_match(etag);
            }
            if let Some(limit) = *time_limit_ms {
                get = get.time_limit(Duration::from_millis(limit));
            }
            let blob = get.await?;
            let (size, etag) = (blob.info().known_size(), blob.info().etag.clone());
            Ok(Outcome { size, etag, body: Some(blob.bytes().await?.to_vec()), ..Outcome::default() })
        }
        Call::Download { key, part_size, concurrency } => {
            let download = store.download(key).part_size(*part_size).concurrency(*concurrency).await?;
            let size = download.info().known_size();
            let pieces: Vec<bytes::Bytes> = download.try_collect().await?;
            Ok(Outcome { size, body: Some(pieces.concat()), ..Outcome::default() })
        }
        Call::Head { key } => {
            let info = store.head(key).await?;
            Ok(Outcome { size: info.known_size(), etag: info.etag, ..Outcome::default() })
        }
        Call::Put { key, body, stream_length, stream_fails, if_absent, if_match, write_id } => {
            let bytes = body.bytes();
            let body = match stream_length {
                None => Body::from(bytes),
                Some(length) => {
                    let pieces: Vec<_> = bytes.chunks(PIECE).map(|piece| Ok(piece.to_vec())).collect();
                    let end = stream_fails.then(|| Err(std::io::Error::other("the source fails")));
                    Body::stream(*length, stream::iter(pieces).chain(stream::iter(end)))
                }
            };
            let mut put = store.put(key, body);
            if *if_absent {
                put = put.if_absent();
            }
            if let Some(etag) = if_match {
                put = put.if_match(etag);
            }
            if let Some(id) = write_id {
                put = put.write_id(id);
            }
            put.await.map(written)
        }
        Call::Upload { key, body, part_size, concurrency } => {
            let part_size = usize::try_from(*part_size).unwrap();
            let bytes = body.bytes();
            let pieces = bytes.chunks(PIECE).map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
            let upload = store.upload(key).part_size(part_size).concurrency(*concurrency);
            upload.stream(stream::iter(pieces)).await.map(written)
        }
        Call::Delete { key } => store.delete(key).await.map(|_| Outcome::default()),
        Call::DeleteMany { keys } => {
            let outcomes = store.delete_many(keys.clone()).await?;
            let failed = keys.iter().cloned().zip(outcomes).filter_map(|(key, outcome)| Some((key, outcome.err()?)));
            Ok(Outcome { failed: Some(failed.collect()), ..Outcome::default() })
        }
        Call::List { prefix } => {
            let entries: Vec<_> = store.list(prefix).entries().try_collect().await?;
            Ok(Outcome { keys: Some(entries.into_iter().map(|entry| entry.key).collect()), ..Outcome::default() })
        }
        Call::Copy { from, to, length_hint } => {
            let copy = store.copy(from.as_str(), to);
            let copy = if let Some(length) = *length_hint { copy.length_hint(length) } else { copy };
            copy.await.map(written)
        }
        Call::GetTags { key } => {
            Ok(Outcome { tags: Some(store.tags(key).await?.into_iter().collect()), ..Outcome::default() })
        }
    }
}

/// Differences between an outcome and the expected one.
fn compare(expect: &Expect, outcome: Result<Outcome, Error>) -> Vec<String> {
    match (expect, outcome) {
        (Expect::Ok(expected), Ok(outcome)) => compare_success(expected, &outcome),
        (Expect::Error(expected), Err(error)) => compare_failure(expected, &error),
        (Expect::Ok(_), Err(error)) => vec![format!("it failed: {error:?}")],
        (Expect::Error(expected), Ok(_)) => vec![format!("it succeeded, where {:?} was expected", expected.kind)],
    }
}

fn compare_success(expected: &Success, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    let body = expected.body.as_ref().map(Content::bytes);
    differs(&mut wrong, "body", &body, &outcome.body);
    differs(&mut wrong, "size", &expected.size, &outcome.size);
    differs(&mut wrong, "etag", &expected.etag, &outcome.etag);
    differs(&mut wrong, "keys", &expected.keys, &outcome.keys);
    differs(&mut wrong, "tags", &expected.tags, &outcome.tags);
    if let Some(expected) = &expected.failed {
        let failed = |FailedKey { key, kind, code }: &FailedKey| (key.clone(), kind.clone(), Some(code.clone()));
        let expected: Vec<_> = expected.iter().map(failed).collect();
        let failed = outcome.failed.iter().flatten();
        let failed = failed.map(|(key, error)| (key.clone(), kind(error).to_owned(), response_code(error)));
        differs(&mut wrong, "failed", &Some(expected), &Some(failed.collect()));
    }
    wrong
}

fn compare_failure(expected: &Failure, error: &Error) -> Vec<String> {
    let mut wrong = Vec::new();
    if !expected.kind.iter().any(|expected| expected == kind(error)) {
        wrong.push(format!("the error is {error:?}, not {:?}", expected.kind));
    }
    let details = error.failure();
    let response = details.and_then(|failure| failure.response.clone());
    differs(&mut wrong, "status", &expected.status, &response.as_ref().map(|response| response.status));
    differs(&mut wrong, "code", &expected.code, &response_code(error));
    differs(&mut wrong, "request id", &expected.request_id, &response.and_then(|response| response.request_id));
    differs(&mut wrong, "retryable", &expected.retryable, &Some(error.is_retryable()));
    differs(&mut wrong, "subject", &expected.subject, &details.and_then(|failure: &Details| failure.subject.clone()));
    let text = format!("{error} {error:?}");
    if let Some(part) = expected.says.as_ref().filter(|part| !error.to_string().contains(*part)) {
        wrong.push(format!("the message does not contain {part:?}: {error}"));
    }
    if text.contains(sandbucket_tests::SECRET_KEY) {
        wrong.push("the secret shows".to_owned());
    }
    wrong
}

fn differs<T: PartialEq + std::fmt::Debug>(
    wrong: &mut Vec<String>,
    name: &str,
    expected: &Option<T>,
    found: &Option<T>,
) {
    if expected.is_some() && expected != found {
        let shown = |value: &Option<T>| format!("{value:?}").chars().take(200).collect::<String>();
        wrong.push(format!("{name} is {}, not {}", shown(found), shown(expected)));
    }
}

fn response_code(error: &Error) -> Option<String> {
    error.failure()?.response.as_ref()?.code.clone()
}

/// The name of an error's kind in the table.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::NotFound(_) => "not-found",
        Error::PreconditionFailed(_) => "precondition-failed",
        Error::NotModified(_) => "not-modified",
        Error::InvalidRange(_) => "invalid-range",
        Error::Conflict(_) => "conflict",
        Error::AccessDenied(_) => "access-denied",
        Error::Throttled(_) => "throttled",
        Error::Timeout(_) => "timeout",
        Error::Network(_) => "network",
        Error::Integrity(_) => "integrity",
        Error::InvalidSettings(_) => "invalid-settings",
        Error::InvalidArgument(_) => "invalid-argument",
        Error::TooLarge(_) => "too-large",
        Error::Unsupported(_) => "unsupported",
        Error::OutcomeUnknown(_) => "outcome-unknown",
        Error::Archived(_) => "archived",
        Error::Service(_) => "service",
        Error::Io { .. } => "io",
        Error::Plugin { .. } => "plugin",
        _ => "another of the host's",
    }
}

/// The store works afterwards.
async fn ends_well(store: &Store) -> Option<String> {
    let pool = store.pool();
    if (pool.busy, pool.discarded) != (0, 0) {
        return Some(format!("instances were lost: {pool:?}"));
    }
    let again = async {
        store.put("after", "all is well").await?;
        store.get("after").await?.bytes().await
    };
    match again.await {
        Ok(bytes) if bytes == "all is well" => None,
        other => Some(format!("afterwards: {other:?}")),
    }
}
