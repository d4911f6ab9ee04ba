//! The XML documents in responses.

pub mod batch;
pub mod block_list;
pub mod container;
pub mod listing;
pub mod tags;

use sandbucket_plugin::http::response::MalformedResponse;

/// The error of an element that must be there.
fn missing(name: &str) -> MalformedResponse {
    MalformedResponse(format!("it has no {name} where there must be one"))
}
