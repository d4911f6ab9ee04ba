use super::*;

fn head(status: u16, headers: &[(&str, &str)]) -> Head<'static> {
    Head { status, headers: headers.iter().map(|(n, v)| (n.to_string().into(), v.to_string().into())).collect() }
}

fn of(status: u16, body: &str) -> (ServiceResponse, Classification) {
    let head = head(status, &[]);
    let response = parse(&head, body.as_bytes(), "us-east-1");
    let class = classify(Method::Get, &head, &response, false);
    (response, class)
}

const NO_SUCH_KEY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
    <Message>The key &quot;a&amp;b&quot; is&#x20;missing</Message><Resource>/b/k</Resource>\
    <RequestId>R1</RequestId><HostId>H</HostId></Error>";

#[test]
fn an_s3_error_is_read() {
    let (response, class) = of(404, NO_SUCH_KEY);
    assert_eq!(response.code.as_deref(), Some("NoSuchKey"));
    assert_eq!(response.message.as_deref(), Some("The key \"a&b\" is missing"));
    assert_eq!(response.request_id.as_deref(), Some("R1"));
    assert_eq!(class.kind, Kind::NotFound);
}

#[test]
fn a_namespace_an_outer_element_and_cdata_do_not_matter() {
    let (response, _) = of(
        400,
        "\u{feff} <s:ErrorResponse xmlns:s=\"x\"><s:Error><s:Message><![CDATA[a < b]]></s:Message>\
         <s:Code>Odd</s:Code></s:Error><s:RequestId>no</s:RequestId></s:ErrorResponse>",
    );
    assert_eq!((response.code.as_deref(), response.message.as_deref()), (Some("Odd"), Some("a < b")));
}

#[test]
fn what_is_no_xml_is_no_panic_and_no_code() {
    let nested = "<a>".repeat(10_000);
    let bomb = "<!DOCTYPE e [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Error><Message>&b;</Message></Error>";
    for body in [
        "",
        "not xml",
        "{\"code\":\"NoSuchKey\"}",
        "<html><head><title>502 Bad Gateway</title></head><body><hr>nginx<br></body></html>",
        "<Error><Code>NoSuch",
        "<Error",
        "</Error></Error>",
        "<",
        "<<<>>>&&&",
        "\0\0\0",
        &nested,
        bomb,
    ] {
        let (response, _) = of(500, body);
        assert_eq!(response.code, None, "{body:.40}");
    }
    let garbage: Vec<u8> = (0..=255).cycle().take(MAX_BODY * 2).collect();
    assert_eq!(parse(&head(500, &[]), &garbage, "").code, None);
}

#[test]
fn a_broken_off_error_gives_what_came() {
    let (response, _) = of(404, "<Error><Code>NoSuchKey</Code><Message>The k");
    assert_eq!((response.code.as_deref(), response.message), (Some("NoSuchKey"), None));
}

#[test]
fn words_are_bounded_and_cleaned() {
    let long = format!("<Error><Code>X\u{1b}[2J</Code><Message>{}</Message></Error>", "é".repeat(5000));
    let (response, _) = of(400, &long);
    assert_eq!(response.code.as_deref(), Some("X [2J"));
    assert_eq!(response.message.unwrap().len(), MAX_MESSAGE);
    // What lies beyond the bound is not read at all.
    let far = format!("<Error><Message>{}</Message><Code>Far</Code></Error>", "a".repeat(MAX_BODY));
    assert_eq!(of(400, &far).0.code, None);
}

