//! Multipart uploads, and copies, whose responses are similar.

use crate::continuation::{Page, Versions};
use crate::headers::CHECKSUMS;
use sandbucket_plugin::contract::model::{Pair, Part, PartPage, Upload, UploadPage, Written};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::{Head, MalformedResponse, decimal};

use crate::response;
use sandbucket_plugin::xml::Element;

use super::listing::{Keys, at, last_modified};

/// The upload id in an `InitiateMultipartUploadResult`.
pub fn upload_id(begun: &Element<'_>) -> Result<String, MalformedResponse> {
    let id = begun.text("UploadId").ok_or_else(|| MalformedResponse::missing("UploadId"))?;
    bounds::text("UploadId", id, bounds::MAX_UPLOAD_ID).map(str::to_owned)
}

/// The entity tag in a `CompleteMultipartUploadResult` or `CopyObjectResult`. Some services omit it.
pub fn etag(result: &Element<'_>) -> Result<Option<String>, MalformedResponse> {
    let Some(etag) = result.text("ETag") else { return Ok(None) };
    let etag = bounds::text("ETag", etag, bounds::MAX_ETAG)?;
    // Ceph omits the quotes here.
    Ok(Some(if etag.contains('"') { etag.to_owned() } else { format!("\"{etag}\"") }))
}

/// The entity tag of a part, which its completion requires.
pub fn part_etag(part: &Element<'_>) -> Result<String, MalformedResponse> {
    etag(part)?.ok_or_else(|| MalformedResponse::missing("ETag"))
}

/// The result of a write in a `CompleteMultipartUploadResult` or `CopyObjectResult`.
pub fn written(result: &Element<'_>, head: &Head) -> Result<Written, MalformedResponse> {
    Ok(Written { etag: etag(result)?, version: response::version(head)? })
}

/// The part in a `CopyPartResult`, which does not contain its size.
pub fn copied_part(number: u32, copied: &Element<'_>) -> Result<Part, MalformedResponse> {
    Ok(Part { number, etag: part_etag(copied)?, attributes: checksums(copied)?, ..Part::default() })
}

/// The checksums in an element.
pub fn checksums(element: &Element<'_>) -> Result<Vec<Pair>, MalformedResponse> {
    let mut checksums = Vec::new();
    for (name, child) in CHECKSUMS {
        if let Some(sum) = element.text(child) {
            checksums.push((name.to_owned(), bounds::text(child, sum, bounds::MAX_ATTRIBUTE)?.to_owned()));
        }
    }
    Ok(checksums)
}

/// Parses a `ListPartsResult`. `requested` is the continuation of the request.
pub fn parts(page: &Element<'_>, requested: Option<&str>) -> Result<PartPage, MalformedResponse> {
    let mut parts = Vec::new();
    for part in page.children_named("Part") {
        bounds::count("Part", parts.len() + 1, bounds::MAX_PAGE)?;
        let number = part.text("PartNumber").and_then(decimal).and_then(|number| u32::try_from(number).ok());
        parts.push(Part {
            number: number.ok_or_else(|| MalformedResponse::missing("PartNumber"))?,
            size: part.text("Size").and_then(decimal).ok_or_else(|| MalformedResponse::missing("Size"))?,
            etag: part_etag(&part)?,
            last_modified: last_modified(&part),
            attributes: checksums(&part)?,
        });
    }
    let mut next = None;
    if page.is_true("IsTruncated") {
        let last = parts.last().map(|part| part.number.to_string());
        let marker = page.text("NextPartNumberMarker").map(str::to_owned).or(last);
        let marker = marker.ok_or_else(|| MalformedResponse::missing("NextPartNumberMarker"))?;
        next = Some(Page::Token(bounds::text("NextPartNumberMarker", &marker, bounds::MAX_TOKEN)?).write());
        if next.as_deref() == requested {
            return Err(MalformedResponse("it goes on where it began".into()));
        }
    }
    Ok(PartPage { parts, next })
}

