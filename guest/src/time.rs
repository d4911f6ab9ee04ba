//! Times as signatures, headers and documents spell them.

use crate::response::digits;

/// The last second that four digits of year can tell.
pub const LAST: u64 = 253_402_300_799;

/// As HTTP names them, from the day that 1970 began with.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A second, as it goes into a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AmzTime {
    secs: u64,
}

impl AmzTime {
    /// This many seconds after 1970 began. What is later than the year 9999 becomes its last second.
    pub const fn from_secs(secs: u64) -> Self {
        AmzTime { secs: if secs > LAST { LAST } else { secs } }
    }

    /// Seconds since 1970 began.
    pub const fn secs(self) -> u64 {
        self.secs
    }

    /// `YYYYMMDDTHHMMSSZ`: 16 bytes of ASCII, of which the first 8 are the date.
    pub fn text(self) -> String {
        let (year, month, day) = civil(self.secs / 86_400);
        let second = self.secs % 86_400;
        let mut text = String::with_capacity(16);
        push_digits(&mut text, year, 4);
        push_digits(&mut text, month, 2);
        push_digits(&mut text, day, 2);
        text.push('T');
        push_digits(&mut text, second / 3600, 2);
        push_digits(&mut text, second / 60 % 60, 2);
        push_digits(&mut text, second % 60, 2);
        text.push('Z');
        text
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: a second as HTTP tells it (RFC 9110, section 5.6.7), no later than [`LAST`].
pub fn http_date(second: u64) -> String {
    let days = second / 86_400;
    let (year, month, day) = civil(days);
    let mut text = String::with_capacity(29);
    text.push_str(WEEKDAYS[(days % 7) as usize]);
    text.push_str(", ");
    push_digits(&mut text, day, 2);
    text.push(' ');
    text.push_str(MONTHS[(month - 1) as usize % 12]);
    text.push(' ');
    push_digits(&mut text, year, 4);
    for (before, number) in [(' ', second / 3600 % 24), (':', second / 60 % 60), (':', second % 60)] {
        text.push(before);
        push_digits(&mut text, number, 2);
    }
    text.push_str(" GMT");
    text
}

/// The second that a date of HTTP's means, as all services write it: the two older spellings, which only ancient servers
/// have, are none here.
pub fn of_http_date(text: &str) -> Option<u64> {
    let text = text.trim();
    let number = |from: usize, to: usize| crate::response::decimal(text.get(from..to)?);
    let name = text.get(8..11)?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let second = days(year, month, day) * 86_400 + number(17, 19)? * 3600 + number(20, 22)? * 60 + number(23, 25)?;
    // What is told otherwise is no such date, or of another weekday.
    (second <= LAST && http_date(second) == text).then_some(second)
}

/// The second that a timestamp of S3's XML means: `2009-10-12T17:50:30.000Z`, with any number of decimals, which do not
/// count, and `Z` or an offset such as `+00:00` (RFC 3339). None where it is none, or before 1970.
pub fn timestamp(text: &str) -> Option<u64> {
    let (told, mut zone) = text.as_bytes().split_first_chunk::<19>()?;
    let &[y, e, a, r, b'-', m, o, b'-', d, t, b'T' | b't' | b' ', h, i, b':', n, u, b':', s, c] = told else {
        return None;
    };
    let (year, month, day) = (digits(&[y, e, a, r])?, digits(&[m, o])?, digits(&[d, t])?);
    let (hour, minute, second) = (digits(&[h, i])?, digits(&[n, u])?, digits(&[s, c])?);
    if let [b'.', decimals @ ..] = zone {
        zone = decimals;
        while let [b'0'..=b'9', rest @ ..] = zone {
            zone = rest;
        }
    }
    let offset = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h, i, b':', n, u] => {
            let seconds = (digits(&[h, i])? * 3600 + digits(&[n, u])? * 60) as i64;
            if sign == b'+' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let last = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    if year < 1970 || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    (days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59)).checked_add_signed(offset)
}

/// The day of a date, counted from 1970-01-01, which is day 0. The reverse of [`civil`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day.saturating_sub(1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

/// The year, month and day of a day counted from 1970-01-01, which is day 0.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years are taken to begin in March, so that a leap day is a year's last, and 400 of them always have as many days.
    let since = days + 719_468;
    let era = since / 146_097;
    let day_of_era = since % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

/// The last digits of a number, as many as `width`, which is 4 at most.
fn push_digits(text: &mut String, number: u64, width: usize) {
    let mut digits = [b'0'; 4];
    let mut rest = number;
    for digit in digits[..width].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text.push_str(std::str::from_utf8(&digits[..width]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_seconds() {
        for (secs, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (LAST, "99991231T235959Z"),
            (u64::MAX, "99991231T235959Z"),
        ] {
            assert_eq!(AmzTime::from_secs(secs).text(), text);
        }
    }

    #[test]
    fn timestamps_are_read() {
        for (text, second) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2009-10-12T17:50:30.000Z", Some(1_255_369_830)),
            ("2009-10-12T19:50:30.123456789+02:00", Some(1_255_369_830)),
            ("2009-10-12 12:50:30-05:00", Some(1_255_369_830)),
            ("2000-02-29T00:00:00.Z", Some(951_782_400)),
            ("9999-12-31T23:59:59Z", Some(LAST)),
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
            assert_eq!(timestamp(text), second, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_second_is_read_back(secs in 0..=LAST) {
            let t = AmzTime::from_secs(secs).text();
            let dashed = format!("{}-{}-{}T{}:{}:{}Z", &t[..4], &t[4..6], &t[6..8], &t[9..11], &t[11..13], &t[13..15]);
            proptest::prop_assert_eq!(timestamp(&dashed), Some(secs));
        }

        #[test]
        fn dates_that_are_none_are_not_taken(year in 1968..2410_u64, month in 0..14_u64, day in 0..33_u64) {
            let possible = year >= 1970 && (1..=12).contains(&month) && civil(days(year, month, day)) == (year, month, day);
            let read = timestamp(&format!("{year}-{month:02}-{day:02}T00:00:00Z"));
            proptest::prop_assert_eq!(read, possible.then(|| days(year, month, day) * 86_400));
        }

        #[test]
        fn nothing_breaks_it(text in "[0-9TZ:+. -]{0,40}|\\PC{0,30}") {
            timestamp(&text);
        }

        #[test]
        fn the_same_second_as_httpdate_tells(secs in 0..=LAST) {
            let http = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs));
            let text = AmzTime::from_secs(secs).text();
            // "Tue, 14 Nov 2023 22:13:20 GMT"
            proptest::prop_assert_eq!(&text[..4], &http[12..16]);
            proptest::prop_assert_eq!(&text[6..8], &http[5..7]);
            proptest::prop_assert_eq!(&text[9..15], &http[17..25].replace(':', ""));
            let month: usize = text[4..6].parse().unwrap();
            proptest::prop_assert_eq!(MONTHS[month - 1], &http[8..11]);
            proptest::prop_assert_eq!(&http_date(secs), &http);
            proptest::prop_assert_eq!(of_http_date(&http), Some(secs));
        }

        #[test]
        fn the_same_dates_as_httpdate_takes(
            // A date, and one with something in it changed.
            secs in 0..=LAST,
            at in 0..29_usize,
            by in "[0-9]|[ -~]|Sat|\\PC",
            text in " ?[MTWFS][a-z]{2}, [0-3][0-9] [A-Z][a-z]{2} [0-9]{4} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] GMT ?",
        ) {
            let known = |text: &str| {
                let at = httpdate::parse_http_date(text).ok()?;
                Some(at.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs())
            };
            let mut changed = http_date(secs);
            changed.replace_range(at..at + 1, &by);
            for text in [changed, text] {
                proptest::prop_assert_eq!(of_http_date(&text), known(&text), "{}", text);
            }
        }
    }
}
