//! Presigned requests.

use sandbucket_plugin::contract::error::{Error, Failure, Kind};
use sandbucket_plugin::contract::model::{PresignOptions, Presigned, PresignedMethod};
use sandbucket_plugin::presign::presigned;

use crate::requests;
use crate::time::AmzTime;

use super::call::Call;

impl Call<'_, '_> {
    pub(super) fn presign(&mut self, method: PresignedMethod, options: &PresignOptions) -> Result<Presigned, Failure> {
        let key = self.full_key()?;
        let (mut request, expires) = requests::presign(&self.s3.settings, &key, method, options)?;
        let now = AmzTime::from_secs(self.time());
        let Some(credentials) = &self.s3.settings.credentials else {
            let mut fault = Error::fault("access-key", "there is no key to sign with: set access-key and secret-key");
            fault.kind = Kind::Unsupported;
            return Err(fault);
        };
        self.s3.signer.presign(&mut request, credentials, expires, now);
        Ok(presigned(request))
    }
}
