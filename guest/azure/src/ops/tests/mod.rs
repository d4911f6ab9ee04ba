//! Tests of operations against a scripted service, with a simulated clock.

mod containers;
mod reads;
mod retries;
mod uploads;
mod writes;

use sandbucket_plugin::contract::model::Pair;
use sandbucket_plugin::testing::{Reaction, response};

use super::Azure;
use crate::requests::tests::KEY;

type Store = sandbucket_plugin::Store<Azure>;

/// A store on Azurite's endpoint with additional settings.
fn store(more: &[(&str, &str)]) -> Store {
    let mut pairs: Vec<Pair> =
        [("container", "demo"), ("endpoint", "http://127.0.0.1:10000/devstoreaccount1"), ("access-key", KEY)]
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
    pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    pairs.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Store::open(&pairs, 1).unwrap()
}

/// An error response of Azure: the code is in the header and in the body.
fn refused(status: u16, code: &str) -> Reaction {
    let body = format!("<Error><Code>{code}</Code><Message>words of it\nRequestId:1\nTime:2</Message></Error>");
    response(status, &[("x-ms-error-code", code), ("x-ms-request-id", "r-1")], &body)
}

/// The response to a successful write.
fn created(etag: &str) -> Reaction {
    response(201, &[("etag", etag), ("x-ms-request-id", "r-1")], "")
}

/// The response to a request whose success is all that it says.
fn done(status: u16) -> Reaction {
    response(status, &[("x-ms-request-id", "r-1")], "")
}

/// The response to a HEAD: a blob of this length, modified at 22:`written`; the service's clock shows 22:13:20.
fn there(length: u64, etag: &str, written: &str) -> Reaction {
    let (length, written) = (length.to_string(), format!("Tue, 14 Nov 2023 22:{written} GMT"));
    let date = "Tue, 14 Nov 2023 22:13:20 GMT";
    response(200, &[("content-length", &length), ("etag", etag), ("last-modified", &written), ("date", date)], "")
}

/// A list of blocks.
fn block_list(committed: &[String], uncommitted: &[String]) -> Reaction {
    let blocks = |ids: &[String]| -> String {
        ids.iter().map(|id| format!("<Block><Name>{id}</Name><Size>5</Size></Block>")).collect()
    };
    let body = format!(
        "<BlockList><CommittedBlocks>{}</CommittedBlocks><UncommittedBlocks>{}</UncommittedBlocks></BlockList>",
        blocks(committed),
        blocks(uncommitted)
    );
    response(200, &[("etag", "\"0x8D\""), ("x-ms-request-id", "r-1")], &body)
}
