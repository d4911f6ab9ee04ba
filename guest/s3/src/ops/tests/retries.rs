use std::time::Duration;

use super::{store, within};
use sandbucket_plugin::contract::error::Kind;
use sandbucket_plugin::contract::model::{CallOptions, GetOptions, HeadOptions};
use sandbucket_plugin::retry::{BASE_BACKOFF, MAX_BACKOFF};
use sandbucket_plugin::testing::{Reaction, Script, error_response, reset, response, unreachable};

fn found() -> Reaction {
    response(200, &[("etag", "\"e\"")], "x")
}

fn look(script: &mut Script, settings: &[(&str, &str)], call: CallOptions) -> Result<(), (Kind, u32, bool)> {
    let options = GetOptions { call, ..GetOptions::default() };
    let result = store(settings).get(script, "k", &options);
    result.map(drop).map_err(|failure| (failure.kind, failure.attempts, failure.retryable))
}

#[test]
fn transient_error_is_retried() {
    for bad in [
        reset(),
        unreachable(),
        response(500, &[], ""),
        error_response(500, "InternalError"),
        response(502, &[], "<html>bad gateway</html>"),
        error_response(503, "SlowDown"),
        response(504, &[], ""),
        response(429, &[], ""),
        response(408, &[], ""),
        error_response(400, "RequestTimeout"),
    ] {
        let mut script = Script::new([bad.clone(), bad, found()]);
        assert_eq!(look(&mut script, &[], CallOptions::default()), Ok(()));
        assert_eq!(script.pauses.len(), 2);
    }
}

#[test]
fn permanent_error_is_not_retried() {
    for (bad, kind) in [
        (error_response(403, "AccessDenied"), Kind::AccessDenied),
        (error_response(404, "NoSuchKey"), Kind::NotFound),
        (error_response(400, "InvalidRequest"), Kind::Service),
        (error_response(501, "NotImplemented"), Kind::Unsupported),
    ] {
        let mut script = Script::new([bad]);
        assert_eq!(look(&mut script, &[], CallOptions::default()), Err((kind, 1, false)));
        assert!(script.pauses.is_empty());
    }
}

#[test]
fn retries_end_at_the_setting() {
    for (retries, sent) in [("0", 1), ("1", 2), ("5", 6)] {
        let mut script = Script::new(vec![error_response(503, "SlowDown"); sent as usize]);
        let settings = [("max-retries", retries)];
        assert_eq!(look(&mut script, &settings, CallOptions::default()), Err((Kind::Throttled, sent, true)));
        assert!(script.done());
    }
}

#[test]
fn call_can_allow_fewer_retries_than_the_setting_but_not_more() {
    for (max_retries, sent) in [(0, 1), (1, 2), (7, 3)] {
        let mut script = Script::new(vec![reset(); sent as usize]);
        let call = CallOptions { max_retries: Some(max_retries), ..CallOptions::default() };
        assert_eq!(look(&mut script, &[("max-retries", "2")], call), Err((Kind::Network, sent, true)));
        assert!(script.done());
    }
}

#[test]
fn backoff_grows_to_a_maximum_and_has_jitter() {
    let mut script = Script::new(vec![reset(); 13]);
    let _ = look(&mut script, &[("max-retries", "12")], within(100_000));
    assert_eq!(script.pauses.len(), 12);
    for (n, pause) in script.pauses.iter().enumerate() {
        assert!(*pause <= (BASE_BACKOFF * 2u32.pow(n as u32)).min(MAX_BACKOFF), "{n}: {pause:?}");
    }
    assert!(script.pauses.iter().sum::<Duration>() > MAX_BACKOFF, "{:?}", script.pauses);
    let mut again = Script::new(vec![reset(); 2]);
    let mut other = crate::ops::Store::open(
        &[("bucket", "demo"), ("endpoint", "http://localhost:9000"), ("max-retries", "1")]
            .map(|(name, value)| (name.to_string(), value.to_string())),
        2,
    )
    .unwrap();
    let _ = other.get(&mut again, "k", &GetOptions::default());
    assert_ne!(again.pauses[0], script.pauses[0], "another seed gives another backoff");
}

#[test]
fn retry_after_is_honoured() {
    for value in ["7", "Tue, 14 Nov 2023 22:13:27 GMT"] {
        let mut script = Script::new([response(503, &[("retry-after", value)], ""), found()]);
        assert_eq!(look(&mut script, &[], CallOptions::default()), Ok(()));
        assert!(
            script.pauses[0] >= Duration::from_secs(7) && script.pauses[0] <= Duration::from_secs(7) + BASE_BACKOFF
        );
    }
}

#[test]
fn backoff_ends_at_the_deadline() {
    let mut script = Script::new([response(503, &[("retry-after", "60")], "")]);
    assert_eq!(look(&mut script, &[], within(30)), Err((Kind::Service, 1, true)));
    assert!(script.pauses.is_empty() && script.elapsed().is_zero());
    // The default time limit is ten minutes.
    let mut script = Script::new([response(503, &[("retry-after", "601")], "")]);
    assert_eq!(look(&mut script, &[], CallOptions::default()), Err((Kind::Service, 1, true)));
}

#[test]
fn silent_service_ends_at_the_timeout_and_the_deadline() {
    let mut script = Script::new([found().slow(1000), found()]);
    assert_eq!(look(&mut script, &[("timeout", "10s")], CallOptions::default()), Ok(()));
    assert!(script.elapsed() >= Duration::from_secs(10) && script.elapsed() <= Duration::from_secs(11));
    let mut script = Script::new([found().slow(1000)]);
    assert_eq!(look(&mut script, &[("timeout", "30s")], within(4)), Err((Kind::Timeout, 1, true)));
    assert_eq!(script.elapsed(), Duration::from_secs(4));
}

