//! A service that refuses, moves, or tells another time.

use super::*;

#[test]
fn a_refusal_while_the_body_is_under_way_is_heard() {
    run(async {
        let body = "<Error><Code>QuotaExceeded</Code><Message>full</Message></Error>";
        let act = Act::answer(403, "connection: close\r\n", body).before_body().then_close();
        let bench = Bench::new([act]).await;
        let failure = refused!(bench.store.put("k", vec![7; 16 << 20]).await, AccessDenied);
        is_decent(&failure, 1);
        assert_eq!(code(&failure), Some("QuotaExceeded"));
        bench.ends_well().await;
    });
}

#[test]
fn a_wrong_region_is_told_with_the_right_one() {
    run(async {
        let moved = Act::answer(
            301,
            "x-amz-bucket-region: ap-southeast-2\r\n",
            "<Error><Code>PermanentRedirect</Code><Endpoint>elsewhere.example</Endpoint></Error>",
        );
        let malformed = Act::answer(
            400,
            "",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'eu-central-1' is wrong; expecting \
             'ap-southeast-2'</Message><Region>ap-southeast-2</Region></Error>",
        );
        let bare = Act::answer(400, "x-amz-bucket-region: ap-southeast-2\r\n", "");
        for act in [moved, malformed, bare] {
            let bench = Bench::new([act]).await;
            let failure = refused!(bench.read().await, InvalidSettings);
            is_decent(&failure, 1);
            assert_eq!(failure.subject.as_deref(), Some("region"));
            assert!(failure.message.contains("ap-southeast-2"), "{failure:?}");
        }
    });
}

#[test]
fn a_redirect_to_another_host_is_not_followed() {
    run(async {
        let elsewhere = Faulty::start([]).await;
        elsewhere.keep(PATH, "not yours");
        for status in [301, 302, 303, 307, 308] {
            let location = format!("location: {}{PATH}\r\n", elsewhere.endpoint());
            let bench = Bench::new(always(Act::answer(status, &location, ""))).await;
            let failure = refused!(bench.read().await, InvalidSettings);
            assert_eq!(failure.subject.as_deref(), Some("endpoint"), "{failure:?}");
            assert!(elsewhere.seen().is_empty(), "{status} was followed");
        }
    });
}

#[test]
fn a_wrong_clock_is_set_by_the_services() {
    run(async {
        // 2030-01-01T00:00:00Z, far from now.
        let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>";
        let skewed = Act::answer(403, "date: Tue, 01 Jan 2030 00:00:00 GMT\r\n", body);
        let bench = Bench::new([skewed]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        let seen = bench.server.seen();
        assert_eq!(seen.len(), 2);
        let year = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 31_556_952 + 1970;
        let first = seen[0].header("x-amz-date").unwrap();
        assert!(first.starts_with(&year.to_string()), "{first}");
        let second = seen[1].header("x-amz-date").unwrap();
        assert!(second.starts_with("20300101T00"), "{second}");
        assert!(seen[1].header("authorization").unwrap().contains("/20300101/eu-central-1/s3/"));
        // It is remembered: the next call is right at once.
        assert_eq!(bench.read().await.unwrap(), b"right");
        let seen = bench.server.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen[2].header("x-amz-date").unwrap().starts_with("20300101T00"));
        bench.ends_well().await;
    });
}

#[test]
fn a_clock_that_stays_wrong_is_not_argued_with_for_ever() {
    run(async {
        let body = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
        let bench = Bench::new(vec![Act::answer(403, "date: Tue, 01 Jan 2030 00:00:00 GMT\r\n", body); 20]).await;
        let error = bench.read().await.unwrap_err();
        assert!(error.failure().is_some(), "{error:?}");
        assert!(bench.requests() <= TRIES + 1, "{} requests", bench.requests());
    });
}
