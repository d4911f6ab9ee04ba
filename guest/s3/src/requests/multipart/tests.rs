use super::*;
use crate::settings;
use sandbucket_plugin::contract::error::Kind;
use sandbucket_plugin::contract::model::{CallOptions, PartOptions, Span, WriteCondition};

fn store(more: &[(&str, &str)]) -> Settings {
    let pairs = [&[("bucket", "demo"), ("endpoint", "http://localhost")], more].concat();
    settings::parse(&pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<Vec<_>>())
        .unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
}

fn subject<T: std::fmt::Debug>(made: Result<T, Failure>) -> String {
    let fault = made.unwrap_err();
    assert_eq!(fault.kind, Kind::InvalidArgument, "{fault}");
    fault.subject.unwrap()
}

fn part(number: u32, etag: &str) -> Part {
    Part { number, etag: etag.into(), ..Part::default() }
}

#[test]
fn create_upload_sends_the_properties_of_the_blob() {
    let options = PutOptions {
        content_type: Some("text/plain".into()),
        metadata: vec![("a".into(), "1".into())],
        call: CallOptions { attributes: vec![("tags".into(), "a=b".into())], ..CallOptions::default() },
        ..PutOptions::default()
    };
    let request = create_upload(&store(&[("checksum", "crc32c")]), "k", &options).unwrap();
    assert_eq!((request.method, &*request.path_and_query()), (Method::Post, "/demo/k?uploads="));
    assert_eq!(header(&request, "x-amz-meta-a"), Some("1"));
    assert_eq!(header(&request, "x-amz-tagging"), Some("a=b"));
    assert_eq!(header(&request, "x-amz-checksum-algorithm"), Some("CRC32C"));
    let plain = create_upload(&store(&[]), "k", &PutOptions::default()).unwrap();
    assert!(plain.headers.is_empty());
    let conditional = PutOptions { condition: WriteCondition::IfAbsent, ..PutOptions::default() };
    assert_eq!(subject(create_upload(&store(&[]), "k", &conditional)), "condition");
}

#[test]
fn upload_part_sends_number_and_checksum() {
    let settings = store(&[("checksum", "crc32c")]);
    let put = |number, id: &str| {
        let content = Content::buffered(b"123456789", &[]).unwrap();
        upload_part(&settings, "k", id, number, &content, &PartOptions::default())
    };
    let request = put(3, "u/1").unwrap();
    assert_eq!(&*request.path_and_query(), "/demo/k?partNumber=3&uploadId=u%2F1");
    assert_eq!(header(&request, "x-amz-checksum-crc32c"), Some("4waSgw=="));
    for number in [0, 10_001] {
        assert_eq!(subject(put(number, "u")), "number");
    }
    assert_eq!(subject(put(1, "")), "upload");
}

#[test]
fn copy_part_sends_source_and_range() {
    let copy = |range| {
        let options = CopyPartOptions { range, ..CopyPartOptions::default() };
        copy_part(&store(&[]), "k", "u", 1, Source { bucket: None, key: "from", version: None }, &options)
    };
    let request = copy(Some(Span { start: 5, end: 10 })).unwrap();
    assert_eq!(header(&request, "x-amz-copy-source"), Some("demo/from"));
    assert_eq!(header(&request, "x-amz-copy-source-range"), Some("bytes=5-9"));
    assert_eq!(header(&copy(None).unwrap(), "x-amz-copy-source-range"), None);
    assert_eq!(subject(copy(Some(Span { start: 5, end: 5 }))), "range");
}

#[test]
fn completion_lists_parts_in_order_with_checksums() {
    let mut second = part(7, "\"b\"");
    second.attributes.push(("checksum-crc32c".into(), "4waSgw==".into()));
    let complete = |parts: &[Part]| complete_upload(&store(&[]), "k", "u", parts, &CompleteOptions::default());
    let (request, body) = complete(&[part(1, "a"), second]).unwrap();
    assert_eq!((request.method, &*request.path_and_query()), (Method::Post, "/demo/k?uploadId=u"));
    let parts = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part><Part><PartNumber>7</PartNumber>\
                 <ETag>&quot;b&quot;</ETag><ChecksumCRC32C>4waSgw==</ChecksumCRC32C></Part>";
    assert!(body.ends_with(&format!("\">{parts}</CompleteMultipartUpload>")), "{body}");
    for wrong in [vec![], vec![part(2, "a"), part(1, "b")], vec![part(1, "a"), part(1, "b")], vec![part(10_001, "a")]] {
        assert_eq!(subject(complete(&wrong)), "parts");
    }
    assert_eq!(subject(complete(&[part(1, "a\nb")])), "etag");
}

#[test]
fn continuation_resumes_lists_of_parts_and_uploads() {
    let options = ListPartsOptions { continuation: Some("t7".into()), page_size: Some(2), ..Default::default() };
    let request = list_parts(&store(&[]), "k", "u", &options).unwrap();
    assert_eq!(&*request.path_and_query(), "/demo/k?uploadId=u&max-parts=2&part-number-marker=7");
    let continuation = Some(Versions { key: "p/k", version: "u1" }.write());
    let options = ListUploadsOptions { prefix: "a".into(), continuation, ..ListUploadsOptions::default() };
    let request = list_uploads(&store(&[("key-prefix", "p/")]), &options).unwrap();
    let query = "/demo?uploads=&encoding-type=url&prefix=p%2Fa&key-marker=p%2Fk&upload-id-marker=u1";
    assert_eq!(&*request.path_and_query(), query);
    let abort = abort_upload(&store(&[]), "k", "u", &AbortOptions::default()).unwrap();
    assert_eq!((abort.method, &*abort.path_and_query()), (Method::Delete, "/demo/k?uploadId=u"));
}
