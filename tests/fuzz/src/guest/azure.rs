//! The plugin for Azure: its parsers, and every operation by `begin` and `resume`, as `sans_io` does with the S3 plugin.

use arbitrary::{Arbitrary, Result, Unstructured};
use sandbucket_azure::documents::{batch, block_list, container, listing};
use sandbucket_azure::service_error::{self, Authorization};
use sandbucket_azure::upload_id::{Properties, UploadId};
use sandbucket_azure::{Azure, attributes};
use sandbucket_plugin::contract::error::Kind;
use sandbucket_plugin::contract::model::{Operation, Pair};
use sandbucket_plugin::http::request::Method;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::machine::TransportError;
use sandbucket_plugin::xml;

use super::operation::Arguments;
use super::sans_io::{Plugin, steps};
use super::service::{Response, SECRET_KEY};

const PLUGIN: Plugin = Plugin {
    settings,
    arguments: Arguments {
        attributes: || attributes::TABLE.iter().map(|attribute| attribute.name).collect(),
        upload: |u| if u.ratio(1, 4)? { String::arbitrary(u) } else { Ok(upload().write().expect("a short id")) },
        etag: || upload().part_etag(1, 5),
    },
    response,
    methods,
};

/// A store, and an operation on it, step by step; and the same input as a document.
pub fn guest_azure(data: &[u8]) {
    // The steps end with the input.
    let _ = steps::<Azure>(&mut Unstructured::new(data), &PLUGIN);
    documents(data);
}

fn documents(body: &[u8]) {
    let head = Head { status: 202, headers: vec![("content-type".into(), "multipart/mixed; boundary=b".into())] };
    service_error::error_response(&head, body, Authorization::SharedKey, 0);
    let _ = batch::parts(&head, &String::from_utf8_lossy(body));
    if let Ok(page) = xml::document(body, listing::ROOT) {
        let page = page.root();
        let _ = (listing::list(&page, "t/", Some("t"), None), listing::list_versions(&page, "", None, None));
        let _ = (listing::uncommitted(&page, "t/"), listing::is_empty(&page), container::containers(&page, None));
    }
    if let Ok(list) = xml::document(body, block_list::ROOT) {
        let blocks = block_list::blocks(&list.root(), "UncommittedBlocks").unwrap_or_default();
        for id in block_list::uploads(&blocks, None, 1000).0 {
            UploadId::read(&id).expect("an id that is listed");
        }
        assert!(block_list::parts(&upload(), &blocks, 0, 1000).parts.len() <= blocks.len());
    }
    if let Ok(document) = xml::document(body, "Tags") {
        let _ = sandbucket_plugin::tags::parse(&document.root());
    }
}

fn upload() -> UploadId {
    UploadId::new([1, 2], "k", Properties { content_type: Some("text/plain".into()), ..Properties::default() })
}

