//! Requests to read, write and delete a blob.

use crate::contract::error::{Error, Failure};
use crate::contract::model::{ByteRange, DeleteOptions, GetOptions, HeadOptions, PutOptions};
use crate::s3::content::Content;
use crate::settings::{Checksum, Settings};

use super::attributes;
use super::checksum;
use super::{Method, READ, Request, base, conditions, metadata, version, visible, write_condition};
use crate::s3::attributes::Accepts;

/// Attributes accepted by all operations that write a blob.
pub(crate) const WRITES: Accepts = Accepts::PROPERTIES.and(Accepts::ENCRYPTION).and(Accepts::CUSTOMER_KEY);

/// Reads a blob's properties. `key` is the validated full key.
pub fn head(settings: &Settings, key: &str, options: &HeadOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Head, settings, key);
    attributes::apply(&mut request, &options.call, settings, Accepts::CUSTOMER_KEY.and(Accepts::PART))?;
    version(&mut request, options.version.as_deref())?;
    conditions(&mut request, &options.conditions, READ)?;
    // There is no body to verify, and with KMS the checksum needs one more permission.
    if settings.checksum != Checksum::Auto {
        checksum::request_stored(&mut request, settings);
    }
    Ok(request)
}

/// Reads a blob or a range of it.
pub fn get(settings: &Settings, key: &str, options: &GetOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, key);
    attributes::apply(&mut request, &options.call, settings, Accepts::CUSTOMER_KEY)?;
    if let Some(range) = range(options.range)? {
        request.header("range", range);
    }
    version(&mut request, options.version.as_deref())?;
    conditions(&mut request, &options.conditions, READ)?;
    checksum::request_stored(&mut request, settings);
    Ok(request)
}

/// Writes a blob.
pub fn put(settings: &Settings, key: &str, content: &Content<'_>, options: &PutOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Put, settings, key);
    if let Some(media_type) = &options.content_type {
        request.header("content-type", visible("content-type", media_type)?);
    }
    write_condition(&mut request, settings, &options.condition)?;
    metadata(&mut request.headers, &options.metadata)?;
    attributes::apply(&mut request, &options.call, settings, WRITES.and(Accepts::CHECKSUM))?;
    checksum::add(&mut request, settings, content);
    Ok(request)
}

/// Deletes a blob.
pub fn delete(settings: &Settings, key: &str, options: &DeleteOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Delete, settings, key);
    attributes::apply(&mut request, &options.call, settings, Accepts::BYPASS.and(Accepts::MATCH))?;
    version(&mut request, options.version.as_deref())?;
    Ok(request)
}

/// The value of `range`. None for the whole blob.
fn range(range: ByteRange) -> Result<Option<String>, Failure> {
    match range {
        ByteRange::Whole => Ok(None),
        ByteRange::From(start) => Ok(Some(format!("bytes={start}-"))),
        ByteRange::Within(span) if span.start >= span.end => Err(Error::fault(
            "range",
            format!("the range {}..{} holds no byte: its end must be above its start", span.start, span.end),
        )),
        ByteRange::Within(span) => Ok(Some(format!("bytes={}-{}", span.start, span.end - 1))),
        ByteRange::Last(0) => Err(Error::fault("range", "the last 0 bytes are none: ask for 1 or more")),
        ByteRange::Last(count) => Ok(Some(format!("bytes=-{count}"))),
    }
}

#[cfg(test)]
mod tests;
