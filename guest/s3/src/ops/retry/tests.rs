use super::*;
use sandbucket_plugin::retry::MIN_SKEW;
use std::time::Duration;

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
fn retry_after_is_relative_to_the_clock_of_the_service() {
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
