//! Durations as settings spell them.

use std::time::Duration;

/// Understands `500ms`, `30s`, `5m`, `1h`, and a bare number as seconds. Fractions are not taken.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wrong = || "must be a number with a unit, such as 500ms, 30s, 5m or 1h".to_string();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let scaled = match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => return Err(wrong()),
    };
    scaled.filter(|time| *time <= Duration::from_secs(365 * 24 * 3600)).ok_or("is longer than a year".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("7", 7000), (" 2 s ", 2000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        for text in ["", "s", "-1s", "1.5s", "1d", "1 s 2", "999999999999999999999s", "18446744073709551615h", "٣s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
