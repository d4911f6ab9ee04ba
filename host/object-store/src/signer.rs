//! Presigned URLs.

use std::time::Duration;

use async_trait::async_trait;
use object_store::Result;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer, Url};
use sandbucket::PresignedMethod;

use super::SandbucketStore;
use super::convert::{error, generic, not_supported};

#[async_trait]
impl Signer for SandbucketStore {
    async fn signed_url(&self, method: Method, path: &Path, expires_in: Duration) -> Result<Url> {
        self.signed_url_opts(method, path, expires_in, &SignedUrlOptions::new()).await
    }

    /// Of query parameters, `versionId` and S3's `response-…` are supported.
    async fn signed_url_opts(
        &self,
        method: Method,
        path: &Path,
        expires_in: Duration,
        options: &SignedUrlOptions,
    ) -> Result<Url> {
        let method = match method {
            Method::GET => PresignedMethod::Get,
            Method::HEAD => PresignedMethod::Head,
            Method::PUT => PresignedMethod::Put,
            Method::DELETE => PresignedMethod::Delete,
            other => {
                return Err(not_supported(format!("{other} cannot be presigned, but GET, HEAD, PUT and DELETE can")));
            }
        };
        let mut presign = self.store.presign(method, path.as_ref()).expires(expires_in);
        for (name, value) in &options.extra_query {
            presign = if name == "versionId" { presign.version(value) } else { presign.attribute(name, value) };
        }
        let given = options.signed_headers.len();
        for (name, value) in &options.signed_headers {
            presign = presign.header(name.as_str(), value.to_str().map_err(generic)?);
        }
        let presigned = presign.await.map_err(|failed| error(path.as_ref(), failed))?;
        if presigned.headers.len() != given {
            let names: Vec<&str> = presigned.headers.iter().map(|(name, _)| name.as_str()).collect();
            let why = format!("the store's settings require headers that a URL cannot carry: {}", names.join(", "));
            return Err(not_supported(why));
        }
        Url::parse(&presigned.url).map_err(generic)
    }
}
