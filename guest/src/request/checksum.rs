//! Checksums of bodies that are sent, and those that are asked for.

use crate::settings::Settings;

use super::{Request, attributes};

/// Adds the body's checksum, where the store is to and the caller gave none.
pub fn add(request: &mut Request, settings: &Settings, body: &[u8]) {
    if let Some(algorithm) = settings.checksum()
        && !attributes::has_checksum(request)
    {
        request.header(algorithm.header(), algorithm.of(body));
    }
}

/// Asks for the checksum that was stored with a blob, where the store has them at all.
pub fn ask(request: &mut Request, settings: &Settings) {
    if settings.checksum().is_some_and(|algorithm| algorithm.name().is_some()) {
        request.header("x-amz-checksum-mode", "ENABLED");
    }
}
