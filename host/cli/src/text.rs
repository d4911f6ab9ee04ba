//! Formatting of sizes, times and types for people.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `312 B`, `8.7 KiB`, `12.0 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `0.31 ms`, `4.2 ms`, `128 ms`, `1.52 s`.
pub fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 1.0 => format!("{ms:.2} ms"),
        ms if ms < 99.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

/// `48 MiB/s`, or `None` if the time is too short to measure.
pub fn speed(bytes: u64, time: Duration) -> Option<String> {
    let seconds = time.as_secs_f64();
    (bytes >= 1 << 20 && seconds > 0.0).then(|| format!("{:.0} MiB/s", bytes as f64 / seconds / f64::from(1 << 20)))
}

/// `2026-11-24T03:44:05Z` (RFC 3339).
pub fn timestamp(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s),
    };
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a day counted from 1 January 1970. Years begin in March, so that a leap day is the last day.
fn date(days: i64) -> (i64, i64, i64) {
    const PER_400_YEARS: i64 = 146_097;
    // From 1 March of the year 0.
    let days = days.saturating_add(719_468);
    let (cycle, day) = (days.div_euclid(PER_400_YEARS), days.rem_euclid(PER_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / (PER_400_YEARS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day_of_month)
}

/// The media type of well-known file name endings.
pub fn media_type(file: &Path) -> Option<&'static str> {
    let ending = file.extension()?.to_str()?.to_ascii_lowercase();
    Some(match ending.as_str() {
        "avif" => "image/avif",
        "css" => "text/css",
        "csv" => "text/csv",
        "gif" => "image/gif",
        "gz" => "application/gzip",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript",
        "json" => "application/json",
        "md" => "text/markdown",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "tar" => "application/x-tar",
        "toml" => "application/toml",
        "txt" => "text/plain",
        "wasm" => "application/wasm",
        "webp" => "image/webp",
        "xml" => "application/xml",
        "zip" => "application/zip",
        _ => return None,
    })
}

/// Escapes control and format characters, such as bidirectional controls, of an outside value on one line. This also
/// applies if standard output is no terminal, unlike in coreutils' `ls`: piped output ends up on terminals and in logs, a
/// line break in a key would start a line, and `--json` is exact.
pub fn plain(text: &str) -> String {
    sandbucket::text::escaped(text).into_owned()
}

/// Escapes such characters in JSON, without changing its values.
pub fn json(json: &str) -> String {
    sandbucket::text::escaped_json(json).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_rounded() {
        let sizes = [0, 1023, 1024, 8_900, 1_048_575, 1_048_576, 12 << 20, u64::MAX];
        assert_eq!(
            sizes.map(size),
            ["0 B", "1023 B", "1.0 KiB", "8.7 KiB", "1.0 MiB", "1.0 MiB", "12.0 MiB", "16.0 EiB"]
        );
        let times = [310, 4_200, 99_960, 128_000, 1_520_000].map(Duration::from_micros);
        assert_eq!(times.map(time), ["0.31 ms", "4.2 ms", "100 ms", "128 ms", "1.52 s"]);
    }

    #[test]
    fn timestamps_handle_leap_years() {
        let at = |seconds: u64| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(plain("a\u{1b}[2J\nb é"), "a\\u{1b}[2J\\nb é");
        assert_eq!(plain("a\u{202e}gpj.exe"), "a\\u{202e}gpj.exe");
    }
}
