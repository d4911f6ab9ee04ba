//! Random input for every parser of data from services and operators: no parser may panic, loop endlessly, or accept truncated
//! documents.

use proptest::prelude::*;
use sandbucket_azure::continuation;
use sandbucket_azure::documents::{block_list, container, listing};
use sandbucket_azure::endpoint::Endpoint;
use sandbucket_azure::response;
use sandbucket_azure::service_error::{self, Authorization};
use sandbucket_azure::settings::{self, TABLE};
use sandbucket_azure::upload_id::UploadId;
use sandbucket_plugin::contract::model::{ByteRange, Span};
use sandbucket_plugin::settings::SettingValues;
use sandbucket_plugin::{Head, xml};

/// One response of each operation, as Azure writes it but shorter.
const DOCUMENTS: [&str; 6] = [
    "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://demo1.blob.core.windows.net/\" \
     ContainerName=\"demo\"><Prefix>t/</Prefix><MaxResults>2</MaxResults><Blobs><Blob><Name>t/a &amp; b</Name><Properties>\
     <Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified><Etag>0x8DBE5B6C8B5E1F0</Etag><Content-Length>5\
     </Content-Length><Content-Type>text/plain</Content-Type><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>\
     </Properties><OrMetadata /></Blob><BlobPrefix><Name>t/q/</Name></BlobPrefix></Blobs><NextMarker>2!80!MDAw</NextMarker>\
     </EnumerationResults>",
    "<EnumerationResults><Blobs><Blob><Name>t/a</Name><VersionId>2023-11-14T22:13:20.1Z</VersionId><IsCurrentVersion>true\
     </IsCurrentVersion><Properties><Content-Length>0</Content-Length></Properties></Blob></Blobs><NextMarker />\
     </EnumerationResults>",
    "<EnumerationResults><Containers><Container><Name>demo</Name><Properties/></Container></Containers><NextMarker/>\
     </EnumerationResults>",
    "<BlockList><CommittedBlocks><Block><Name>c2IxAAAAAAAAAAAAAAAAAAAAAAAAAAAB</Name><Size>5</Size></Block></CommittedBlocks>\
     <UncommittedBlocks><Block><Name>AAAA</Name><Size>7</Size></Block></UncommittedBlocks></BlockList>",
    "<Tags><TagSet><Tag><Key>a</Key><Value>1 &amp; 2</Value></Tag></TagSet></Tags>",
    "<?xml version=\"1.0\"?><Error><Code>BlobNotFound</Code><Message>The specified blob does not exist.\nRequestId:1\n\
     Time:2023-11-14T22:13:20Z</Message></Error>",
];

/// Parses the bytes as every document. Returns whether any parser accepted them.
fn read_as_all(body: &[u8]) -> bool {
    for authorization in [Authorization::SharedKey, Authorization::Sas, Authorization::Anonymous] {
        service_error::error_response(&Head { status: 403, headers: vec![] }, body, authorization, 0);
    }
    let mut read = false;
    if let Ok(document) = xml::document(body, listing::ROOT) {
        let page = document.root();
        read |= listing::list(&page, "t/", Some("t"), None).is_ok();
        read |= listing::list_versions(&page, "t/", None, None).is_ok();
        read |= listing::uncommitted(&page, "t/").is_ok();
        read |= listing::is_empty(&page).is_ok();
        read |= container::containers(&page, None).is_ok();
    }
    if let Ok(document) = xml::document(body, block_list::ROOT) {
        for kind in ["CommittedBlocks", "UncommittedBlocks"] {
            let blocks = block_list::blocks(&document.root(), kind).unwrap_or_default();
            read = true;
            for id in block_list::uploads(&blocks, None, 1000).0 {
                let upload = UploadId::read(&id).expect("an id that is listed");
                block_list::state_of(&upload, &blocks);
                assert!(block_list::parts(&upload, &blocks, 0, 1000).parts.len() <= blocks.len());
            }
        }
    }
    if let Ok(document) = xml::document(body, "Tags") {
        read |= sandbucket_plugin::tags::parse(&document.root()).is_ok();
    }
    read
}

#[test]
fn whole_documents_are_read_and_truncated_ones_are_not() {
    for document in &DOCUMENTS[..5] {
        assert!(read_as_all(document.as_bytes()), "{document}");
        for end in (0..document.len() - 1).filter(|end| document.is_char_boundary(*end)) {
            assert!(!read_as_all(&document.as_bytes()[..end]), "{}", &document[..end]);
        }
    }
    assert!(!read_as_all(DOCUMENTS[5].as_bytes()));
}

proptest! {
    #[test]
    fn changed_documents_never_panic(
        which in 0..DOCUMENTS.len(),
        at in 0..2000_usize,
        removed in 0..40_usize,
        inserted in "[<>/&;a-z0-9= \"-]{0,30}|\\PC{0,10}",
    ) {
        let mut document = DOCUMENTS[which].as_bytes().to_vec();
        let start = at % document.len();
        let end = (start + removed).min(document.len());
        document.splice(start..end, inserted.bytes());
        read_as_all(&document);
    }

    #[test]
    fn random_texts_never_panic(text in "[a-z0-9.:/@?=&%-]{0,60}|\\PC{0,60}", body: Vec<u8>) {
        read_as_all(&body);
        let _ = (continuation::read(&text), continuation::read_part(&text), UploadId::read(&text), UploadId::of_block(&text));
        let _ = (Endpoint::resolve(Some(&text), None), Endpoint::resolve(None, Some(&text)));
        for setting in TABLE {
            let pairs = [(setting.name.to_owned(), text.clone())];
            if let Ok(values) = SettingValues::collect(TABLE, &pairs) {
                let _ = settings::parse(&values);
            }
        }
    }

    #[test]
    fn random_headers_never_panic(
        status in prop_oneof![Just(200_u16), Just(206), Just(304), Just(403), Just(503)],
        values in prop::collection::vec("[0-9A-Za-z,:=/+ \"-]{0,30}|\\PC{0,20}", 12),
        length in 0..20_u64,
    ) {
        let names = [
            "content-length", "content-range", "etag", "last-modified", "date", "retry-after", "x-ms-meta-a", "x-ms-version-id",
            "content-md5", "x-ms-error-code", "x-ms-request-id", "transfer-encoding",
        ];
        let headers = names.into_iter().zip(values).map(|(name, value)| (name.into(), value.into())).collect();
        let head = Head { status, headers };
        let _ = (response::blob_info(&head), response::written(&head));
        for range in [ByteRange::Whole, ByteRange::From(length), ByteRange::Last(length), ByteRange::Within(Span { start: 1, end: length })] {
            if let Ok((info, span)) = response::blob_part(&head, range) {
                prop_assert!(span.start <= span.end && span.end <= info.size);
                response::digest(&head, span, info.size);
            }
        }
        service_error::error_response(&head, b"", Authorization::SharedKey, 0);
    }
}
