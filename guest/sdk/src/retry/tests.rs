use super::*;

const NOW: u64 = 1_700_000_000;

#[test]
fn retry_after_is_parsed_as_seconds_or_date() {
    assert_eq!(retry_after("0", NOW), Some(Duration::ZERO));
    assert_eq!(retry_after("120", NOW), Some(Duration::from_secs(120)));
    assert_eq!(retry_after("Tue, 14 Nov 2023 22:13:30 GMT", NOW), Some(Duration::from_secs(10)));
    assert_eq!(retry_after("Tue, 14 Nov 2023 22:13:10 GMT", NOW), Some(Duration::ZERO));
    assert_eq!(retry_after("99999999999999999999", NOW), None);
    assert_eq!(retry_after("soon", NOW), None);
    assert_eq!(retry_after("-1", NOW), None);
}

#[test]
fn status_alone_decides_on_a_retry() {
    let head = |status| Head { status, ..Head::default() };
    for (status, expected) in
        [(408, Some(false)), (429, Some(true)), (500, Some(false)), (503, Some(false)), (599, Some(false))]
    {
        let not_applied = expected.unwrap_or_default();
        assert_eq!(by_status(&head(status), NOW), Decision::Retry { after: None, not_applied }, "{status}");
    }
    for status in [300, 304, 400, 401, 403, 404, 409, 412, 416, 501, 505] {
        assert_eq!(by_status(&head(status), NOW), Decision::Fail, "{status}");
    }
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
        for date in [NOW + most + 1, NOW - most - 1, 0, u64::MAX, time::LAST] {
            assert_eq!(correction(date, NOW, https), Err(date.abs_diff(NOW)), "{date}");
        }
    }
}
