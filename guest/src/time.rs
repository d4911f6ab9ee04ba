//! The time as a signature spells it.

/// The last second that four digits of year can tell.
const LAST: u64 = 253_402_300_799;

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

fn push_digits(text: &mut String, number: u64, width: u32) {
    for place in (0..width).rev() {
        text.push(char::from(b'0' + (number / 10_u64.pow(place) % 10) as u8));
    }
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

    proptest::proptest! {
        #[test]
        fn the_same_second_as_httpdate_tells(secs in 0..=LAST) {
            let http = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs));
            let text = AmzTime::from_secs(secs).text();
            // "Tue, 14 Nov 2023 22:13:20 GMT"
            proptest::prop_assert_eq!(&text[..4], &http[12..16]);
            proptest::prop_assert_eq!(&text[6..8], &http[5..7]);
            proptest::prop_assert_eq!(&text[9..15], &http[17..25].replace(':', ""));
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month: usize = text[4..6].parse().unwrap();
            proptest::prop_assert_eq!(months[month - 1], &http[8..11]);
        }
    }
}
