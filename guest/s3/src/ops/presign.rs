//! Presigned requests.

use crate::contract::error::{Error, Failure, Kind};
use crate::contract::model::{PresignOptions, Presigned, PresignedMethod};
use crate::s3::requests;
use crate::s3::time::AmzTime;

use super::call::Call;

impl Call<'_> {
    pub(super) fn presign(&mut self, method: PresignedMethod, options: &PresignOptions) -> Result<Presigned, Failure> {
        let key = self.full_key()?;
        let (mut request, expires) = self.checked(requests::presign(&self.store.settings, &key, method, options))?;
        let now = AmzTime::from_secs(self.store.service_time(self.wall));
        let Some(credentials) = &self.store.settings.credentials else {
            let mut fault = Error::fault("access-key", "there is no key to sign with: set access-key and secret-key");
            fault.kind = Kind::Unsupported;
            return self.checked(Err(fault));
        };
        self.store.signer.presign(&mut request, credentials, expires, now);
        let scheme = if request.https { "https" } else { "http" };
        let url = format!("{scheme}://{}{}", request.authority, request.path_and_query());
        let mut headers = Vec::with_capacity(request.headers.len());
        for (name, value) in request.headers {
            headers.push((name.into_owned(), value));
        }
        Ok(Presigned { url, headers })
    }
}
