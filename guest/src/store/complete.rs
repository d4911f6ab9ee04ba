//! The blob made of its parts.

use crate::answer::multipart;
use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{CompleteOptions, Part, Written};
use crate::request;
use crate::response::{self, Head};
use crate::settings::Settings;
use crate::xml::Element;

use super::call::{Call, Wait};
use super::write::absent_is_unmatched;

/// What a completion is answered with.
const ROOT: &str = "CompleteMultipartUploadResult";

impl<E: Transport + Clock> Call<'_, E> {
    /// S3 begins its response before the blob is made, and may end it with an error: it is then completed again. Where a
    /// response was lost, the upload may be gone because it was completed.
    pub(super) fn complete_upload(
        &mut self,
        upload: &str,
        parts: &[Part],
        options: &CompleteOptions,
    ) -> Result<Written, Failure> {
        let key = self.whole_key()?;
        let (mut request, body) =
            self.checked(request::complete_upload(&self.store.settings, &key, upload, parts, options))?;
        self.check_condition(&options.condition, &options.call)?;
        let mut written = Written::default();
        let mut read = |completed: &Element<'_>, head: &Head, _: &Settings| {
            written = Written { etag: multipart::etag(completed)?, version: response::version(head)? };
            Ok(())
        };
        let mut result = self.waiting(Wait::LongOnce, |call| call.ask(&mut request, &body, ROOT, &mut read));
        if self.wants_bare_tag(&result, &options.condition, &options.call) {
            (request, _) =
                self.checked(request::complete_upload(&self.store.settings, &key, upload, parts, options))?;
            result = self.waiting(Wait::LongOnce, |call| call.ask(&mut request, &body, ROOT, &mut read));
        }
        let written = match result {
            Ok(()) if written.etag.is_none() => self.found_etag(written, parts, &options.call),
            Ok(()) => written,
            Err(failure) if self.tries.maybe_done => self.resolve_completion(upload, parts, &options.call, failure)?,
            Err(failure) if is_no_upload(&failure) => return Err(failure),
            Err(failure) => return Err(absent_is_unmatched(failure, &options.condition)),
        };
        if self.store.settings.verify_after_write {
            // Its tag is of its parts, of whose sizes a caller need not know.
            self.verify(None, &written, &options.call)?;
        }
        Ok(written)
    }
}

/// Whether the service knows no such upload.
pub(super) fn is_no_upload(failure: &Failure) -> bool {
    failure.code() == Some("NoSuchUpload")
}
