use super::*;
use crate::settings::DEFAULT_RETRIES;

const NOW: u64 = 1_700_000_000;

fn head(status: u16, headers: &[(&str, &str)]) -> Head<'static> {
    Head { status, headers: headers.iter().map(|(n, v)| (n.to_string().into(), v.to_string().into())).collect() }
}

fn coded(status: u16, code: &str) -> ServiceResponse {
    ServiceResponse { status, code: (!code.is_empty()).then(|| code.to_owned()), ..ServiceResponse::default() }
}

fn next(status: u16, code: &str) -> Decision {
    decide(&head(status, &[]), &coded(status, code), NOW, true)
}

#[test]
fn transient_error_is_retried() {
    for (status, code) in [
        (500, ""),
        (500, "InternalError"),
        (502, ""),
        (503, ""),
        (503, "ServiceUnavailable"),
        (504, ""),
        (599, ""),
        (408, ""),
        (400, "RequestTimeout"),
        (400, "IncompleteBody"),
        (200, "InternalError"),
    ] {
        assert_eq!(next(status, code), Decision::Retry { after: None, not_applied: false }, "{status} {code}");
    }
    for (status, code) in
        [(429, ""), (503, "SlowDown"), (400, "ThrottlingException"), (409, "ConditionalRequestConflict")]
    {
        assert_eq!(next(status, code), Decision::Retry { after: None, not_applied: true }, "{status} {code}");
    }
}

#[test]
fn permanent_error_is_not_retried() {
    for (status, code) in [
        (400, ""),
        (400, "InvalidRequest"),
        (401, ""),
        (403, "AccessDenied"),
        (404, ""),
        (412, ""),
        (416, ""),
        (501, ""),
        (505, ""),
    ] {
        assert_eq!(next(status, code), Decision::Fail, "{status} {code}");
    }
}

#[test]
fn retry_after_is_parsed_as_seconds_or_date() {
    assert_eq!(retry_after("0", NOW), Some(Duration::ZERO));
    assert_eq!(retry_after("120", NOW), Some(Duration::from_secs(120)));
    assert_eq!(retry_after("Tue, 14 Nov 2023 22:13:30 GMT", NOW), Some(Duration::from_secs(10)));
    assert_eq!(retry_after("Tue, 14 Nov 2023 22:13:10 GMT", NOW), Some(Duration::ZERO));
    assert_eq!(retry_after("99999999999999999999", NOW), None);
    assert_eq!(retry_after("soon", NOW), None);
    assert_eq!(retry_after("-1", NOW), None);
    // The date is relative to the service's clock.
    let response =
        head(503, &[("date", "Tue, 14 Nov 2023 23:13:20 GMT"), ("retry-after", "Tue, 14 Nov 2023 23:13:27 GMT")]);
    let after = Some(Duration::from_secs(7));
    assert_eq!(decide(&response, &coded(503, ""), NOW, true), Decision::Retry { after, not_applied: false });
}

#[test]
fn clock_skew_is_detected_by_code_or_by_date_without_a_code() {
    let dated = head(403, &[("date", "Tue, 14 Nov 2023 23:13:20 GMT")]);
    let there = NOW + 3600;
    assert_eq!(decide(&dated, &coded(403, "RequestTimeTooSkewed"), NOW, true), Decision::CorrectClock(there));
    assert_eq!(decide(&dated, &coded(403, ""), NOW, true), Decision::CorrectClock(there));
    assert_eq!(decide(&dated, &coded(403, ""), there - MIN_SKEW, true), Decision::Fail);
    assert_eq!(decide(&dated, &coded(403, "AccessDenied"), NOW, true), Decision::Fail);
    assert_eq!(decide(&dated, &coded(403, ""), NOW, false), Decision::Fail);
    // Without a date the skew is unknown.
    assert_eq!(decide(&head(403, &[]), &coded(403, "RequestTimeTooSkewed"), NOW, true), Decision::Fail);
}

#[test]
fn backoff_has_jitter_grows_and_is_limited() {
    let mut rng = Rng::with_seed(7);
    for retry in [0, 1, 3, 7, 8, 31, 32, u32::MAX] {
        let bound = BASE_BACKOFF.saturating_mul(2u32.saturating_pow(retry)).min(MAX_BACKOFF);
        let pauses: Vec<_> = (0..2000).map(|_| backoff(retry, None, &mut rng)).collect();
        assert!(pauses.iter().all(|pause| (bound / 2..=bound).contains(pause)), "{retry}");
        let mean = pauses.iter().sum::<Duration>() / 2000;
        assert!(mean > bound * 7 / 10 && mean < bound * 8 / 10, "{retry}: {mean:?} of {bound:?}");
    }
}

#[test]
fn default_retries_outlast_an_outage_of_ten_seconds() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let sum: Duration = (0..DEFAULT_RETRIES).map(|retry| backoff(retry, None, &mut rng)).sum();
        assert!(sum > Duration::from_millis(12_700) && sum < Duration::from_millis(25_600), "{sum:?}");
    }
}

#[test]
fn backoff_is_never_below_retry_after() {
    let mut rng = Rng::with_seed(7);
    for retry in 0..20 {
        let pause = backoff(retry, Some(Duration::from_secs(3)), &mut rng);
        assert!(pause >= Duration::from_secs(3) && pause <= Duration::from_secs(3) + BASE_BACKOFF);
    }
    assert_eq!(backoff(0, Some(Duration::MAX), &mut rng), Duration::MAX);
}

#[test]
fn clock_correction_is_limited() {
    const DAY: u64 = 24 * 3600;
    for (https, most) in [(true, 7 * DAY), (false, DAY)] {
        let seconds = i64::try_from(most).unwrap();
        assert_eq!(correction(NOW + most, NOW, https), Ok(seconds));
        assert_eq!(correction(NOW - most, NOW, https), Ok(-seconds));
        for date in [NOW + most + 1, NOW - most - 1, 0, u64::MAX, crate::s3::time::LAST] {
            assert_eq!(correction(date, NOW, https), Err(date.abs_diff(NOW)), "{date}");
        }
    }
}
