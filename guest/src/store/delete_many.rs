//! Deleting several blobs in one request.

use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{BlobName, DeleteManyOptions};

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn delete_many(
        &mut self,
        blobs: &[BlobName],
        options: &DeleteManyOptions,
    ) -> Result<Vec<Result<(), Failure>>, Failure> {
        let _ = (blobs, options);
        todo!("DELETE")
    }
}
