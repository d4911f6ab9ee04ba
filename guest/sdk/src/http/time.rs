//! Times as headers and documents format them.
//!
//! httpdate formats and parses the dates of HTTP, and the crate time the timestamps of XML (RFC 3339) and the calendar. Written here
//! is the parser for dates in formats of neither RFC that services send.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::time::format_description::well_known::Rfc3339;
use ::time::{Date, Month, OffsetDateTime};

/// The last second of the year 9999.
pub const LAST: u64 = 253_402_300_799;

const WEEKDAYS: [[u8; 3]; 7] = [*b"Thu", *b"Fri", *b"Sat", *b"Sun", *b"Mon", *b"Tue", *b"Wed"];

const MONTHS: [[u8; 3]; 12] =
    [*b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov", *b"Dec"];

/// `Sun, 06 Nov 1994 08:49:37 GMT`: a time in seconds since 1970, at most [`LAST`], as HTTP formats it (RFC 9110, section 5.6.7).
pub fn http_date(second: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second.min(LAST)))
}

/// Maximum length of a date in an unusual format, in bytes.
const MAX_DATE: usize = 64;

/// Parses a date in any format a service is known to send: those of RFC 9110, section 5.6.7, and of RFC 3339, each also with `UTC`,
/// an offset or no zone (then UTC), a day of one digit, or a wrong weekday. None if it is no date, or before 1970, as Go's zero
/// time.
pub fn date(text: &str) -> Option<u64> {
    // Only a timestamp begins with a digit.
    let strict = if text.starts_with(|c: char| c.is_ascii_digit()) { timestamp(text) } else { parse_http_date(text) };
    strict.or_else(|| lenient_date(text))
}

/// Parses a date word by word, in any order: each word is a weekday, a day, a month, a year, a time or a zone.
fn lenient_date(text: &str) -> Option<u64> {
    if text.len() > MAX_DATE {
        return None;
    }
    let mut parts = Parts::default();
    for word in text.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        parts.add(word)?;
    }
    let days = days(parts.year?, parts.month?, parts.day?)?;
    let second = (days * 86_400 + parts.second?).checked_add_signed(-parts.offset.unwrap_or(0))?;
    Some(second.min(LAST))
}

/// The parts of a date found so far.
#[derive(Default)]
struct Parts {
    year: Option<u64>,
    month: Option<u64>,
    day: Option<u64>,
    /// Second of the day.
    second: Option<u64>,
    /// Seconds east of UTC.
    offset: Option<i64>,
}

impl Parts {
    /// Adds the parts in a word. None if the word is unknown, or a part is given twice.
    fn add(&mut self, word: &str) -> Option<()> {
        let bytes = word.as_bytes();
        // 2024-11-05 and 2024-11-05T10:00:00Z
        if let [y, e, a, r, b'-', m, o, b'-', d, t, rest @ ..] = bytes {
            once(&mut self.year, 100 * number(*y, *e)? + number(*a, *r)?)?;
            once(&mut self.month, number(*m, *o)?)?;
            once(&mut self.day, number(*d, *t)?)?;
            return match rest {
                [] => Some(()),
                [b'T' | b't', ..] => self.add_time(word.get(11..)?),
                _ => None,
            };
        }
        if word.contains(':') && !matches!(bytes, [b'+' | b'-', ..]) {
            return self.add_time(word);
        }
        match bytes {
            [b'+' | b'-', ..] => self.add_zone(word),
            [b'0'..=b'9', ..] if word.contains('-') => {
                // 05-Nov-24
                for piece in word.splitn(3, '-') {
                    self.add(piece)?;
                }
                Some(())
            }
            [one @ b'0'..=b'9'] => once(&mut self.day, number(b'0', *one)?),
            [ten, one] if ten.is_ascii_digit() && self.day.is_none() => once(&mut self.day, number(*ten, *one)?),
            // Two digits mean the years 1970 to 2069.
            [ten, one] if ten.is_ascii_digit() => {
                let year = number(*ten, *one)?;
                once(&mut self.year, if year < 70 { 2000 + year } else { 1900 + year })
            }
            [y, e, a, r] if y.is_ascii_digit() => once(&mut self.year, 100 * number(*y, *e)? + number(*a, *r)?),
            _ => self.add_name(word),
        }
    }

