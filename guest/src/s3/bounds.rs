//! Bounds on the texts and lists that a service sends, beside those on whole headers and documents.
//!
//! Each is what S3 itself allows, or what a request of ours would refuse to send back. A response with something longer is
//! malformed: what is too long is counted in the error, not shown.

use crate::s3::response::MalformedResponse;

/// The longest entity tag, in bytes: what a condition of ours may be.
pub const MAX_ETAG: usize = 1024;

/// The longest version id, in bytes: S3's own limit, and that of the argument `version`.
pub const MAX_VERSION: usize = 1024;

/// The longest upload id, in bytes: that of the argument `upload`.
pub const MAX_UPLOAD_ID: usize = 2048;

/// The longest continuation token, in bytes. It goes into a URL, of which most servers take 8 KiB.
pub const MAX_TOKEN: usize = 8 * 1024;

/// The longest attribute in a document, such as a storage class or a checksum, in bytes.
pub const MAX_ATTRIBUTE: usize = 2048;

/// The most entries in a page, and the most common prefixes: S3 never sends more, whatever it is asked for.
pub const MAX_PAGE: usize = 1000;

/// The most tags of a blob. S3 has 10.
pub const MAX_TAGS: usize = 100;

/// The longest name of a tag, in bytes. S3 has 128 characters of up to 4 bytes.
pub const MAX_TAG_NAME: usize = 1024;

/// The longest value of a tag, in bytes. S3 has 256 characters of up to 4 bytes.
pub const MAX_TAG_VALUE: usize = 2048;

/// The text, unless it has more bytes than that. `what` names it: an element or a header.
// It is called from many places: inlined it makes the plugin 1 KiB larger.
#[inline(never)]
pub fn text<'t>(what: &str, text: &'t str, longest: usize) -> Result<&'t str, MalformedResponse> {
    if text.len() > longest {
        return Err(MalformedResponse(format!(
            "its {what} has {} bytes, and at most {longest} are allowed",
            text.len()
        )));
    }
    Ok(text)
}

/// Refuses more than `most` of these elements.
#[inline(never)]
pub fn count(what: &str, count: usize, most: usize) -> Result<(), MalformedResponse> {
    if count > most {
        return Err(MalformedResponse(format!("it has more {what} elements than the {most} that are allowed")));
    }
    Ok(())
}