/// Parses a `ListMultipartUploadsResult`. `key_prefix` is removed from keys.
pub fn uploads(
    page: &Element<'_>,
    head: &Head,
    key_prefix: &str,
    requested: Option<&str>,
) -> Result<UploadPage, MalformedResponse> {
    let keys = Keys::of_uploads(page, head, key_prefix);
    let mut uploads = Vec::new();
    for upload in page.children_named("Upload") {
        bounds::count("Upload", uploads.len() + 1, bounds::MAX_PAGE)?;
        uploads.push(Upload {
            key: keys.key("Key", upload.raw_text("Key").ok_or_else(|| MalformedResponse::missing("Key"))?)?,
            id: upload_id(&upload)?,
            initiated: at(&upload, "Initiated"),
        });
    }
    let mut next = None;
    if page.is_true("IsTruncated") {
        let key = page.raw_text("NextKeyMarker").ok_or_else(|| MalformedResponse::missing("NextKeyMarker"))?;
        let id = page.text("NextUploadIdMarker").unwrap_or_default();
        let version = bounds::text("NextUploadIdMarker", id, bounds::MAX_UPLOAD_ID)?;
        let last = uploads.last().map(|upload| upload.key.as_str());
        let after = Versions { key: &keys.marker("NextKeyMarker", key, last)?, version }.write();
        if Some(after.as_str()) == requested {
            return Err(MalformedResponse("it goes on where it began".into()));
        }
        next = Some(after);
    }
    Ok(UploadPage { uploads, next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket_plugin::xml::{self, Document};

    fn read(root: &str, inside: &str) -> Document<'static> {
        xml::document(format!("<{root}>{inside}</{root}>").leak().as_bytes(), root).unwrap()
    }

    #[test]
    fn parts_are_parsed() {
        let page = read(
            "ListPartsResult",
            "<IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker><Part>\
             <PartNumber>2</PartNumber><Size>5242880</Size><ETag>\"e\"</ETag><LastModified>2009-10-12T17:50:30.000Z\
             </LastModified><ChecksumCRC32C>4waSgw==</ChecksumCRC32C></Part>",
        );
        let read = parts(&page.root(), None).unwrap();
        assert_eq!(read.next.as_deref(), Some("t2"));
        let attributes = vec![("checksum-crc32c".to_owned(), "4waSgw==".to_owned())];
        let last_modified = Some(1_255_369_830.into());
        let wanted = Part { number: 2, size: 5_242_880, etag: "\"e\"".into(), last_modified, attributes };
        assert_eq!(read.parts, [wanted]);
        assert!(parts(&page.root(), Some("t2")).is_err());
    }

    #[test]
    fn uploads_are_parsed_without_the_key_prefix() {
        let page = read(
            "ListMultipartUploadsResult",
            "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>p/b</NextKeyMarker>\
             <NextUploadIdMarker>u2</NextUploadIdMarker><Upload><Key>p/a%2Bb</Key><UploadId>u1</UploadId>\
             <Initiated>2009-10-12T17:50:30Z</Initiated></Upload>",
        );
        let read = uploads(&page.root(), &Head::default(), "p/", None).unwrap();
        let wanted = Upload { key: "a+b".into(), id: "u1".into(), initiated: Some(1_255_369_830.into()) };
        assert_eq!(read.uploads, [wanted]);
        assert_eq!(Versions::read(read.next.as_deref().unwrap()), Ok(Versions { key: "p/b", version: "u2" }));
        assert!(uploads(&page.root(), &Head::default(), "p/", read.next.as_deref()).is_err());
        assert!(uploads(&page.root(), &Head::default(), "q/", None).is_err());
    }

    #[test]
    fn keys_of_uploads_from_ceph_are_decoded_and_its_marker_is_not() {
        let page = read(
            "ListMultipartUploadsResult",
            "<NextKeyMarker>a +\u{e9}%20</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker><IsTruncated>true</IsTruncated>\
             <Upload><Key>a%20%2B%C3%A9%2520</Key><UploadId>u</UploadId></Upload>",
        );
        let id = ("x-amz-request-id".into(), "tx000009781663102b5041c-006b0bc697-1010-default".to_owned().into());
        let ceph = Head { headers: vec![id], ..Head::default() };
        let ours = uploads(&page.root(), &ceph, "", None).unwrap();
        assert_eq!(ours.uploads[0].key, "a +\u{e9}%20");
        let next = ours.next.unwrap();
        assert_eq!(Versions::read(&next).unwrap().key, "a +\u{e9}%20");
        // Keys of other services without encoding type are not decoded.
        let other = uploads(&page.root(), &Head::default(), "", None).unwrap();
        assert_eq!(other.uploads[0].key, "a%20%2B%C3%A9%2520");
    }

    #[test]
    fn missing_elements_are_malformed() {
        for inside in ["<PartNumber>1</PartNumber><Size>1</Size>", "<PartNumber>x</PartNumber>", "<ETag>e</ETag>"] {
            assert!(parts(&read("L", &format!("<Part>{inside}</Part>")).root(), None).is_err());
        }
        assert!(upload_id(&read("R", "<UploadId/>").root()).is_err());
        assert_eq!(part_etag(&read("R", "<ETag>&quot;e&quot;</ETag>").root()).unwrap(), "\"e\"");
        assert_eq!(part_etag(&read("R", "<ETag>e</ETag>").root()).unwrap(), "\"e\"");
        assert_eq!(etag(&read("R", "<ETag/>").root()).unwrap(), None);
    }

    #[test]
    fn lengths_and_counts_in_multipart_documents_are_limited() {
        let long = "x".repeat(2049);
        assert!(upload_id(&read("R", &format!("<UploadId>{long}</UploadId>")).root()).is_err());
        assert!(upload_id(&read("R", &format!("<UploadId>{}</UploadId>", &long[1..])).root()).is_ok());
        assert!(etag(&read("R", &format!("<ETag>{}</ETag>", &long[1024..])).root()).is_err());
        assert!(checksums(&read("R", &format!("<ChecksumCRC32>{long}</ChecksumCRC32>")).root()).is_err());
        let part = "<Part><PartNumber>1</PartNumber><Size>1</Size><ETag>e</ETag></Part>";
        assert!(parts(&read("L", &part.repeat(1000)).root(), None).is_ok());
        assert!(parts(&read("L", &part.repeat(1001)).root(), None).is_err());
        let upload = |key: &str| format!("<Upload><Key>{key}</Key><UploadId>i</UploadId></Upload>");
        assert!(uploads(&read("L", &upload("k").repeat(1000)).root(), &Head::default(), "", None).is_ok());
        assert!(uploads(&read("L", &upload("k").repeat(1001)).root(), &Head::default(), "", None).is_err());
        let MalformedResponse(why) =
            uploads(&read("L", &upload(&long)).root(), &Head::default(), "", None).unwrap_err();
        assert!(why.contains("2049 bytes") && why.len() < 200, "{why}");
    }
}
