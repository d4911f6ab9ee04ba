//! The properties of a blob in a response's header.

use sandbucket_plugin::checksum::{Algorithm, from_base64};
use sandbucket_plugin::contract::model::{BlobInfo, ByteRange, Digest, Pair, Span, Written};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::{self, Head, MalformedResponse};

use crate::headers::METADATA;

/// Attributes of a blob in a response: name and header.
const ATTRIBUTES: [(&str, &str); 18] = [
    ("cache-control", "cache-control"),
    ("content-disposition", "content-disposition"),
    ("content-encoding", "content-encoding"),
    ("content-language", "content-language"),
    ("access-tier", "x-ms-access-tier"),
    ("archive-status", "x-ms-archive-status"),
    ("rehydrate-priority", "x-ms-rehydrate-priority"),
    ("blob-type", "x-ms-blob-type"),
    ("creation-time", "x-ms-creation-time"),
    ("tag-count", "x-ms-tag-count"),
    ("encryption-scope", "x-ms-encryption-scope"),
    ("lease-state", "x-ms-lease-state"),
    ("expiry-time", "x-ms-expiry-time"),
    ("immutability-policy-until", "x-ms-immutability-policy-until-date"),
    ("immutability-policy-mode", "x-ms-immutability-policy-mode"),
    ("legal-hold", "x-ms-legal-hold"),
    ("copy-id", "x-ms-copy-id"),
    ("copy-status", "x-ms-copy-status"),
];

/// Headers of which every response of Azure to a read has at least one. Browsers may show no more than `last-modified`.
const FROM_AZURE: [&str; 3] = ["etag", "last-modified", "x-ms-request-id"];

/// Properties of a blob in the response to a HEAD.
pub fn blob_info(head: &Head<'_>) -> Result<BlobInfo, MalformedResponse> {
    let (size, _) = response::head_size(head)?;
    properties(head, size)
}

/// Properties of a blob in the response to a GET, and the range its body contains.
pub fn blob_part(head: &Head<'_>, requested: ByteRange) -> Result<(BlobInfo, Span), MalformedResponse> {
    let (size, span) = response::body_range(head, requested)?;
    Ok((properties(head, size)?, span))
}

/// The MD5 of a body that is the whole blob. Azure stores that of blobs written at once.
pub fn digest(head: &Head<'_>, span: Span, size: u64) -> Option<Digest> {
    if span.start != 0 || span.end != size || head.status == 206 {
        return None;
    }
    let value = head.get("content-md5").and_then(from_base64)?;
    (value.len() == Algorithm::Md5.length()).then_some(Digest { algorithm: Algorithm::Md5, value })
}

/// The result of a write.
pub fn written(head: &Head<'_>) -> Result<Written, MalformedResponse> {
    Ok(Written { etag: response::etag(head)?, version: version(head)? })
}

/// That a success is Azure's, which has a request id, and not that of a proxy: the page of a login is a 200 as well.
pub fn confirmed(head: &Head<'_>) -> Result<(), MalformedResponse> {
    match head.get("x-ms-request-id") {
        Some(_) => Ok(()),
        None => Err(MalformedResponse("it has no x-ms-request-id, so it is hardly from Azure".into())),
    }
}

fn properties(head: &Head<'_>, size: u64) -> Result<BlobInfo, MalformedResponse> {
    if !FROM_AZURE.iter().any(|name| head.get(name).is_some()) {
        return Err(MalformedResponse("it has neither etag nor last-modified, so it is hardly from Azure".into()));
    }
    let info = response::properties(head, size)?;
    Ok(BlobInfo { metadata: METADATA.read(head), version: version(head)?, attributes: attributes(head), ..info })
}

fn attributes(head: &Head<'_>) -> Vec<Pair> {
    let values =
        ATTRIBUTES.iter().filter_map(|(name, header)| Some(((*name).to_owned(), head.get(header)?.to_owned())));
    values.collect()
}

fn version(head: &Head<'_>) -> Result<Option<String>, MalformedResponse> {
    let version = head.get("x-ms-version-id");
    version.map(|version| bounds::text("x-ms-version-id", version, bounds::MAX_VERSION).map(str::to_owned)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> Head<'static> {
        let headers = headers.iter().map(|(name, value)| (name.to_string().into(), value.to_string().into())).collect();
        Head { status, headers }
    }

    #[test]
    fn properties_of_a_blob_are_parsed() {
        let head = head(
            200,
            &[
                ("Content-Length", "5"),
                ("ETag", "\"0x8D\""),
                ("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
                ("Content-Type", "text/plain"),
                ("x-ms-meta-A_b", "1"),
                ("x-ms-meta-n", "=?UTF-8?B?R3LDvMOfZQ==?="),
                ("x-ms-version-id", "2023-11-14T22:13:20.1Z"),
                ("x-ms-access-tier", "Cool"),
                ("Cache-Control", "no-store"),
                ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
            ],
        );
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let info = blob_info(&head).unwrap();
        let wanted = BlobInfo {
            size: 5,
            etag: Some("\"0x8D\"".into()),
            last_modified: Some(1_700_000_000.into()),
            content_type: Some("text/plain".into()),
            metadata: vec![pair("a_b", "1"), pair("n", "Grüße")],
            version: Some("2023-11-14T22:13:20.1Z".into()),
            attributes: vec![pair("cache-control", "no-store"), pair("access-tier", "Cool")],
        };
        assert_eq!(info, wanted);
        let (_, span) = blob_part(&head, ByteRange::Whole).unwrap();
        assert_eq!(digest(&head, span, 5).unwrap().value, Algorithm::Md5.digest(b"hello"));
    }

    #[test]
    fn digest_is_of_whole_bodies_alone() {
        let part = head(
            206,
            &[("content-length", "2"), ("content-range", "bytes 0-1/5"), ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")],
        );
        assert_eq!(digest(&part, Span { start: 0, end: 2 }, 5), None);
        let short = head(200, &[("content-length", "5"), ("content-md5", "AAAA")]);
        assert_eq!(digest(&short, Span { start: 0, end: 5 }, 5), None);
    }

    #[test]
    fn response_of_another_server_is_malformed() {
        assert!(blob_info(&head(200, &[("content-length", "5"), ("server", "proxy")])).is_err());
        let long = "v".repeat(bounds::MAX_VERSION + 1);
        assert!(blob_info(&head(200, &[("content-length", "5"), ("etag", "e"), ("x-ms-version-id", &long)])).is_err());
    }
}
