use super::*;
use sandbucket_plugin::xml::{self, Document};

fn page(inside: &str) -> Document<'static> {
    let text = format!("<ListBucketResult>{inside}</ListBucketResult>").leak();
    xml::document(text.as_bytes(), "ListBucketResult").unwrap()
}

fn read(inside: &str) -> Result<ListPage, MalformedResponse> {
    list(&page(inside).root(), "", None)
}

const FULL: &str = "<Name>demo</Name><Prefix>t/</Prefix><KeyCount>3</KeyCount><MaxKeys>3</MaxKeys>\
    <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>1ue/=</NextContinuationToken>\
    <Contents><Key>t/a+b%2Bc%0A%C3%A9</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>\
    <ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>\
    <ChecksumType>FULL_OBJECT</ChecksumType><Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents>\
    <Contents><Key>t/z</Key><Size>0</Size></Contents><CommonPrefixes><Prefix>t/photos/</Prefix></CommonPrefixes>";

#[test]
fn list_page_is_parsed_without_the_key_prefix() {
    let read = list(&page(FULL).root(), "t/", None).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        read.entries[0],
        Entry {
            key: "a b+c\né".into(),
            size: 434_234,
            etag: Some("\"fba9dede5f27731c9771645a39863328\"".into()),
            last_modified: Some(1_255_369_830.into()),
            attributes: vec![
                pair("storage-class", "STANDARD"),
                pair("checksum-algorithm", "CRC64NVME"),
                pair("checksum-type", "FULL_OBJECT")
            ],
        }
    );
    assert_eq!(read.entries[1], Entry { key: "z".into(), ..Entry::default() });
    assert_eq!(read.prefixes, ["photos/"]);
    assert_eq!(read.next.as_deref(), Some("t1ue/="));
}

#[test]
fn keys_without_encoding_type_are_not_decoded() {
    let read = read("<Contents><Key>a+b%2B &amp;</Key><Size>1</Size></Contents>").unwrap();
    assert_eq!(read.entries[0].key, "a+b%2B &");
    assert_eq!(read.next, None);
}

#[test]
fn page_with_circular_continuation_is_malformed() {
    assert!(list(&page(FULL).root(), "t/", Some("t1ue/=")).is_err());
    let cut = "<IsTruncated>true</IsTruncated>";
    assert!(read(cut).is_err());
    let last = format!(
        "{cut}<Contents><Key>b</Key><Size>1</Size></Contents><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes>"
    );
    let next = read(&last).unwrap().next;
    assert_eq!(next.as_deref(), Some("kc/"));
    assert!(list(&page(&last).root(), "", next.as_deref()).is_err());
}

#[test]
fn inconsistent_page_is_malformed() {
    for inside in [
        "<Contents><Size>1</Size></Contents>",
        "<Contents><Key>k</Key></Contents>",
        "<Contents><Key>k</Key><Size>-1</Size></Contents>",
        "<EncodingType>url</EncodingType><Contents><Key>%ff</Key><Size>1</Size></Contents>",
    ] {
        assert!(read(inside).is_err(), "{inside}");
    }
    let other = page("<Contents><Key>other/k</Key><Size>1</Size></Contents>");
    assert!(list(&other.root(), "t/", None).unwrap_err().0.contains("other/k"));
}

#[test]
fn versions_are_parsed_in_order() {
    let text = "<ListVersionsResult><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>\
        <NextKeyMarker>t/b%2B</NextKeyMarker><NextVersionIdMarker>v9</NextVersionIdMarker>\
        <DeleteMarker><Key>t/a</Key><VersionId>v3</VersionId><IsLatest>true</IsLatest>\
        <LastModified>2009-10-12T17:50:30Z</LastModified></DeleteMarker>\
        <Version><Key>t/a</Key><VersionId>null</VersionId><IsLatest>false</IsLatest><ETag>\"e\"</ETag><Size>5</Size></Version>\
        </ListVersionsResult>";
    let page = xml::document(text.as_bytes(), "ListVersionsResult").unwrap();
    let read = list_versions(&page.root(), "t/", None).unwrap();
    let parsed: Vec<_> = read
        .entries
        .iter()
        .map(|entry| (entry.blob.key.as_str(), entry.version.as_deref(), entry.latest, entry.deleted, entry.blob.size))
        .collect();
    assert_eq!(parsed, [("a", Some("v3"), true, true, 0), ("a", None, false, false, 5)]);
    assert_eq!(Versions::read(read.next.as_deref().unwrap()), Ok(Versions { key: "t/b+", version: "v9" }));
    assert!(list_versions(&page.root(), "t/", read.next.as_deref()).is_err());
}

#[test]
fn first_of_duplicate_elements_counts_except_checksums() {
    let inside = "<Contents><Key>k</Key><Key>l</Key><Size> 1 </Size><Size>x</Size><ETag> </ETag><LastModified/>\
        <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumAlgorithm> SHA256</ChecksumAlgorithm><Other/></Contents>";
    let attributes = vec![("checksum-algorithm".to_owned(), "CRC32,SHA256".to_owned())];
    assert_eq!(read(inside).unwrap().entries, [Entry { key: "k".into(), size: 1, attributes, ..Entry::default() }]);
}

