//! Checksum headers of requests.

use crate::checksum::Names;
use crate::settings::Settings;
use sandbucket_plugin::checksum::base64;
use sandbucket_plugin::content::Content;
use sandbucket_plugin::http::request::Request;

use super::attributes;

/// The header of reads that report the stored checksum.
const MODE: &str = "x-amz-checksum-mode";

/// Adds the body's checksum if the store sends checksums and the caller gave none.
pub(super) fn add(request: &mut Request, settings: &Settings, content: &Content<'_>) {
    if let Some(algorithm) = settings.checksum()
        && !attributes::has_checksum(request)
        && let Some(sum) = content.digest(algorithm)
    {
        request.header(algorithm.header(), base64(&sum));
    }
}

/// Requests the checksum stored with a blob, if the store uses checksums and the caller has not requested it.
pub(super) fn request_stored(request: &mut Request, settings: &Settings) {
    let is_requested = request.headers.iter().any(|(name, _)| name == MODE);
    if !is_requested && settings.checksum().is_some_and(|algorithm| algorithm.name().is_some()) {
        request.header(MODE, "ENABLED");
    }
}
