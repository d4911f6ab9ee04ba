use super::*;

fn head(status: u16, headers: &[(&str, &str)]) -> Head<'static> {
    let headers = headers.iter().map(|(n, v)| (n.to_string().into(), v.to_string().into())).collect();
    Head { status, headers }
}

#[test]
fn range_is_truncated_at_the_end_of_the_blob() {
    let span = |start, end| Some(Span { start, end });
    assert_eq!(resolve_range(ByteRange::Whole, 0), span(0, 0));
    assert_eq!(resolve_range(ByteRange::From(0), 0), None);
    assert_eq!(resolve_range(ByteRange::From(3), 3), None);
    assert_eq!(resolve_range(ByteRange::Last(9), 3), span(0, 3));
    assert_eq!(resolve_range(ByteRange::Within(Span { start: 1, end: 9 }), 3), span(1, 3));
    assert_eq!(resolve_range(ByteRange::Within(Span { start: 5, end: 9 }), 3), None);
}

#[test]
fn response_header_size_is_limited() {
    let many = Head { status: 200, headers: vec![("a".into(), "b".into()); MAX_HEADERS + 1] };
    let large = Head { status: 200, headers: vec![("a".into(), "b".repeat(MAX_HEADER_BYTES).into())] };
    assert!(many.check_size().is_err() && large.check_size().is_err());
    assert!(head(200, &[("a", "b")]).check_size().is_ok());
}

#[test]
fn properties_are_those_that_http_defines() {
    let fields =
        [("ETag", "\"e\""), ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"), ("content-type", "text/plain")];
    let info = properties(&head(200, &fields), 42).unwrap();
    assert_eq!(
        (info.size, info.etag.as_deref(), info.last_modified, info.content_type.as_deref()),
        (42, Some("\"e\""), Some(1_445_412_480.into()), Some("text/plain"))
    );
    assert!(properties(&head(200, &[("etag", &"x".repeat(1025))]), 1).is_err());
}
