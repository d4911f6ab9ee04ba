//! Requests to read, write and delete a blob.

use crate::settings::{Checksum, Settings};
use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::{DeleteOptions, GetOptions, HeadOptions, PutOptions};
use sandbucket_plugin::http::request::{Method, READ_CONDITIONS, Request, visible};

use super::attributes;
use super::checksum;
use super::{base, metadata, version};
use crate::attributes::groups;
use sandbucket_plugin::attributes::AttributeGroups;

/// Attributes accepted by all operations that write a blob.
pub(crate) const WRITES: AttributeGroups = groups::PROPERTIES.union(groups::ENCRYPTION).union(groups::CUSTOMER_KEY);

/// Reads a blob's properties. `key` is the validated full key.
pub fn head(settings: &Settings, key: &str, options: &HeadOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Head, settings, key);
    attributes::apply(
        &mut request,
        &options.call,
        settings,
        groups::CUSTOMER_KEY.union(groups::PART).union(groups::CHECKSUM_MODE),
    )?;
    version(&mut request, options.version.as_deref())?;
    request.read_conditions(&options.conditions, READ_CONDITIONS)?;
    // There is no body to verify, and with KMS the checksum needs one more permission.
    if settings.checksum != Checksum::Auto {
        checksum::request_stored(&mut request, settings);
    }
    Ok(request)
}

/// Reads a blob or a range of it.
pub fn get(settings: &Settings, key: &str, options: &GetOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, key);
    attributes::apply(&mut request, &options.call, settings, groups::CUSTOMER_KEY.union(groups::CHECKSUM_MODE))?;
    request.range(options.range)?;
    version(&mut request, options.version.as_deref())?;
    request.read_conditions(&options.conditions, READ_CONDITIONS)?;
    checksum::request_stored(&mut request, settings);
    Ok(request)
}

/// Writes a blob.
pub fn put(settings: &Settings, key: &str, content: &Content<'_>, options: &PutOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Put, settings, key);
    if let Some(media_type) = &options.content_type {
        request.header("content-type", visible("content-type", media_type)?);
    }
    request.write_condition(&options.condition, !settings.bare_if_match)?;
    metadata(&mut request.headers, &options.metadata)?;
    attributes::apply(&mut request, &options.call, settings, WRITES.union(groups::CHECKSUM))?;
    checksum::add(&mut request, settings, content);
    Ok(request)
}

/// Deletes a blob.
pub fn delete(settings: &Settings, key: &str, options: &DeleteOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Delete, settings, key);
    attributes::apply(&mut request, &options.call, settings, groups::BYPASS.union(groups::MATCH))?;
    version(&mut request, options.version.as_deref())?;
    Ok(request)
}

#[cfg(test)]
mod tests;
