//! Requests of multipart uploads: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>.

use crate::checksum::Names;
use crate::continuation::{Page, Versions};
use crate::headers::CHECKSUMS;
use crate::settings::Settings;
use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::{
    AbortOptions, CompleteOptions, CopyPartOptions, ListPartsOptions, ListUploadsOptions, Pair, Part, PartOptions,
    PutOptions,
};
use sandbucket_plugin::http::request::{Method, Request, visible};
use sandbucket_plugin::multipart::{check_create, check_part_number, check_parts};
use sandbucket_plugin::xml;

use super::attributes;
use super::blob::WRITES;
use super::checksum;
use super::copy::{Source, source};
use super::listing::{page_size, prefix};
use super::{SOURCE, base, metadata};
use crate::attributes::groups;

/// Maximum part number.
pub(super) const MAX_PART: u32 = 10_000;

/// Creates an upload.
pub fn create_upload(settings: &Settings, key: &str, options: &PutOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Post, settings, key);
    request.parameter("uploads", "");
    check_create(&options.condition)?;
    if let Some(media_type) = &options.content_type {
        request.header("content-type", visible("content-type", media_type)?);
    }
    metadata(&mut request.headers, &options.metadata)?;
    attributes::apply(&mut request, &options.call, settings, WRITES)?;
    if let Some(name) = settings.checksum().and_then(|algorithm| algorithm.name()) {
        request.header("x-amz-checksum-algorithm", name);
    }
    Ok(request)
}

/// Uploads a part.
pub fn upload_part(
    settings: &Settings,
    key: &str,
    upload: &str,
    number: u32,
    content: &Content<'_>,
    options: &PartOptions,
) -> Result<Request, Failure> {
    let mut request = base(Method::Put, settings, key);
    part_number(&mut request, number)?;
    upload_id(&mut request, upload)?;
    attributes::apply(&mut request, &options.call, settings, groups::CUSTOMER_KEY.union(groups::CHECKSUM))?;
    checksum::add(&mut request, settings, content);
    Ok(request)
}

/// The checksums sent with a part of this length: attributes of the part, for its completion.
pub fn part_checksums(settings: &Settings, length: u64, options: &PartOptions) -> Vec<Pair> {
    let mut request = base(Method::Put, settings, "");
    let taken = groups::CUSTOMER_KEY.union(groups::CHECKSUM);
    // Both were validated before the part was sent.
    let Ok(content) = Content::remote(length, &options.digests, settings.wanted_digests()) else { return Vec::new() };
    if attributes::apply(&mut request, &options.call, settings, taken).is_err() {
        return Vec::new();
    }
    checksum::add(&mut request, settings, &content);
    let mut sent = Vec::new();
    for (name, _) in CHECKSUMS {
        for (header, sum) in &request.headers {
            if header.strip_prefix("x-amz-") == Some(name) {
                sent.push((name.to_owned(), sum.clone()));
            }
        }
    }
    sent
}

/// Copies a part from a blob.
pub fn copy_part(
    settings: &Settings,
    key: &str,
    upload: &str,
    number: u32,
    from: Source<'_>,
    options: &CopyPartOptions,
) -> Result<Request, Failure> {
    let mut request = base(Method::Put, settings, key);
    part_number(&mut request, number)?;
    upload_id(&mut request, upload)?;
    source(&mut request, settings, from)?;
    if let Some(range) = options.range {
        request.span("x-amz-copy-source-range", range)?;
    }
    request.read_conditions(&options.source_conditions, SOURCE)?;
    attributes::apply(&mut request, &options.call, settings, groups::CUSTOMER_KEY.union(groups::SOURCE))?;
    Ok(request)
}

/// Lists a page of the parts of an upload.
pub fn list_parts(
    settings: &Settings,
    key: &str,
    upload: &str,
    options: &ListPartsOptions,
) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, key);
    upload_id(&mut request, upload)?;
    page_size(&mut request, "max-parts", options.page_size)?;
    if let Some(Page::Token(marker) | Page::After(marker)) =
        options.continuation.as_deref().map(Page::read).transpose()?
    {
        request.parameter("part-number-marker", marker);
    }
    attributes::apply(&mut request, &options.call, settings, groups::CUSTOMER_KEY)?;
    Ok(request)
}

/// Completes an upload: the request and its body.
pub fn complete_upload(
    settings: &Settings,
    key: &str,
    upload: &str,
    parts: &[Part],
    options: &CompleteOptions,
) -> Result<(Request, String), Failure> {
    check_parts(parts, MAX_PART)?;
    let mut body = String::with_capacity(128 + parts.len() * 96);
    body.push_str("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for part in parts {
        body.push_str("<Part>");
        xml::push_element(&mut body, "PartNumber", &part.number.to_string());
        xml::push_element(&mut body, "ETag", &visible("etag", &part.etag)?);
        for (name, element) in CHECKSUMS {
            if let Some((_, sum)) = part.attributes.iter().find(|(given, _)| given == name) {
                xml::push_element(&mut body, element, &visible(name, sum)?);
            }
        }
        body.push_str("</Part>");
    }
    body.push_str("</CompleteMultipartUpload>");
    let mut request = base(Method::Post, settings, key);
    upload_id(&mut request, upload)?;
    request.header("content-type", "application/xml");
    request.write_condition(&options.condition, !settings.bare_if_match)?;
    attributes::apply(&mut request, &options.call, settings, groups::CUSTOMER_KEY)?;
    Ok((request, body))
}

/// Aborts an upload.
pub fn abort_upload(settings: &Settings, key: &str, upload: &str, options: &AbortOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Delete, settings, key);
    upload_id(&mut request, upload)?;
    attributes::apply(&mut request, &options.call, settings, groups::NONE)?;
    Ok(request)
}

/// Lists a page of unfinished uploads.
pub fn list_uploads(settings: &Settings, options: &ListUploadsOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, "");
    request.parameter("uploads", "");
    request.parameter("encoding-type", "url");
    page_size(&mut request, "max-uploads", options.page_size)?;
    prefix(&mut request, settings, &options.prefix)?;
    if let Some(Versions { key, version }) = options.continuation.as_deref().map(Versions::read).transpose()? {
        request.parameter("key-marker", key);
        if !version.is_empty() {
            request.parameter("upload-id-marker", version);
        }
    }
    attributes::apply(&mut request, &options.call, settings, groups::NONE)?;
    Ok(request)
}

fn part_number(request: &mut Request, number: u32) -> Result<(), Failure> {
    check_part_number(number, MAX_PART)?;
    request.parameter("partNumber", number.to_string());
    Ok(())
}

fn upload_id(request: &mut Request, id: &str) -> Result<(), Failure> {
    if id.is_empty() || id.len() > 2048 || id.chars().any(char::is_control) {
        return Err(Error::fault("upload", "an upload's id is 1 to 2,048 bytes of text without control characters"));
    }
    request.parameter("uploadId", id);
    Ok(())
}

#[cfg(test)]
mod tests;
