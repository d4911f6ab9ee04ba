//! Limits on texts and lists in responses, besides those on headers and documents as a whole.
//!
//! Each is the largest known limit of a service, or that of the argument that a later request sends the text in. A response beyond a limit is malformed; the
//! error reports the length and omits the text.

use super::response::MalformedResponse;

/// Maximum length of an entity tag in bytes, as in conditions.
pub const MAX_ETAG: usize = 1024;

/// Maximum length of a version id in bytes, as in the argument `version`.
pub const MAX_VERSION: usize = 1024;

/// Maximum length of an upload id in bytes, as in the argument `upload`.
pub const MAX_UPLOAD_ID: usize = 2048;

/// Maximum length of a continuation token in bytes. It is sent in a URL, which most servers limit to 8 KiB.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Maximum length of an attribute in a document, such as a storage class or a checksum, in bytes.
pub const MAX_ATTRIBUTE: usize = 2048;

/// Maximum number of entries in a page, and of common prefixes. S3 never sends more.
pub const MAX_PAGE: usize = 1000;

/// Maximum number of tags of a blob. S3 allows 10.
pub const MAX_TAGS: usize = 100;

/// Maximum length of a tag's name in bytes. S3 allows 128 characters of up to 4 bytes.
pub const MAX_TAG_NAME: usize = 1024;

/// Maximum length of a tag's value in bytes. S3 allows 256 characters of up to 4 bytes.
pub const MAX_TAG_VALUE: usize = 2048;

/// Returns the text unless it has more than `longest` bytes. `what` names the element or header.
// Has many callers: inlining makes the plugin 1 KiB larger.
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

/// Rejects more than `most` elements named `what`.
#[inline(never)]
pub fn count(what: &str, count: usize, most: usize) -> Result<(), MalformedResponse> {
    if count > most {
        return Err(MalformedResponse(format!("it has more {what} elements than the {most} that are allowed")));
    }
    Ok(())
}
