//! Copies at the service.

use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{BlobName, CopyOptions, CopyPartOptions, Part, Written};

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn copy(&mut self, source: &BlobName, options: &CopyOptions) -> Result<Written, Failure> {
        let _ = (source, options);
        todo!("COPY")
    }

    pub(super) fn copy_part(
        &mut self,
        upload: &str,
        number: u32,
        source: &BlobName,
        options: &CopyPartOptions,
    ) -> Result<Part, Failure> {
        let _ = (upload, number, source, options);
        todo!("COPY")
    }
}
