//! Random input for every parser of data from services and operators: no parser may panic, loop endlessly, or accept truncated
//! documents. (Runs with the other tests, unlike the fuzzers, which need a nightly compiler.)

use proptest::prelude::*;
use sandbucket_plugin::content;
use sandbucket_plugin::contract::model::{ByteRange, Span};
use sandbucket_plugin::http::request::Method;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::http::time;
use sandbucket_plugin::settings::duration;
use sandbucket_plugin::xml;
use sandbucket_s3::continuation::{Page, Versions};
use sandbucket_s3::documents::{delete_many, listing, multipart};
use sandbucket_s3::endpoint::{AddressingStyle, AwsHosts, Endpoint};
use sandbucket_s3::ops::retry;
use sandbucket_s3::requests::DeleteEntry;
use sandbucket_s3::response;
use sandbucket_s3::service_error;
use sandbucket_s3::settings;

/// One response of each operation, as Amazon S3 writes it but shorter.
const DOCUMENTS: [&str; 10] = [
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
     <Name>demo</Name><Prefix>p%2F</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><EncodingType>url</EncodingType>\
     <IsTruncated>true</IsTruncated><NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=\
     </NextContinuationToken><Contents><Key>p%2Fa+b</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>\
     <ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>\
     <Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>p%2Fq%2F</Prefix>\
     </CommonPrefixes></ListBucketResult>",
    "<ListVersionsResult><Name>demo</Name><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
     <NextVersionIdMarker>v2</NextVersionIdMarker><Version><Key>k</Key><VersionId>v3</VersionId><IsLatest>true\
     </IsLatest><LastModified>2009-10-12T17:50:30Z</LastModified><ETag>\"e\"</ETag><Size>1</Size></Version>\
     <DeleteMarker><Key>k</Key><VersionId>v2</VersionId><IsLatest>false</IsLatest></DeleteMarker></ListVersionsResult>",
    "<DeleteResult><Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker></Deleted><Error><Key>b</Key><Code>AccessDenied\
     </Code><Message>Access Denied</Message></Error></DeleteResult>",
    "<Tagging><TagSet><Tag><Key>a</Key><Value>1 &amp; 2</Value></Tag></TagSet></Tagging>",
    "<InitiateMultipartUploadResult><Bucket>demo</Bucket><Key>k</Key><UploadId>VXBsb2FkIElE</UploadId>\
     </InitiateMultipartUploadResult>",
    "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker><Part><PartNumber>2\
     </PartNumber><LastModified>2010-11-10T20:48:34.000Z</LastModified><ETag>\"e\"</ETag><Size>10485760</Size>\
     <ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></Part></ListPartsResult>",
    "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u\
     </NextUploadIdMarker><Upload><Key>k</Key><UploadId>u</UploadId><Initiated>2010-11-10T20:48:33.000Z</Initiated>\
     </Upload></ListMultipartUploadsResult>",
    "<CompleteMultipartUploadResult><Location>http://demo.s3.amazonaws.com/k</Location><ETag>\"e-2\"</ETag>\
     </CompleteMultipartUploadResult>",
    "<CopyObjectResult><LastModified>2009-10-28T22:32:00</LastModified><ETag>\"9b2cf535f27731c974343645a3985328\"</ETag>\
     </CopyObjectResult>",
    "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>The resource you requested does not exist</Message>\
     <Resource>/demo/k</Resource><RequestId>4442587FB7D0A2F9</RequestId></Error>",
];

/// Parses the bytes as every document. Returns whether any parser accepted them.
fn read_as_all(body: &[u8]) -> bool {
    let head = Head { status: 200, headers: vec![] };
    let response = service_error::parse(&head, body, "us-east-1");
    service_error::classify(Method::Get, &head, &response, false);
    retry::decide(&head, &response, 0, true);
    service_error::is_error_document(body);
    let mut read = false;
    for name in DOCUMENTS.map(root) {
        let Ok(document) = xml::document(body, name) else { continue };
        let document = document.root();
        let entries = [DeleteEntry { key: "a", version: None }, DeleteEntry { key: "b", version: Some("v") }];
        read |= listing::list(&document, "", None).is_ok();
        read |= listing::list_versions(&document, "p/", None).is_ok();
        read |= delete_many::delete_many(&document, &entries).is_ok_and(|fates| fates.len() == 2);
        read |= sandbucket_plugin::tags::parse(&document).is_ok();
        read |= multipart::upload_id(&document).is_ok() | multipart::etag(&document).is_ok();
        read |= multipart::parts(&document, None).is_ok()
            | multipart::uploads(&document, &Head::default(), "", None).is_ok();
        let _ = multipart::checksums(&document);
    }
    read
}

/// Name of a document's root element.
fn root(document: &'static str) -> &'static str {
    let start = document.rfind("?>").map_or(0, |end| end + 2);
    let name = document[start..].trim_start().trim_start_matches('<');
    &name[..name.find([' ', '>']).unwrap()]
}

/// A document with some bytes changed, removed, doubled or inserted.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (0..4_u8, any::<prop::sample::Index>(), 0..40_usize, prop::collection::vec(any::<u8>(), 0..12));
    (0..DOCUMENTS.len(), prop::collection::vec(edit, 1..8)).prop_map(|(which, edits)| {
        let mut body = DOCUMENTS[which].as_bytes().to_vec();
        for (kind, at, length, bytes) in edits {
            let at = at.index(body.len() + 1);
            let end = (at + length).min(body.len());
            match kind {
                0 => drop(body.splice(at..end, bytes)),
                1 => drop(body.drain(at..end)),
                2 => {
                    let again = body[at..end].to_vec();
                    drop(body.splice(at..at, again));
                }
                _ => body.truncate(at),
            }
        }
        body
    })
}