    fn add_name(&mut self, word: &str) -> Option<()> {
        let Some(&[a, b, c]) = word.as_bytes().first_chunk::<3>() else { return self.add_zone(word) };
        let short = [a.to_ascii_uppercase(), b.to_ascii_lowercase(), c.to_ascii_lowercase()];
        if !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        if let Some(n) = MONTHS.iter().position(|month| *month == short) {
            return once(&mut self.month, n as u64 + 1);
        }
        if WEEKDAYS.contains(&short) { Some(()) } else { self.add_zone(word) }
    }

    /// Adds `10:00`, `10:00:00` or `10:00:00.123`, with or without a zone.
    fn add_time(&mut self, text: &str) -> Option<()> {
        let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(text.len());
        let (time, zone) = text.split_at(end);
        let time = time.split_once('.').map_or(time, |(whole, _)| whole);
        let mut fields = time.split(':').map(|field| match *field.as_bytes() {
            [one] => number(b'0', one),
            [ten, one] => number(ten, one),
            _ => None,
        });
        let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next().unwrap_or(Some(0))?);
        if hour > 23 || minute > 59 || second > 60 || fields.next().is_some() {
            return None;
        }
        once(&mut self.second, hour * 3600 + minute * 60 + second.min(59))?;
        if zone.is_empty() { Some(()) } else { self.add_zone(zone) }
    }

    /// Adds `GMT`, `+0000` or `+00:00`. Of an offset and a name after it the offset counts.
    fn add_zone(&mut self, text: &str) -> Option<()> {
        let offset = match *text.as_bytes() {
            [sign @ (b'+' | b'-'), h, i, b':', n, u] | [sign @ (b'+' | b'-'), h, i, n, u] => {
                let seconds = (number(h, i)? * 3600 + number(n, u)? * 60) as i64;
                if sign == b'-' { -seconds } else { seconds }
            }
            _ if ["Z", "UT", "UTC", "GMT"].iter().any(|zone| zone.eq_ignore_ascii_case(text)) => 0,
            _ => return None,
        };
        self.offset.get_or_insert(offset);
        Some(())
    }
}

/// Sets a part. None if it is set.
fn once(part: &mut Option<u64>, value: u64) -> Option<()> {
    part.replace(value).is_none().then_some(())
}

/// Parses a date in the formats of RFC 9110, strictly.
fn parse_http_date(text: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Parses a timestamp of an XML document, such as `2009-10-12T17:50:30.000Z` (RFC 3339). None before 1970 and after [`LAST`].
fn timestamp(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok().filter(|&second| second <= LAST)
}

/// Days from 1970-01-01 to a date. None if the date does not exist, or is before 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    u64::try_from((date - OffsetDateTime::UNIX_EPOCH.date()).whole_days()).ok()
}

