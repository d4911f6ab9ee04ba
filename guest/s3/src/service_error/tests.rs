use super::*;

fn head(status: u16, headers: &[(&str, &str)]) -> Head<'static> {
    Head { status, headers: headers.iter().map(|(n, v)| (n.to_string().into(), v.to_string().into())).collect() }
}

fn parsed(status: u16, body: &str) -> (ServiceResponse, Classification) {
    let head = head(status, &[]);
    let response = parse(&head, body.as_bytes(), "us-east-1");
    let class = classify(Method::Get, &head, &response, false);
    (response, class)
}

const NO_SUCH_KEY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
    <Message>The key &quot;a&amp;b&quot; is&#x20;missing</Message><Resource>/b/k</Resource>\
    <RequestId>R1</RequestId><HostId>H</HostId></Error>";

#[test]
fn s3_error_document_is_parsed() {
    let (response, class) = parsed(404, NO_SUCH_KEY);
    assert_eq!(response.code.as_deref(), Some("NoSuchKey"));
    assert_eq!(response.message.as_deref(), Some("The key \"a&b\" is missing"));
    assert_eq!(response.request_id.as_deref(), Some("R1"));
    assert_eq!(class.kind, Kind::NotFound);
}

#[test]
fn error_is_parsed_with_namespace_outer_element_or_cdata() {
    let (response, _) = parsed(
        400,
        "\u{feff} <s:ErrorResponse xmlns:s=\"x\"><s:Error><s:Message><![CDATA[a < b]]></s:Message>\
         <s:Code>Odd</s:Code></s:Error><s:RequestId>no</s:RequestId></s:ErrorResponse>",
    );
    assert_eq!((response.code.as_deref(), response.message.as_deref()), (Some("Odd"), Some("a < b")));
}

#[test]
fn body_that_is_not_xml_has_no_code() {
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
        let (response, _) = parsed(500, body);
        assert_eq!(response.code, None, "{body:.40}");
    }
    let garbage: Vec<u8> = (0..=255).cycle().take(MAX_ERROR_BODY * 2).collect();
    assert_eq!(parse(&head(500, &[]), &garbage, "").code, None);
}

#[test]
fn truncated_error_document_is_parsed_as_far_as_it_goes() {
    let (response, _) = parsed(404, "<Error><Code>NoSuchKey</Code><Message>The k");
    assert_eq!((response.code.as_deref(), response.message), (Some("NoSuchKey"), None));
}

#[test]
fn code_and_message_are_truncated_and_sanitized() {
    let long = format!("<Error><Code>X\u{1b}[2J</Code><Message>{}</Message></Error>", "é".repeat(5000));
    let (response, _) = parsed(400, &long);
    assert_eq!(response.code.as_deref(), Some("X [2J"));
    assert_eq!(response.message.unwrap().len(), MAX_MESSAGE);
    // Text beyond the limit is not parsed.
    let far = format!("<Error><Message>{}</Message><Code>Far</Code></Error>", "a".repeat(MAX_ERROR_BODY));
    assert_eq!(parsed(400, &far).0.code, None);
}

#[test]
fn wrong_region_error_names_the_right_one() {
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
    // The own region in a response is no cause, and an invalid region is not repeated.
    assert_eq!(parse(&head(400, &[("x-amz-bucket-region", "us-east-1")]), b"", "us-east-1").region, None);
    assert_eq!(parse(&head(400, &[("x-amz-bucket-region", "a\" b")]), b"", "us-east-1").region, None);
}

#[test]
fn status_and_code_determine_the_error_kind() {
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
        let class = parsed(status, &coded(code)).1;
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
        assert_eq!(parsed(status, "").1.kind, kind, "{status}");
    }
}

#[test]
fn delete_marker_is_not_found() {
    let head = head(405, &[("x-amz-delete-marker", "true")]);
    let response = parse(&head, b"<Error><Code>MethodNotAllowed</Code></Error>", "");
    assert_eq!(classify(Method::Get, &head, &response, false).kind, Kind::NotFound);
}

#[test]
fn anonymous_access_denied_advises_to_set_credentials() {
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
