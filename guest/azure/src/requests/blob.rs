//! Requests to read, write and delete a blob.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/get-blob>,
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob>

use sandbucket_plugin::checksum::{Algorithm, base64};
use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::{Error, Failure, Kind};
use sandbucket_plugin::contract::model::{
    ByteRange, DeleteOptions, GetOptions, HeadOptions, PutOptions, ReadConditions,
};
use sandbucket_plugin::http::request::{Method, READ_CONDITIONS, Request, visible};

use super::attributes::apply;
use super::{base, metadata, read_conditions, version};
use crate::attributes::groups;
use crate::settings::Settings;

/// Maximum length of a blob that one request writes, in bytes: 5,000 MiB.
const MAX_PUT: u64 = 5000 << 20;

/// Reads a blob's properties. `key` is the validated full key.
pub fn head(settings: &Settings, key: &str, options: &HeadOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Head, settings, key);
    apply(&mut request, &options.call, settings, groups::NONE)?;
    version(&mut request, options.version.as_deref())?;
    read_conditions(&mut request, &options.conditions, READ_CONDITIONS)?;
    Ok(request)
}

/// Reads a blob, or this range of it: `range` of the options, resolved if it is of the last bytes.
pub fn get(
    settings: &Settings,
    key: &str,
    options: &GetOptions,
    range: ByteRange,
    conditions: &ReadConditions,
) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, key);
    apply(&mut request, &options.call, settings, groups::NONE)?;
    request.range(range)?;
    version(&mut request, options.version.as_deref())?;
    read_conditions(&mut request, conditions, READ_CONDITIONS)?;
    Ok(request)
}

/// Writes a block blob.
pub fn put(settings: &Settings, key: &str, content: &Content<'_>, options: &PutOptions) -> Result<Request, Failure> {
    if content.length() > MAX_PUT {
        let why = format!("the body has {} bytes; Azure takes {MAX_PUT} at once: upload it in parts", content.length());
        let mut fault = Error::fault("length", why);
        fault.kind = Kind::TooLarge;
        return Err(fault);
    }
    let mut request = base(Method::Put, settings, key);
    request.header("x-ms-blob-type", "BlockBlob");
    if let Some(media_type) = &options.content_type {
        request.header("x-ms-blob-content-type", visible("content-type", media_type)?);
    }
    request.write_condition(&options.condition, true)?;
    metadata(&mut request, &options.metadata)?;
    apply(&mut request, &options.call, settings, groups::WRITES.union(groups::CHECKSUM))?;
    checksum(&mut request, settings, content);
    Ok(request)
}

/// Adds the MD5 of the body, if the store sends it and the caller gave none as an attribute.
pub(super) fn checksum(request: &mut Request, settings: &Settings, content: &Content<'_>) {
    if settings.sends_md5
        && !request.headers.iter().any(|(name, _)| name == "content-md5")
        && let Some(sum) = content.digest(Algorithm::Md5)
    {
        request.header("content-md5", base64(&sum));
    }
}

/// Deletes a blob.
pub fn delete(settings: &Settings, key: &str, options: &DeleteOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Delete, settings, key);
    let accepts = groups::SNAPSHOTS.union(groups::LEASE).union(groups::MATCH);
    apply(&mut request, &options.call, settings, accepts)?;
    version(&mut request, options.version.as_deref())?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::{lines, settings};
    use sandbucket_plugin::contract::model::{CallOptions, Digest, Span, WriteCondition};

    #[test]
    fn put_sends_type_condition_metadata_and_attributes() {
        let options = PutOptions {
            content_type: Some("text/plain".into()),
            metadata: vec![("a".into(), "1".into())],
            condition: WriteCondition::IfAbsent,
            call: CallOptions { attributes: vec![("access-tier".into(), "Cool".into())], ..CallOptions::default() },
            ..PutOptions::default()
        };
        let content = Content::buffered(b"hello", &[]).unwrap();
        let request = put(&settings(&[]), "a/b", &content, &options).unwrap();
        assert_eq!(request.path, "/devstoreaccount1/demo/a/b");
        assert_eq!(
            lines(&request),
            [
                "x-ms-blob-type: BlockBlob",
                "x-ms-blob-content-type: text/plain",
                "if-none-match: *",
                "x-ms-meta-a: 1",
                "x-ms-access-tier: Cool"
            ]
        );
        let checked = put(&settings(&[("checksum", "md5")]), "k", &content, &PutOptions::default()).unwrap();
        assert_eq!(lines(&checked)[1], "content-md5: XUFAKrxLKna5cZ2REBfFkg==");
    }

    #[test]
    fn body_beyond_the_limit_of_one_request_is_too_large() {
        let digest = [Digest { algorithm: Algorithm::Md5, value: vec![0; 16] }];
        for (length, fits) in [(5000 << 20, true), ((5000 << 20) + 1, false)] {
            let content = Content::remote(length, &digest, std::iter::empty()).unwrap();
            let made = put(&settings(&[]), "k", &content, &PutOptions::default());
            assert_eq!(made.is_ok(), fits);
            assert!(fits || made.unwrap_err().kind == Kind::TooLarge);
        }
    }

    #[test]
    fn get_sends_range_version_and_conditions() {
        let options = GetOptions { version: Some("2023-11-14T22:13:20.1234567Z".into()), ..GetOptions::default() };
        let conditions = ReadConditions { if_match: Some("\"e\"".into()), ..ReadConditions::default() };
        let range = ByteRange::Within(Span { start: 2, end: 5 });
        let request = get(&settings(&[]), "k", &options, range, &conditions).unwrap();
        assert_eq!(request.path_and_query(), "/devstoreaccount1/demo/k?versionid=2023-11-14T22%3A13%3A20.1234567Z");
        assert_eq!(lines(&request), ["range: bytes=2-4", "if-match: \"e\""]);
    }
}