/// The number of two digits.
fn number(ten: u8, one: u8) -> Option<u64> {
    let (ten, one) = (ten.wrapping_sub(b'0'), one.wrapping_sub(b'0'));
    (ten < 10 && one < 10).then(|| u64::from(10 * ten + one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_parsed() {
        for (text, second) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2009-10-12T17:50:30.000Z", Some(1_255_369_830)),
            ("2009-10-12T19:50:30.123456789+02:00", Some(1_255_369_830)),
            ("2009-10-12 12:50:30-05:00", Some(1_255_369_830)),
            ("2000-02-29T00:00:00.Z", Some(951_782_400)),
            ("9999-12-31T23:59:59Z", Some(LAST)),
            ("9999-12-31T23:59:59-00:01", None),
            ("2009-10-12T17:50:30+24:00", None),
            ("2009-10-12T17:50:30+23:60", None),
            ("2001-02-29T00:00:00Z", None),
            ("2001-13-01T00:00:00Z", None),
            ("2001-00-01T00:00:00Z", None),
            ("2001-01-00T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("2009-10-12T24:00:00Z", None),
            ("2009-10-12T17:50:30", None),
            ("2009-10-12T17:50:30Zx", None),
            ("2009-10-12T+7:50:30Z", None),
            ("2009-1-012T17:50:30Z", None),
            ("2009-10-12T17:50:30+2:00", None),
            ("2009-10-1éT17:50:30Z", None),
            ("Mon, 12 Oct 2009 17:50:30 GMT", None),
            ("", None),
        ] {
            // Unusual formats are for the lenient parser.
            let parse = if second.is_some() { date } else { timestamp };
            assert_eq!(parse(text), second, "{text}");
        }
    }

    #[test]
    fn dates_in_every_format_of_services_are_parsed() {
        for (text, second) in [
            // RFC 9110: IMF-fixdate, RFC 850, asctime.
            ("Tue, 05 Nov 2024 10:00:00 GMT", Some(1_730_800_800)),
            ("Tuesday, 05-Nov-24 10:00:00 GMT", Some(1_730_800_800)),
            ("Tue Nov  5 10:00:00 2024", Some(1_730_800_800)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            // Other zones, and none.
            ("Tue, 05 Nov 2024 10:00:00 UTC", Some(1_730_800_800)),
            ("Tue, 05 Nov 2024 10:00:00 +0000", Some(1_730_800_800)),
            ("Tue, 05 Nov 2024 12:00:00 +02:00", Some(1_730_800_800)),
            ("Tue, 05 Nov 2024 05:00:00 -0500", Some(1_730_800_800)),
            ("Tue, 05 Nov 2024 10:00:00 Z", Some(1_730_800_800)),
            ("Tue, 05 Nov 2024 10:00:00", Some(1_730_800_800)),
            // One digit, no weekday or a wrong one, names in full, no seconds.
            ("Tue, 5 Nov 2024 10:00:00 GMT", Some(1_730_800_800)),
            ("5 nov 2024 10:00 gmt", Some(1_730_800_800)),
            ("Mon, 05 November 2024 10:00:00 GMT", Some(1_730_800_800)),
            ("Tue, 05-Nov-2024 10:00:00 GMT", Some(1_730_800_800)),
            ("Tue Nov 05 10:00:00 UTC 2024", Some(1_730_800_800)),
            // RFC 3339 and its like.
            ("2024-11-05T10:00:00.123Z", Some(1_730_800_800)),
            ("2024-11-05T10:00:00", Some(1_730_800_800)),
            ("2024-11-05T10:00:00.000", Some(1_730_800_800)),
            ("2024-11-05T12:00:00+0200", Some(1_730_800_800)),
            ("2024-11-05 10:00:00 UTC", Some(1_730_800_800)),
            ("2024-11-05 10:00:00.5 +0000 UTC", Some(1_730_800_800)),
            // Go's zero time, and what is none.
            ("0001-01-01T00:00:00Z", None),
            ("Mon, 01 Jan 0001 00:00:00 GMT", None),
            ("Thu, 01 Jan 1970 00:00:00 +0100", None),
            ("Tue, 31 Nov 2024 10:00:00 GMT", None),
            ("Tue, 05 Nov 2024 24:00:00 GMT", None),
            ("Tue, 05 Nov 2024 10:00:00 XYZ", None),
            ("Tue, 05 Nov 2024", None),
            ("10:00:00", None),
            ("05 05 Nov 2024 2024 10:00:00", None),
            ("yesterday", None),
            ("now", None),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(date(text), second, "{text}");
        }
        assert_eq!(date(&format!("Tue, 05 Nov 2024 10:00:00 GMT{}", " ".repeat(100))), Some(1_730_800_800));
        assert_eq!(date(&format!("Tue, 5 Nov 2024 10:00:00{}GMT", " ".repeat(100))), None);
    }

    proptest::proptest! {
        #[test]
        fn all_formats_of_rfc_9110_are_parsed(secs in 0..=3_155_759_999_u64) {
            let text = http_date(secs);
            let (day, month, year, time) = (&text[5..7], &text[8..11], &text[12..16], &text[17..25]);
            let asctime = format!("{} {month} {:>2} {time} {year}", &text[..3], day.trim_start_matches('0'));
            let rfc850 = format!("Sunday, {day}-{month}-{} {time} GMT", &year[2..]);
            proptest::prop_assert_eq!(date(&asctime), Some(secs));
            proptest::prop_assert_eq!(httpdate::parse_http_date(&asctime).is_ok(), true);
            proptest::prop_assert_eq!(date(&rfc850), Some(secs));
        }

        #[test]
        fn date_parser_never_panics(text in "[0-9TZ:+., -]{0,40}|[0-9A-Za-z:+ -]{0,40}|\\PC{0,30}") {
            proptest::prop_assert!(date(&text).is_none_or(|second| second <= LAST));
        }

        #[test]
        fn nonexistent_dates_are_rejected(year in 1968..2410_u64, month in 0..14_u64, day in 0..33_u64) {
            let start = days(year, month, day);
            let read = timestamp(&format!("{year}-{month:02}-{day:02}T00:00:00Z"));
            proptest::prop_assert_eq!(read, start.map(|days| days * 86_400));
        }

        #[test]
        fn timestamp_parser_never_panics(text in "[0-9TZ:+. -]{0,40}|\\PC{0,30}") {
            timestamp(&text);
        }
    }
}
