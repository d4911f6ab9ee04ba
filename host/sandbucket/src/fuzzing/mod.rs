//! Entry points for fuzz targets (`tests/fuzz`) into what is private otherwise. No public interface: it has no stability,
//! and is only there with the feature `fuzzing`.
//!
//! Everything here takes plain data and gives plain data; what must hold of it is asserted by the targets.

mod plugin_results;

use std::net::IpAddr;
use std::ops::Range;

use bytes::Bytes;

use crate::config::Config;
use crate::error::Result;
pub use crate::http::fuzzing::{
    HttpOutcome, HttpResponse, HttpScript, PreparedRequest, exchange_over_http, header_lines, request_head,
};
use crate::sandbox::bindings::{BlobHead, wit};
use crate::types::blob::{BlobInfo, ByteRange};
pub use plugin_results::{PluginStep, PluginValue, plugin_result};

/// Parses a configuration with these variables for the process's own.
pub fn parse_config(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    Config::parse_in(text, variables)
}

/// What is at odds in these limits.
pub fn check_limits(limits: &crate::Limits) -> std::result::Result<(), String> {
    limits.check().map_err(|at_odds| at_odds.message)
}

/// Whether the egress policy allows a request to this URL.
pub fn egress_allows(egress: &crate::Egress, url: &http::Uri) -> std::result::Result<(), String> {
    crate::http::fuzzing::egress_allows(egress, url)
}

/// Why a connection to this address is refused.
pub fn refuses_address(allow_private: bool, address: IpAddr) -> Option<&'static str> {
    crate::http::fuzzing::refuses_address(allow_private, address)
}

/// The ranges of a blob that a plugin says its body has, if they hold: what was asked for, and what the body gives.
pub fn checked_ranges(
    size: u64,
    range: Range<u64>,
    given: Range<u64>,
    asked: ByteRange,
) -> Result<(Range<u64>, Range<u64>)> {
    let info = BlobInfo { size, ..BlobInfo::default() };
    let span = |range: Range<u64>| wit::Span { start: range.start, end: range.end };
    let head = BlobHead { info, range: span(range), body_range: span(given), digest: None };
    crate::ops::calls::checked_ranges(&head, &asked)
}

/// The range of a blob that a plugin gave in one piece, if it holds.
pub fn checked_inline(size: u64, range: Range<u64>, body: Vec<u8>, asked: ByteRange) -> Result<(Range<u64>, Bytes)> {
    let info = BlobInfo { size, ..BlobInfo::default() };
    let span = wit::Span { start: range.start, end: range.end };
    crate::ops::calls::checked((info, span, body), &asked).map(|(_, range, body)| (range, body))
}

/// What of a piece that begins at byte `start` of a blob is among these bytes of it.
pub fn cut(piece: Bytes, start: u64, wanted: Range<u64>) -> Bytes {
    crate::ops::blob_reader::cut(piece, start, wanted)
}

/// A text as it is shown.
pub fn sanitize(text: &str, max: usize) -> String {
    crate::text::sanitize(text, max)
}