#[test]
fn the_wrong_region_is_told_with_the_right_one() {
    let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
    for (status, headers, body) in [
        (301, &[("x-amz-bucket-region", "eu-west-1")][..], ""),
        (400, &[("x-amz-bucket-region", "eu-west-1")], ""),
        (307, &[("x-amz-bucket-region", "eu-west-1")], ""),
        (400, &[], malformed),
    ] {
        let head = head(status, headers);
        let response = parse(&head, body.as_bytes(), "us-east-1");
        let class = classify(Method::Head, &head, &response, false);
        assert_eq!(response.region.as_deref(), Some("eu-west-1"));
        assert_eq!((class.kind, class.subject), (Kind::InvalidSettings, Some("region")));
        assert!(class.advice.contains("region = \"eu-west-1\""), "{}", class.advice);
    }
    // Our own region in an response blames nothing, and what is no region's name is not repeated.
    assert_eq!(parse(&head(400, &[("x-amz-bucket-region", "us-east-1")]), b"", "us-east-1").region, None);
    assert_eq!(parse(&head(400, &[("x-amz-bucket-region", "a\" b")]), b"", "us-east-1").region, None);
}

#[test]
fn status_and_code_decide_the_case() {
    let coded = |code: &str| format!("<Error><Code>{code}</Code></Error>");
    for (status, code, kind, subject) in [
        (404, "NoSuchBucket", Kind::NotFound, Some("bucket")),
        (403, "AccessDenied", Kind::AccessDenied, None),
        (403, "InvalidAccessKeyId", Kind::AccessDenied, Some("access-key")),
        (403, "SignatureDoesNotMatch", Kind::AccessDenied, Some("secret-key")),
        (400, "ExpiredToken", Kind::AccessDenied, Some("security-token")),
        (400, "InvalidToken", Kind::AccessDenied, Some("security-token")),
        (503, "SlowDown", Kind::Throttled, None),
        (400, "RequestTimeout", Kind::Timeout, None),
        (409, "ConditionalRequestConflict", Kind::Conflict, None),
        (400, "EntityTooLarge", Kind::TooLarge, None),
        (400, "BadDigest", Kind::Integrity, None),
        (501, "NotImplemented", Kind::Unsupported, None),
        (400, "InvalidBucketName", Kind::InvalidSettings, Some("bucket")),
        (301, "PermanentRedirect", Kind::InvalidSettings, Some("endpoint")),
        (400, "SomethingNew", Kind::Service, None),
        (500, "InternalError", Kind::Service, None),
    ] {
        let class = of(status, &coded(code)).1;
        assert_eq!((class.kind, class.subject), (kind, subject), "{code}");
    }
    for (status, kind) in [
        (304, Kind::NotModified),
        (302, Kind::InvalidSettings),
        (401, Kind::AccessDenied),
        (403, Kind::AccessDenied),
        (404, Kind::NotFound),
        (405, Kind::Unsupported),
        (408, Kind::Timeout),
        (412, Kind::PreconditionFailed),
        (413, Kind::TooLarge),
        (416, Kind::InvalidRange),
        (418, Kind::Service),
        (429, Kind::Throttled),
        (503, Kind::Service),
        (999, Kind::Service),
    ] {
        assert_eq!(of(status, "").1.kind, kind, "{status}");
    }
}

#[test]
fn a_delete_marker_is_not_found() {
    let head = head(405, &[("x-amz-delete-marker", "true")]);
    let response = parse(&head, b"<Error><Code>MethodNotAllowed</Code></Error>", "");
    assert_eq!(classify(Method::Get, &head, &response, false).kind, Kind::NotFound);
}

#[test]
fn without_credentials_the_advice_is_to_give_some() {
    let head = head(403, &[]);
    for body in
        ["", "<html>", "<Error><Code>AccessDenied</Code></Error>", "<Error><Code>AllAccessDisabled</Code></Error>"]
    {
        let response = parse(&head, body.as_bytes(), "");
        let anonymous = classify(Method::Get, &head, &response, true);
        assert_eq!(anonymous.subject, Some("access-key"));
        assert!(anonymous.advice.contains("anonymous") && !anonymous.advice.contains("check the keys"), "{body}");
        assert!(classify(Method::Get, &head, &response, false).advice.contains("check the keys"), "{body}");
    }
}
