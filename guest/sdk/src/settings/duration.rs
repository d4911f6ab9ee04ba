//! Parser of durations in settings.

use std::time::Duration;

/// Parses `500ms`, `30s`, `5m` or `1h`: a whole number and a unit, with or without a space between. A bare number is
/// seconds.
///
/// # Errors
/// A message without the setting's name.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shown = crate::contract::error::tidy(text, 64);
    let wrong = || format!("\"{shown}\" is no length of time: write 500ms, 30s, 5m or 1h; a bare number is seconds");
    if number.is_empty() {
        return Err(wrong());
    }
    let millis: u64 = match unit.trim_start() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis)) {
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => Err(format!("\"{shown}\" is too long a time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_parsed() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7", 7000),
            (" 2 s ", 2000),
            ("0", 0),
            ("007s", 7000),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(millis), "{text:?}");
        }
    }

    #[test]
    fn invalid_duration_is_rejected() {
        for text in ["", " ", "s", "-1s", "+1s", "1.5s", "soon", "1d", "1S", "1s2", "1 000", "٣s", "1µs", "1s\n2"] {
            assert!(parse(text).unwrap_err().contains("30s"), "{text:?}");
        }
        for text in ["18446744073709551615h", "99999999999999999999"] {
            assert!(parse(text).unwrap_err().contains("too long"), "{text:?}");
        }
    }
}
