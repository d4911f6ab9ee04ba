//! Presigned URLs.

use std::future::IntoFuture;
use std::time::Duration;

use super::{awaited, every_call};
use crate::error::{Error, Result};
use crate::ops::calls::{Call, Calls};
use crate::ops::options::PresignOptions;
use crate::types::blob::{Presigned, PresignedMethod};

/// Default validity of a URL.
const DEFAULT_EXPIRY: Duration = Duration::from_secs(15 * 60);

/// Request builder of [`Store::presign`](crate::Store::presign). Await it; it sends no request.
#[must_use = "a call does nothing until it is awaited"]
pub struct Presign {
    calls: Calls,
    method: PresignedMethod,
    key: String,
    expires_in: Duration,
    options: PresignOptions,
}

impl Presign {
    pub(crate) fn new(calls: Calls, method: PresignedMethod, key: String) -> Self {
        Presign { calls, method, key, expires_in: DEFAULT_EXPIRY, options: PresignOptions::default() }
    }

    /// Validity of the URL: 1 second to 7 days. Default: 15 minutes.
    pub fn expires(mut self, time: Duration) -> Self {
        self.expires_in = time;
        self
    }

    /// Requires this header and value of the request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.headers.push((name.into(), value.into()));
        self
    }

    /// Selects this version instead of the current one.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    every_call!();

    async fn call(self) -> Result<Presigned> {
        let presigned = self.calls.presign(self.method, &self.key, self.expires_in, &self.options).await?;
        // The plugin must not direct users of the URL to any host but the store's endpoint.
        let place = self.calls.pool().gate().check_url(&presigned.url);
        place.map_err(|words| {
            Error::plugin(format!("presign: it returned a URL that the store may not reach: {words}"))
        })?;
        Ok(presigned)
    }
}

awaited!(Presign => Presigned, call);