/// Names and values of response headers, valid and invalid.
fn head() -> impl Strategy<Value = Head<'static>> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "content-length",
            "Content-Range",
            "etag",
            "last-modified",
            "date",
            "retry-after",
            "x-amz-meta-a",
            "x-amz-version-id",
            "x-amz-bucket-region",
            "x-amz-checksum-crc32",
            "x-amz-checksum-sha256",
            "x-amz-checksum-type",
            "content-encoding",
            "location",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,20}",
    ];
    let value = prop_oneof![
        "[0-9]{0,25}",
        "bytes [0-9]{0,20}-[0-9]{0,20}/[0-9*]{0,20}",
        "(Mon|Tue), [0-9]{1,2} (Nov|Xxx) [0-9]{1,6} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
        "=\\?[uU][tT][fF]-8\\?[bBqQ]\\?[A-Za-z0-9+/=_?]{0,30}\\?=",
        "[A-Za-z0-9+/=,; -]{0,40}",
        "\\PC{0,40}",
    ];
    (any::<u16>(), prop::collection::vec((name, value), 0..12)).prop_map(
        |(status, headers): (_, Vec<(String, String)>)| Head {
            status,
            headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        },
    )
}

fn range() -> impl Strategy<Value = ByteRange> {
    prop_oneof![
        Just(ByteRange::Whole),
        any::<u64>().prop_map(ByteRange::From),
        any::<u64>().prop_map(ByteRange::Last),
        any::<(u64, u64)>().prop_map(|(start, end)| ByteRange::Within(Span { start, end })),
    ]
}

#[test]
fn documents_are_parsed_whole_and_rejected_if_truncated() {
    for document in DOCUMENTS {
        let name = root(document);
        assert!(xml::document(document.as_bytes(), name).is_ok(), "{name}");
        if name != "Error" {
            assert!(read_as_all(document.as_bytes()), "{name}");
        }
        for end in 0..document.len() {
            assert!(xml::document(&document.as_bytes()[..end], name).is_err(), "{name} up to {end}");
            read_as_all(&document.as_bytes()[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn corrupted_documents_never_panic(body in mutated()) {
        read_as_all(&body);
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        read_as_all(&body);
    }

    #[test]
    fn random_xml_never_panics(text in "(<[a-zA-Z/?!\\[ ]{0,9}>?|&[#a-z0-9]{0,8};?|\\]\\]>|--|[ -~]|\\PC){0,40}") {
        read_as_all(text.as_bytes());
    }

    #[test]
    fn response_headers_never_panic(head in head(), range in range(), body in prop::collection::vec(any::<u8>(), 0..20)) {
        let _ = head.check_size();
        let _ = head.content_length();
        response::attributes(&head);
        let _ = response::written(&head);
        let _ = response::blob_info(&head);
        // A range is inside the blob and not reversed.
        if let Ok((info, span)) = response::blob_part(&head, range) {
            prop_assert!(span.start <= span.end && span.end <= info.size);
        }
        if let Ok((info, span)) = response::blob_part(&head, range)
            && let Some(digest) = response::checksum_of(&head, span, info.size)
        {
            let _ = content::verify(&digest, &body);
        }
        let response = service_error::parse(&head, &body, "us-east-1");
        service_error::classify(Method::Head, &head, &response, true);
        retry::decide(&head, &response, 1_700_000_000, true);
    }

    #[test]
    fn dates_never_panic(text in "[0-9TZ:+. -]{0,40}|\\PC{0,30}") {
        time::date(&text);
        sandbucket_plugin::retry::retry_after(&text, 1_700_000_000);
        let _ = duration::parse(&text);
    }

    #[test]
    fn endpoints_never_panic(
        endpoint in "(https?://)?[a-zA-Z0-9.:/@\\[\\]_?#%-]{0,40}|\\PC{0,30}",
        region in "[a-z0-9-]{0,20}|\\PC{0,10}",
        bucket in "(arn:aws:s3:)?[a-z0-9:./-]{0,60}|\\PC{0,20}",
        hosts in any::<(bool, bool, bool)>(),
    ) {
        let hosts = AwsHosts { dual_stack: hosts.0, fips: hosts.1, accelerate: hosts.2 };
        for style in [AddressingStyle::Auto, AddressingStyle::Path, AddressingStyle::Virtual] {
            let Ok(found) = Endpoint::resolve(Some(&endpoint), &region, &bucket, style, hosts) else { continue };
            // The result is an authority and a path that the crate http accepts unchanged.
            let uri: http::Uri = format!("http://{}{}", found.authority, found.object_path("k")).parse().unwrap();
            prop_assert_eq!(uri.authority().unwrap().as_str(), found.authority);
        }
    }

    #[test]
    fn continuations_and_settings_never_panic(text in "\\PC{0,60}", name in "[a-z-]{0,20}") {
        let _ = (Page::read(&text), Versions::read(&text));
        let _ = settings::parse(&[("bucket".into(), "demo".into()), (name, text)]);
    }
}
