//! The expiration of temporary credentials, in the format of AWS's tools: a date and time of RFC 3339.

use std::time::{Duration, SystemTime};

use toml::value::{Datetime, Offset};

/// Parses an expiration. Malformed text counts as absent: the credentials are used until the service rejects them.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let parsed = moment(text.trim());
    if parsed.is_none() {
        tracing::warn!("the time at which credentials expire is no date and time, and is ignored");
    }
    parsed
}

fn moment(text: &str) -> Option<SystemTime> {
    let Datetime { date: Some(date), time: Some(time), offset } = text.parse().ok()? else { return None };
    let offset = match offset {
        None | Some(Offset::Z) => 0,
        Some(Offset::Custom { minutes }) => i64::from(minutes) * 60,
    };
    let day = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let (hour, minute, second) = (i64::from(time.hour), i64::from(time.minute), i64::from(time.second.unwrap_or(0)));
    let seconds = day * 86_400 + hour * 3600 + minute * 60 + second - offset;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. The year begins in March, so that a leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expirations_of_aws_tools_are_parsed() {
        let seconds =
            |text: &str| parse(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-29T06:00:00.123456+00:00", Some(1_795_932_000)),
            ("2026-11-29T08:00:00+02:00", Some(1_795_932_000)),
            ("2026-11-29 06:00:00", Some(1_795_932_000)),
            ("tomorrow", None),
            ("2026-11-29", None),
            ("0000-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
