//! Requests of uploads: blocks and lists of blocks.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/put-block>,
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/put-block-list>

use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::{Error, Failure, Kind};
use sandbucket_plugin::contract::model::{
    AbortOptions, CallOptions, CompleteOptions, CopyPartOptions, Pair, Part, PartOptions, PutOptions,
};
use sandbucket_plugin::http::request::{Method, Request, visible};
use sandbucket_plugin::multipart::{check_create, check_part_number, check_parts};
use sandbucket_plugin::xml;

use super::attributes::apply;
use super::blob::checksum;
use super::{SOURCE_CONDITIONS, base, metadata, read_conditions};
use crate::attributes::{SCOPE, groups, of_uploads};
use crate::settings::Settings;
use crate::upload_id::{ABORTED, MAX_PART, Properties, UploadId};

/// Maximum length of a block in bytes: 4,000 MiB.
pub const MAX_BLOCK: u64 = 4000 << 20;

/// Validates the properties of an upload as [`commit`] will, and returns them: Azure has no request that begins an upload.
pub fn create_upload(settings: &Settings, key: &str, options: &PutOptions) -> Result<Properties, Failure> {
    check_create(&options.condition)?;
    let PutOptions { content_type, metadata, .. } = options.clone();
    let properties = Properties { content_type, metadata, attributes: options.call.attributes.clone() };
    let mut request = base(Method::Put, settings, key);
    stored(&mut request, settings, &properties, &options.call)?;
    Ok(Properties { attributes: of_uploads(&properties.attributes), ..properties })
}

/// Adds the headers of properties that are stored with the blob.
fn stored(
    request: &mut Request,
    settings: &Settings,
    properties: &Properties,
    call: &CallOptions,
) -> Result<(), Failure> {
    if let Some(media_type) = &properties.content_type {
        request.header("x-ms-blob-content-type", visible("content-type", media_type)?);
    }
    metadata(request, &properties.metadata)?;
    apply(request, call, settings, groups::WRITES)
}

/// Uploads a block.
pub fn upload_part(
    settings: &Settings,
    key: &str,
    upload: &UploadId,
    number: u32,
    content: &Content<'_>,
    options: &PartOptions,
) -> Result<Request, Failure> {
    if content.length() > MAX_BLOCK {
        let why = format!("the part has {} bytes; Azure takes {MAX_BLOCK}", content.length());
        let mut fault = Error::fault("length", why);
        fault.kind = Kind::TooLarge;
        return Err(fault);
    }
    let mut request = block(settings, key, upload, number)?;
    let accepts = groups::SCOPE.union(groups::LEASE).union(groups::CHECKSUM);
    apply(&mut request, &scoped(&options.call, upload), settings, accepts)?;
    checksum(&mut request, settings, content);
    Ok(request)
}

/// Makes a block of a blob, or of a range of it. `source` is its URL, authorized.
pub fn copy_part(
    settings: &Settings,
    key: &str,
    upload: &UploadId,
    number: u32,
    source: &str,
    options: &CopyPartOptions,
) -> Result<Request, Failure> {
    let mut request = block(settings, key, upload, number)?;
    request.header("x-ms-copy-source", source);
    if let Some(range) = options.range {
        request.span("x-ms-source-range", range)?;
    }
    read_conditions(&mut request, &options.source_conditions, SOURCE_CONDITIONS)?;
    apply(&mut request, &scoped(&options.call, upload), settings, groups::SCOPE.union(groups::LEASE))?;
    Ok(request)
}

/// Uploads the block that marks an upload as aborted: one byte.
pub fn mark_aborted(
    settings: &Settings,
    key: &str,
    upload: &UploadId,
    options: &AbortOptions,
) -> Result<(Request, Vec<u8>), Failure> {
    let mut request = put_block(settings, key, &upload.block(ABORTED));
    apply(&mut request, &scoped(&options.call, upload), settings, groups::SCOPE.union(groups::LEASE))?;
    Ok((request, b"-".to_vec()))
}

/// Asks for the blocks of a blob: `committed` or `uncommitted`.
pub fn block_list(settings: &Settings, key: &str, kind: &'static str, call: &CallOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, key);
    request.parameter("comp", "blocklist");
    request.parameter("blocklisttype", kind);
    apply(&mut request, call, settings, groups::NONE)?;
    Ok(request)
}

/// Makes the blob of the blocks of these parts: the request and its body.
///
/// `Latest` finds a block that is committed already: a repeated completion makes the same blob again.
pub fn commit(
    settings: &Settings,
    key: &str,
    upload: &UploadId,
    parts: &[Part],
    options: &CompleteOptions,
) -> Result<(Request, String), Failure> {
    let properties = upload.properties()?;
    check_parts(parts, MAX_PART)?;
    let mut body = String::with_capacity(96 + parts.len() * 64);
    body.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for part in parts {
        if let Some(block) = upload.part_block(part.number, &part.etag)? {
            xml::push_element(&mut body, "Latest", &block);
        }
    }
    body.push_str("</BlockList>");
    let mut request = base(Method::Put, settings, key);
    request.parameter("comp", "blocklist");
    request.header("content-type", "application/xml");
    request.write_condition(&options.condition, true)?;
    // The properties of the beginning, and the lease of the completion.
    let mut call = options.call.clone();
    if let Some((name, _)) = call.attributes.iter().find(|(name, _)| name != "lease-id") {
        let name = sandbucket_plugin::contract::error::tidy(name, 64);
        let mut fault =
            Error::fault(&name, format!("{name} is given to create-upload; complete-upload accepts lease-id"));
        fault.kind = Kind::Unsupported;
        return Err(fault);
    }
    call.attributes.extend(properties.attributes.iter().cloned());
    stored(&mut request, settings, properties, &call)?;
    Ok((request, body))
}