proptest::proptest! {
    #[test]
    fn keys_are_decoded_as_form_values(text in "[a+%20cC3é]{0,20}|\\PC{0,20}") {
        let spaced = text.replace('+', " ");
        let known = percent_encoding::percent_decode_str(&spaced).decode_utf8();
        let keys = Keys { url: true, prefix: "" };
        proptest::prop_assert_eq!(keys.decode("Key", &text).ok(), known.ok(), "{}", text);
    }
}

/// A key of so many bytes, percent-encoded.
fn encoded(bytes: usize) -> String {
    "%C3%A9".repeat(bytes / 2) + &"n".repeat(bytes % 2)
}

#[test]
fn listed_key_above_1024_bytes_is_malformed_and_not_displayed() {
    let url = "<EncodingType>url</EncodingType>";
    let blob = |key: &str| format!("{url}<Contents><Key>{key}</Key><Size>1</Size></Contents>");
    let folder = |key: &str| format!("{url}<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>");
    for made in [&blob as &dyn Fn(&str) -> String, &folder] {
        assert!(read(&made(&encoded(1024))).is_ok());
        let MalformedResponse(why) = read(&made(&encoded(1025))).unwrap_err();
        assert!(why.contains("1025 bytes") && why.contains("1024") && why.len() < 200, "{why}");
        // The limit applies to the full key, including the prefix.
        let own = format!("t/{}", encoded(1023));
        assert!(list(&page(&made(&own)).root(), "t/", None).is_err());
    }
}

#[test]
fn keys_of_versions_and_markers_have_the_same_limit() {
    let versions = |inside: &str| {
        let text = format!("<ListVersionsResult>{inside}</ListVersionsResult>");
        list_versions(&xml::document(text.as_bytes(), "ListVersionsResult").unwrap().root(), "", None).map(drop)
    };
    let long = "n".repeat(1025);
    let id = "v".repeat(1025);
    for inside in [
        format!("<Version><Key>{long}</Key><Size>1</Size></Version>"),
        format!("<DeleteMarker><Key>{long}</Key></DeleteMarker>"),
        format!("<CommonPrefixes><Prefix>{long}</Prefix></CommonPrefixes>"),
        format!("<IsTruncated>true</IsTruncated><NextKeyMarker>{long}</NextKeyMarker>"),
        format!("<Version><Key>k</Key><Size>1</Size><VersionId>{id}</VersionId></Version>"),
        format!(
            "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>{id}\
             </NextVersionIdMarker>"
        ),
    ] {
        let MalformedResponse(why) = versions(&inside).unwrap_err();
        assert!(why.contains("1025 bytes") && why.len() < 200, "{why}");
        versions(&inside.replacen("nn", "n", 1).replacen("vv", "v", 1)).unwrap();
    }
}

#[test]
fn entries_prefixes_and_text_lengths_of_a_page_are_limited() {
    let blob = "<Contents><Key>k</Key><Size>1</Size></Contents>";
    let folder = "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>";
    assert!(read(&(blob.repeat(1000) + &folder.repeat(1000))).is_ok());
    for many in [blob.repeat(1001), folder.repeat(1001)] {
        assert!(read(&many).unwrap_err().0.contains("1000"));
    }
    let parsed = |name: &str, length: usize| {
        let text = "x".repeat(length);
        read(&format!("<Contents><Key>k</Key><Size>1</Size><{name}>{text}</{name}></Contents>"))
    };
    for (name, longest) in [("ETag", 1024), ("StorageClass", 2048), ("ChecksumAlgorithm", 2048)] {
        assert!(parsed(name, longest).is_ok(), "{name}");
        assert!(parsed(name, longest + 1).unwrap_err().0.contains(name), "{name}");
    }
    let token = |length: usize| {
        let text = "x".repeat(length);
        read(&format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{text}</NextContinuationToken>"))
    };
    assert!(token(8192).is_ok());
    assert!(token(8193).unwrap_err().0.contains("NextContinuationToken"));
}

#[test]
fn unencoded_marker_of_a_service_is_not_decoded() {
    for (key, marker, whole) in [
        // Ceph does not encode the marker.
        ("p/b%2B%20%C3%A9", "p/b+ \u{e9}", "p/b+ \u{e9}"),
        ("p/100%25%2B1", "p/100%+1", "p/100%+1"),
        ("p/a%2B", "p/a+", "p/a+"),
        // Amazon encodes it.
        ("p/b%2B+%C3%A9", "p/b%2B+%C3%A9", "p/b+ \u{e9}"),
        ("p/a+b", "p/a+b", "p/a b"),
    ] {
        let inside = format!(
            "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>{marker}</NextKeyMarker>\
             <Version><Key>{key}</Key><Size>1</Size></Version>"
        );
        let page = format!("<ListVersionsResult>{inside}</ListVersionsResult>");
        let document = sandbucket_plugin::xml::document(page.as_bytes(), "ListVersionsResult").unwrap();
        let read = list_versions(&document.root(), "p/", None).unwrap();
        let next = read.next.unwrap();
        assert_eq!(Versions::read(&next).unwrap().key, whole, "{marker}");
    }
}
