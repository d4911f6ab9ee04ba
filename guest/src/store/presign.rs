//! Requests for others to send.

use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{PresignOptions, Presigned, PresignedMethod};

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn presign(&mut self, method: PresignedMethod, options: &PresignOptions) -> Result<Presigned, Failure> {
        let _ = (method, options);
        todo!("PRESIGN")
    }
}