fn settings(u: &mut Unstructured<'_>) -> Result<Vec<Pair>> {
    let mut settings = vec![("container", "demo".to_owned()), ("account", "demo1".to_owned())];
    match u.int_in_range(0..=2)? {
        // Base64, as keys are.
        0 => settings.push(("access-key", format!("{SECRET_KEY}AAA"))),
        1 => settings.push(("sas-token", format!("sp=rwdl&sig={SECRET_KEY}"))),
        _ => {}
    }
    for (name, value) in
        [("endpoint", "https://s3.test/demo1"), ("key-prefix", "t/"), ("checksum", "md5"), ("access-tier", "Cool")]
    {
        if bool::arbitrary(u)? {
            settings.push((name, value.to_owned()));
        }
    }
    settings.push(("max-retries", (*u.choose(&["0", "3", "100"])?).to_owned()));
    Ok(settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Any response; most are ones that Azure could send.
fn response(u: &mut Unstructured<'_>) -> Result<Response> {
    if u.is_empty() || u.ratio(1, 16)? {
        let (not_sent, retryable) = (bool::arbitrary(u)?, bool::arbitrary(u)?);
        let kind = *u.choose(&[Kind::Network, Kind::Timeout, Kind::Integrity])?;
        return Ok(Err(TransportError { kind, message: "the connection broke".into(), not_sent, retryable }));
    }
    const STATUSES: [u16; 16] = [200, 200, 200, 201, 202, 202, 206, 304, 400, 403, 404, 404, 409, 412, 416, 503];
    let status = if u.ratio(1, 8)? { u16::arbitrary(u)? } else { *u.choose(&STATUSES)? };
    let body = match u.int_in_range(0..=3)? {
        0 => Vec::new(),
        1 => Vec::arbitrary(u)?,
        _ => document(u)?.into_bytes(),
    };
    let mut head = Head { status, headers: vec![("x-ms-request-id".into(), "1".into())] };
    for _ in 0..u.int_in_range(0..=6)? {
        const FIELDS: [(&str, &str); 16] = [
            ("etag", "\"0x8DBE5B6C8B5E1F0\""),
            ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
            ("date", "Fri, 31 Dec 9999 23:59:59 GMT"),
            ("content-range", "bytes 0-4/5"),
            ("content-range", "bytes 1-18446744073709551614/18446744073709551615"),
            ("content-length", "18446744073709551615"),
            ("content-type", "multipart/mixed; boundary=b"),
            ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
            ("retry-after", "18446744073709551615"),
            ("x-ms-error-code", "BlobNotFound"),
            ("x-ms-error-code", "ServerBusy"),
            ("x-ms-copy-status", "pending"),
            ("x-ms-copy-id", "1"),
            ("x-ms-meta-a", "=?UTF-8?Q?=C3=A9?="),
            ("x-ms-version-id", "2023-11-14T22:13:20.1Z"),
            ("location", "http://169.254.169.254/"),
        ];
        let (name, value) = *u.choose(&FIELDS)?;
        let value = if u.ratio(1, 4)? { String::arbitrary(u)? } else { value.to_owned() };
        head.headers.push((name.into(), value.into()));
    }
    if !u.ratio(1, 8)? {
        head.headers.push(("content-length".into(), body.len().to_string().into()));
    }
    let chunks = if body.is_empty() { vec![] } else { vec![body] };
    Ok(Ok((head, chunks)))
}

fn document(u: &mut Unstructured<'_>) -> Result<String> {
    const DOCUMENTS: [&str; 7] = [
        "<Error><Code>$</Code><Message>words</Message></Error>",
        "<EnumerationResults><Blobs><Blob><Name>t/$</Name><Properties><Content-Length>0</Content-Length></Properties></Blob>\
         <BlobPrefix><Name>p/</Name></BlobPrefix></Blobs><NextMarker>$</NextMarker></EnumerationResults>",
        "<EnumerationResults><Blobs><Blob><Name>$</Name><VersionId>v</VersionId><Properties><Content-Length>5</Content-Length>\
         </Properties></Blob></Blobs><NextMarker>$</NextMarker></EnumerationResults>",
        "<EnumerationResults><Containers><Container><Name>$</Name></Container></Containers><NextMarker>$</NextMarker>\
         </EnumerationResults>",
        "<BlockList><CommittedBlocks><Block><Name>#</Name><Size>5</Size></Block></CommittedBlocks><UncommittedBlocks><Block>\
         <Name>$</Name><Size>5</Size></Block><Block><Name>#</Name><Size>5</Size></Block></UncommittedBlocks></BlockList>",
        "<Tags><TagSet><Tag><Key>$</Key><Value>$</Value></Tag></TagSet></Tags>",
        "--b\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n--b\r\nContent-ID: $\r\n\r\nHTTP/1.1 404 No\r\n\
         x-ms-error-code: $\r\n\r\n--b--",
    ];
    const WORDS: [&str; 9] = [
        "k",
        "1",
        "18446744073709551615",
        "ServerBusy",
        "AuthenticationFailed",
        "",
        "ConditionNotMet",
        "#",
        "BlobNotFound",
    ];
    let document = *u.choose(&DOCUMENTS)?;
    let word = if u.ratio(1, 3)? { String::arbitrary(u)? } else { (*u.choose(&WORDS)?).to_owned() };
    Ok(document.replace('$', &word).replace('#', &upload().block(1)))
}

fn methods(operation: &Operation) -> &'static [Method] {
    match operation {
        Operation::Head { .. } | Operation::BucketExists { .. } => &[Method::Head],
        Operation::Get { .. } => &[Method::Get, Method::Head],
        Operation::List { .. }
        | Operation::ListVersions { .. }
        | Operation::GetTags { .. }
        | Operation::ListParts { .. }
        | Operation::ListUploads { .. }
        | Operation::ListBuckets { .. } => &[Method::Get],
        Operation::Put { .. } | Operation::Copy { .. } | Operation::CopyPart { .. } => &[Method::Put, Method::Head],
        Operation::CreateBucket { .. } | Operation::UploadPart { .. } | Operation::SetTags { .. } => &[Method::Put],
        Operation::Delete { .. } => &[Method::Delete],
        Operation::AbortUpload { .. } | Operation::CompleteUpload { .. } => &[Method::Put, Method::Get],
        Operation::DeleteMany { .. } => &[Method::Post, Method::Delete],
        Operation::DeleteBucket { .. } => &[Method::Delete, Method::Get],
        Operation::CreateUpload { .. } | Operation::Presign { .. } => &[],
    }
}