/// Options of a call about a block, with the encryption scope of its upload: all blocks of a blob have the same.
fn scoped(call: &CallOptions, upload: &UploadId) -> CallOptions {
    let mut call = call.clone();
    let is_scope = |attribute: &&Pair| attribute.0 == SCOPE;
    if let Ok(properties) = upload.properties()
        && let Some(scope) = properties.attributes.iter().find(is_scope)
        && !call.attributes.iter().any(|given| is_scope(&given))
    {
        call.attributes.push(scope.clone());
    }
    call
}

fn block(settings: &Settings, key: &str, upload: &UploadId, number: u32) -> Result<Request, Failure> {
    check_part_number(number, MAX_PART)?;
    Ok(put_block(settings, key, &upload.block(number)))
}

fn put_block(settings: &Settings, key: &str, id: &str) -> Request {
    let mut request = base(Method::Put, settings, key);
    request.parameter("comp", "block");
    request.parameter("blockid", id);
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::{lines, settings};
    use sandbucket_plugin::contract::model::{Span, WriteCondition};

    fn upload() -> UploadId {
        let properties = Properties {
            content_type: Some("text/plain".into()),
            metadata: vec![("a".into(), "1".into())],
            attributes: vec![("tags".into(), "t=1".into())],
        };
        UploadId::new([1, 2], "k", properties)
    }

    fn part(upload: &UploadId, number: u32, size: u64) -> Part {
        Part { number, size, etag: upload.part_etag(number, size), ..Part::default() }
    }

    #[test]
    fn completion_lists_blocks_and_sends_the_properties_of_the_beginning() {
        let upload = upload();
        let parts = [part(&upload, 1, 5), part(&upload, 2, 0), part(&upload, 9, 1)];
        let mut options = CompleteOptions { condition: WriteCondition::IfMatch("\"e\"".into()), ..Default::default() };
        options.call.attributes.push(("lease-id".into(), "l".into()));
        let (request, body) = commit(&settings(&[("access-tier", "Cool")]), "k", &upload, &parts, &options).unwrap();
        assert_eq!(request.path_and_query(), "/devstoreaccount1/demo/k?comp=blocklist");
        let (one, nine) = (upload.block(1), upload.block(9));
        assert_eq!(
            body,
            format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>{one}</Latest><Latest>{nine}</Latest></BlockList>"
            )
        );
        assert_eq!(
            lines(&request),
            [
                "content-type: application/xml",
                "if-match: \"e\"",
                "x-ms-blob-content-type: text/plain",
                "x-ms-meta-a: 1",
                "x-ms-lease-id: l",
                "x-ms-tags: t=1",
                "x-ms-access-tier: Cool"
            ]
        );
    }

    #[test]
    fn invalid_parts_and_late_properties_are_rejected() {
        let upload = upload();
        let fault = |parts: &[Part], options: &CompleteOptions| {
            commit(&settings(&[]), "k", &upload, parts, options).unwrap_err().subject.unwrap()
        };
        let usual = CompleteOptions::default();
        assert_eq!(fault(&[], &usual), "parts");
        assert_eq!(fault(&[part(&upload, 2, 1), part(&upload, 1, 1)], &usual), "parts");
        assert_eq!(fault(&[part(&upload, 50_001, 1)], &usual), "parts");
        assert_eq!(fault(&[Part { etag: "\"e\"".into(), ..part(&upload, 1, 1) }], &usual), "parts");
        let mut late = CompleteOptions::default();
        late.call.attributes.push(("tags".into(), "a=b".into()));
        assert_eq!(fault(&[part(&upload, 1, 1)], &late), "tags");
    }

    /// An id comes from outside: what it contains is validated as the arguments of a put are.
    #[test]
    fn forged_properties_of_an_id_are_rejected() {
        for (properties, subject) in [
            (Properties { content_type: Some("a\nb".into()), ..Properties::default() }, "content-type"),
            (Properties { metadata: vec![("a\nb".into(), "1".into())], ..Properties::default() }, "metadata"),
            (Properties { attributes: vec![("if-match".into(), "*".into())], ..Properties::default() }, "if-match"),
        ] {
            let id = UploadId::new([1, 2], "k", properties).write().unwrap();
            let upload = UploadId::read(&id).unwrap();
            let parts = [part(&upload, 1, 5)];
            let made = commit(&settings(&[]), "k", &upload, &parts, &CompleteOptions::default());
            assert_eq!(made.unwrap_err().subject.as_deref(), Some(subject));
        }
    }

    #[test]
    fn block_copies_name_source_and_range() {
        let upload = upload();
        let options = CopyPartOptions { range: Some(Span { start: 2, end: 5 }), ..CopyPartOptions::default() };
        let request = copy_part(&settings(&[]), "k", &upload, 7, "http://h/c/k?sig=s", &options).unwrap();
        assert_eq!(lines(&request), ["x-ms-copy-source: http://h/c/k?sig=s", "x-ms-source-range: bytes=2-4"]);
        assert_eq!(request.query[1], ("blockid".into(), upload.block(7)));
        for number in [0, 50_001] {
            let made = copy_part(&settings(&[]), "k", &upload, number, "http://h/c/k", &CopyPartOptions::default());
            assert_eq!(made.unwrap_err().subject.as_deref(), Some("number"));
        }
    }
}
