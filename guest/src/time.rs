//! Points in time as signatures spell them.

/// A second since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AmzTime {
    secs: u64,
}

impl AmzTime {
    /// This second since 1970. One after the year 9999 becomes the last of that year: no longer text fits.
    pub fn from_secs(secs: u64) -> Self {
        AmzTime { secs: secs.min(253_402_300_799) }
    }

    /// `20231114T221320Z`; the first eight characters are the date.
    pub fn stamp(self) -> [u8; 16] {
        let (year, month, day) = civil(self.secs / 86_400);
        let of_day = self.secs % 86_400;
        let mut text = *b"00000000T000000Z";
        digits(&mut text[..4], year);
        digits(&mut text[4..6], month);
        digits(&mut text[6..8], day);
        digits(&mut text[9..11], of_day / 3600);
        digits(&mut text[11..13], of_day / 60 % 60);
        digits(&mut text[13..15], of_day % 60);
        text
    }
}

fn digits(field: &mut [u8], mut number: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since 1970, counted in eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(secs: u64) -> String {
        String::from_utf8(AmzTime::from_secs(secs).stamp().to_vec()).unwrap()
    }

    #[test]
    fn stamps_are_right_at_the_edges() {
        for (secs, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (1_700_000_000, "20231114T221320Z"),
            (4_107_542_400, "21000301T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
            (u64::MAX, "99991231T235959Z"),
        ] {
            assert_eq!(text(secs), expected);
        }
    }

    #[test]
    fn every_day_of_four_centuries_agrees_with_another_calendar() {
        for day in (0..146_097 + 366).map(|day| day * 86_400) {
            let other = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(day));
            let stamp = text(day);
            assert_eq!((&stamp[..4], &stamp[6..8]), (&other[12..16], &other[5..7]), "{other}");
        }
    }
}