#[test]
fn time_limit_of_zero_is_a_timeout_without_a_request() {
    let mut script = Script::new([]);
    assert_eq!(look(&mut script, &[], within(0)), Err((Kind::Timeout, 0, true)));
}

#[test]
fn clock_skew_is_corrected_remembered_and_retried_without_backoff() {
    let dated = |step: Reaction| step.with("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    for off in [-7200, 7200] {
        let mut script = Script::new([dated(error_response(403, "RequestTimeTooSkewed")), found(), found()]);
        script.off = off;
        let mut store = store(&[("max-retries", "0")]);
        store.get(&mut script, "k", &GetOptions::default()).unwrap();
        store.get(&mut script, "k", &GetOptions::default()).unwrap();
        assert_ne!(script.sent[0].header("x-amz-date"), Some("20231114T221320Z"));
        assert_eq!(script.sent[1].header("x-amz-date"), Some("20231114T221320Z"));
        assert_eq!(script.sent[2].header("x-amz-date"), Some("20231114T221320Z"));
        assert!(script.pauses.is_empty());
    }
}

#[test]
fn failed_head_without_a_code_is_clock_skew_if_the_date_differs() {
    let refused = || response(403, &[("date", "Tue, 14 Nov 2023 22:13:20 GMT")], "");
    let mut script = Script::new([refused(), found()]);
    script.off = 3600;
    store(&[]).head(&mut script, "k", &HeadOptions::default()).unwrap();
    let mut script = Script::new([refused()]);
    assert_eq!(store(&[]).head(&mut script, "k", &HeadOptions::default()).unwrap_err().kind, Kind::AccessDenied);
}

#[test]
fn clock_is_corrected_once_per_call() {
    let skewed = |date: &str| error_response(403, "RequestTimeTooSkewed").with("date", date);
    let mut script = Script::new([skewed("Tue, 14 Nov 2023 23:13:20 GMT"), skewed("Tue, 14 Nov 2023 20:13:20 GMT")]);
    let failure = store(&[]).get(&mut script, "k", &GetOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::AccessDenied, 2));
    assert!(failure.message.contains("clock"), "{failure}");
    assert!(script.done());
}

#[test]
fn error_after_retries_reports_the_attempts() {
    let mut script = Script::new([unreachable(), unreachable()]);
    let failure = store(&[("max-retries", "1")]).get(&mut script, "k", &GetOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.attempts, failure.retryable), (Kind::Network, 2, true));
    assert!(failure.message.contains("(2 requests in "), "{failure}");
}

#[test]
fn clock_skew_beyond_the_limit_is_not_corrected_and_reported() {
    const DAY: i64 = 24 * 3600;
    let skewed = || error_response(403, "RequestTimeTooSkewed").with("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    let https = ("endpoint", "https://localhost:9000");
    for (settings, within, beyond, words) in [
        (&[][..], DAY, DAY + 1, "over http at most 24 hours"),
        (&[https][..], 7 * DAY, 7 * DAY + 1, "over https at most 7 days"),
    ] {
        for sign in [1, -1] {
            let mut script = Script::new([skewed(), found()]);
            script.off = sign * within;
            store(settings).get(&mut script, "k", &GetOptions::default()).unwrap();

            let mut script = Script::new([skewed(), error_response(403, "AccessDenied")]);
            script.off = sign * beyond;
            let mut store = store(settings);
            let failure = store.get(&mut script, "k", &GetOptions::default()).unwrap_err();
            assert_eq!((failure.kind, failure.attempts), (Kind::AccessDenied, 1));
            let way = if sign > 0 { "behind" } else { "ahead of" };
            let days = format!("{} days and 0 hours {way} this machine's", beyond / DAY);
            assert!(failure.message.contains(&days) && failure.message.contains(words), "{failure}");
            assert!(failure.message.contains("set this machine's clock"), "{failure}");
            // The next request is signed by the local clock.
            let first = script.sent[0].header("x-amz-date").map(str::to_owned);
            store.get(&mut script, "k", &GetOptions::default()).unwrap_err();
            assert_eq!(script.sent[1].header("x-amz-date"), first.as_deref());
        }
    }
}

#[test]
fn retry_after_above_15_minutes_fails_at_once() {
    let hour = Some(3_600_000_000_000);
    let call = CallOptions { time_limit: hour.map(|nanos| nanos * 100_000), ..CallOptions::default() };
    for (retry_after, waits) in [
        ("900", true),
        ("901", false),
        ("1000000000000000000", false),
        ("18446744073709551615", false),
        ("Fri, 31 Dec 9999 23:59:59 GMT", false),
        // An invalid value is ignored, and the usual backoff applies.
        ("-1", true),
        ("99999999999999999999", true),
        ("Tue, 14 Nov 2000 22:13:20 GMT", true),
    ] {
        let mut script = Script::new([error_response(503, "SlowDown").with("retry-after", retry_after), found()]);
        let options = GetOptions { call: call.clone(), ..GetOptions::default() };
        let result = store(&[]).get(&mut script, "k", &options);
        assert_eq!(result.is_ok(), waits, "{retry_after}");
        let slept: std::time::Duration = script.pauses.iter().sum();
        assert!(slept <= std::time::Duration::from_secs(901), "{retry_after}: {slept:?}");
        if let Err(failure) = result {
            assert!(failure.retryable && failure.message.contains("no call waits more than 900 s"), "{failure}");
        }
    }
}
