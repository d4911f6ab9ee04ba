//! Services that reject requests, redirect them, or have another clock.

use super::*;

#[test]
fn error_response_during_the_request_body_is_returned() {
    run(async {
        let body = "<Error><Code>QuotaExceeded</Code><Message>full</Message></Error>";
        let act = Act::respond(403, "connection: close\r\n", body).before_body().then_close();
        let bench = Bench::new([act]).await;
        let failure = refused!(bench.store.put("k", vec![7; 16 << 20]).await, AccessDenied);
        is_decent(&failure, 1);
        assert_eq!(code(&failure), Some("QuotaExceeded"));
        bench.ends_well().await;
    });
}

#[test]
fn wrong_region_error_names_the_right_region() {
    run(async {
        let moved = Act::respond(
            301,
            "x-amz-bucket-region: ap-southeast-2\r\n",
            "<Error><Code>PermanentRedirect</Code><Endpoint>elsewhere.example</Endpoint></Error>",
        );
        let malformed = Act::respond(
            400,
            "",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'eu-central-1' is wrong; expecting \
             'ap-southeast-2'</Message><Region>ap-southeast-2</Region></Error>",
        );
        let bare = Act::respond(400, "x-amz-bucket-region: ap-southeast-2\r\n", "");
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
fn redirect_to_another_host_is_not_followed() {
    run(async {
        let other_endpoint = Faulty::start([]).await;
        other_endpoint.keep(PATH, "not yours");
        for status in [301, 302, 303, 307, 308] {
            let location = format!("location: {}{PATH}\r\n", other_endpoint.endpoint());
            let bench = Bench::new(always(Act::respond(status, &location, ""))).await;
            let failure = refused!(bench.read().await, InvalidSettings);
            assert_eq!(failure.subject.as_deref(), Some("endpoint"), "{failure:?}");
            assert!(other_endpoint.seen().is_empty(), "{status} was followed");
        }
    });
}

#[test]
fn clock_skew_is_corrected_by_the_services_date() {
    run(async {
        // A full hour that is 6 to 7 hours from now.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let later = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs((now / 3600 + 7) * 3600));
        let (day, hour) = day_and_hour(&later);
        let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>";
        let skewed = Act::respond(403, &format!("date: {later}\r\n"), body);
        let bench = Bench::new([skewed]).await;
        assert_eq!(bench.read().await.unwrap(), b"right");
        let seen = bench.server.seen();
        assert_eq!(seen.len(), 2);
        let first = seen[0].header("x-amz-date").unwrap();
        assert!(!first.starts_with(&format!("{day}T{hour}")), "{first}");
        let second = seen[1].header("x-amz-date").unwrap();
        assert!(second.starts_with(&format!("{day}T{hour}")), "{second}");
        assert!(seen[1].header("authorization").unwrap().contains(&format!("/{day}/eu-central-1/s3/")));
        // The correction is kept: the next call is signed correctly at once.
        assert_eq!(bench.read().await.unwrap(), b"right");
        let seen = bench.server.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen[2].header("x-amz-date").unwrap().starts_with(&format!("{day}T{hour}")));
        bench.ends_well().await;
    });
}

/// `20300101` and `00` of `Tue, 01 Jan 2030 00:00:00 GMT`.
fn day_and_hour(date: &str) -> (String, String) {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = date.split(' ').collect();
    let month = months.iter().position(|month| *month == parts[2]).unwrap() + 1;
    (format!("{}{month:02}{}", parts[3], parts[1]), parts[4][..2].to_owned())
}

#[test]
fn clock_skew_of_years_over_plain_http_is_not_corrected() {
    run(async {
        let body = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
        for date in ["Tue, 01 Jan 2036 00:00:00 GMT", "Tue, 01 Jan 2013 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"]
        {
            let bench = Bench::new([Act::respond(403, &format!("date: {date}\r\n"), body)]).await;
            let failure = refused!(bench.read().await, AccessDenied);
            is_decent(&failure, 1);
            assert!(
                failure.message.contains(" days and ") && failure.message.contains("set this machine's clock"),
                "{failure:?}"
            );
            // Later requests are signed with the local clock.
            assert_eq!(bench.read().await.unwrap(), b"right");
            let seen = bench.server.seen();
            let days = |n: usize| seen[n].header("x-amz-date").unwrap()[..6].to_owned();
            assert_eq!(days(0), days(1));
            bench.ends_well().await;
        }
    });
}

#[test]
fn retry_after_of_centuries_ends_the_call_at_once() {
    run(async {
        for seconds in ["1000000000000000000", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            let act = Act::respond(503, &format!("retry-after: {seconds}\r\n"), "<Error><Code>SlowDown</Code></Error>");
            let bench = Bench::new([act]).await;
            let failure = refused!(bench.read().await, Throttled);
            is_decent(&failure, 1);
            assert!(failure.message.contains("no call waits more than 900 s"), "{failure:?}");
            bench.ends_well().await;
        }
    });
}

#[test]
fn customer_key_is_not_sent_over_plain_http_unless_allowed() {
    run(async {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let bench = Bench::new([]).await;
        let get = bench.store.get("k").attribute("sse-customer-key", key).await.map(drop);
        let put = bench.store.put("k", "x").attribute("sse-customer-key", key).await.map(drop);
        let head = bench.store.head("k").attribute("sse-customer-key", key).await.map(drop);
        let copy = bench.store.copy("k", "l").attribute("source-sse-customer-key", key).await.map(drop);
        let presign = bench.store.presign(sandbucket::PresignedMethod::Get, "k");
        let presign = presign.attribute("sse-customer-key", key).await.map(drop);
        for refused in [get, put, head, copy, presign] {
            let failure = refused!(refused, InvalidArgument);
            assert!(failure.message.contains("allow-insecure-sse-customer-key"), "{failure:?}");
            assert!(!format!("{failure:?}").contains(key), "the key shows");
        }
        assert_eq!(bench.requests(), 0);
        let bench = Bench::with([], &[("sse-customer-key", key), ("allow-insecure-sse-customer-key", "true")]).await;
        bench.read().await.unwrap();
        assert_eq!(bench.server.seen()[0].header("x-amz-server-side-encryption-customer-key"), Some(key));
    });
}

#[test]
fn lasting_clock_skew_ends_in_an_error() {
    run(async {
        let body = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
        let bench = Bench::new(vec![Act::respond(403, "date: Tue, 01 Jan 2030 00:00:00 GMT\r\n", body); 20]).await;
        let error = bench.read().await.unwrap_err();
        assert!(error.failure().is_some(), "{error:?}");
        assert!(bench.requests() <= ATTEMPTS + 1, "{} requests", bench.requests());
    });
}
