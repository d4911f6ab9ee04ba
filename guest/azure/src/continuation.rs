//! Continuations of listings: the position after a page, as an opaque text that the caller passes to the next call.

use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::http::bounds::MAX_TOKEN;
use sandbucket_plugin::http::response::decimal;

/// Formats the service's marker for the caller.
pub fn write(marker: &str) -> String {
    format!("m{marker}")
}

/// Parses the caller's text to the service's marker.
///
/// # Errors
/// A fault of `continuation`.
pub fn read(text: &str) -> Result<&str, Failure> {
    text.strip_prefix('m').filter(|marker| (1..=MAX_TOKEN).contains(&marker.len())).ok_or_else(invalid)
}

/// Formats the last part number of a page.
pub fn write_part(number: u32) -> String {
    format!("p{number}")
}

/// Parses the caller's text to the last part number of the page before.
///
/// # Errors
/// A fault of `continuation`.
pub fn read_part(text: &str) -> Result<u32, Failure> {
    text.strip_prefix('p').and_then(decimal).and_then(|number| u32::try_from(number).ok()).ok_or_else(invalid)
}

fn invalid() -> Failure {
    Error::fault("continuation", "this continuation is of no page of this store: begin again without it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuations_round_trip() {
        assert_eq!(read(&write("2!76!MDAw--")).unwrap(), "2!76!MDAw--");
        assert_eq!(read_part(&write_part(50_000)).unwrap(), 50_000);
    }

    #[test]
    fn invalid_continuation_is_rejected() {
        for text in ["", "m", "x", "ü", &format!("m{}", "x".repeat(MAX_TOKEN + 1))] {
            assert_eq!(read(text).unwrap_err().subject.as_deref(), Some("continuation"));
        }
        for text in ["", "p", "p-1", "m1", "p4294967296"] {
            assert_eq!(read_part(text).unwrap_err().subject.as_deref(), Some("continuation"));
        }
    }
}
