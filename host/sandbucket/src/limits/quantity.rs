//! Parser of sizes and durations in configuration files.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error as _, Visitor};

/// Units of a duration, in milliseconds.
const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// Parses a duration such as `30s`; without a unit: seconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    quantity(text, DURATIONS, 1000).map(Duration::from_millis)
}

/// Parses a number with one of `units`; without a unit, `bare` applies.
fn quantity(text: &str, units: &[(&str, u64)], bare: u64) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let scale = match unit {
        "" => bare,
        _ => units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

struct Quantity {
    units: &'static [(&'static str, u64)],
    bare: u64,
    expected: &'static str,
}

impl Visitor<'_> for Quantity {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u64, E> {
        let scaled = u64::try_from(number).ok().and_then(|number| number.checked_mul(self.bare));
        scaled.ok_or_else(|| E::custom(format!("expected {}, not {number}", self.expected)))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
        number.checked_mul(self.bare).ok_or_else(|| E::custom(format!("expected {}, not {number}", self.expected)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        quantity(text, self.units, self.bare)
            .ok_or_else(|| E::custom(format!("expected {}, not \"{text}\"", self.expected)))
    }
}

/// Deserializes a number of bytes, with a unit or without.
///
/// # Errors
/// For anything else.
pub fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Quantity {
        units: &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
        bare: 1,
        expected: "a size such as \"64KiB\", \"96MiB\" or a number of bytes",
    })
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    usize::try_from(bytes(deserializer)?)
        .map_err(|_| D::Error::custom("this size is more than this machine can address"))
}

/// Deserializes a duration with a unit, or a number of seconds.
///
/// # Errors
/// For anything else.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let milliseconds = deserializer.deserialize_any(Quantity {
        units: DURATIONS,
        bare: 1000,
        expected: "a duration such as \"500ms\", \"30s\", \"5m\" or a number of seconds",
    })?;
    Ok(Duration::from_millis(milliseconds))
}
