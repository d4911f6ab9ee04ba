//! Blobs written in parts.

use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{
    CompleteOptions, ListPartsOptions, ListUploadsOptions, Part, PartPage, UploadOptions, UploadPage, WriteOptions,
    Written,
};

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn create_upload(&mut self, options: &WriteOptions) -> Result<String, Failure> {
        let _ = options;
        todo!("UPLOAD")
    }

    pub(super) fn upload_part(
        &mut self,
        upload: &str,
        number: u32,
        body: &[u8],
        options: &UploadOptions,
    ) -> Result<Part, Failure> {
        let _ = (upload, number, body, options);
        todo!("UPLOAD")
    }

    pub(super) fn list_parts(&mut self, upload: &str, options: &ListPartsOptions) -> Result<PartPage, Failure> {
        let _ = (upload, options);
        todo!("UPLOAD")
    }

    pub(super) fn complete_upload(
        &mut self,
        upload: &str,
        parts: &[Part],
        options: &CompleteOptions,
    ) -> Result<Written, Failure> {
        let _ = (upload, parts, options);
        todo!("UPLOAD")
    }

    pub(super) fn abort_upload(&mut self, upload: &str, options: &UploadOptions) -> Result<(), Failure> {
        let _ = (upload, options);
        todo!("UPLOAD")
    }

    pub(super) fn list_uploads(&mut self, options: &ListUploadsOptions) -> Result<UploadPage, Failure> {
        let _ = options;
        todo!("UPLOAD")
    }
}
