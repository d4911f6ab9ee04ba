//! Checksums of bodies that are sent, and those that are asked for.

use crate::s3::checksum::base64;
use crate::s3::content::Content;
use crate::settings::Settings;

use super::{Request, attributes};

/// Adds the body's checksum, where the store is to and the caller gave none.
pub fn add(request: &mut Request, settings: &Settings, content: &Content<'_>) {
    if let Some(algorithm) = settings.checksum()
        && !attributes::has_checksum(request)
        && let Some(sum) = content.digest(algorithm)
    {
        request.header(algorithm.header(), base64(&sum));
    }
}

/// Asks for the checksum that was stored with a blob, where the store has them at all.
pub fn request_stored(request: &mut Request, settings: &Settings) {
    if settings.checksum().is_some_and(|algorithm| algorithm.name().is_some()) {
        request.header("x-amz-checksum-mode", "ENABLED");
    }
}
