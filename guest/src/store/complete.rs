//! The blob made of its parts.

use crate::answer::multipart;
use crate::env::{Clock, Transport};
use crate::error::{Failure, Kind};
use crate::model::{CompleteOptions, Part, Written};
use crate::request;
use crate::response::{self, Head};
use crate::settings::Settings;
use crate::xml::Element;

use super::call::Call;
use super::outcome;
use super::write::absent_is_unmatched;

/// What a completion is answered with.
const ROOT: &str = "CompleteMultipartUploadResult";

impl<E: Transport + Clock> Call<'_, E> {
    /// S3 begins its answer before the blob is made, and may end it with an error: it is then completed again. Where an
    /// answer was lost, the upload may be gone because it was completed.
    pub(super) fn complete_upload(
        &mut self,
        upload: &str,
        parts: &[Part],
        options: &CompleteOptions,
    ) -> Result<Written, Failure> {
        let key = self.whole_key()?;
        let (mut request, body) =
            self.checked(request::complete_upload(&self.store.settings, &key, upload, parts, options))?;
        let began = self.env.now();
        let mut written = Written::default();
        let mut read = |completed: &Element<'_>, head: &Head, _: &Settings| {
            written = Written { etag: multipart::etag(completed)?, version: response::version(head)? };
            Ok(())
        };
        let mut result = self.ask(&mut request, &body, ROOT, &mut read);
        if self.wants_bare_tag(&result, &options.condition, &options.call) {
            (request, _) =
                self.checked(request::complete_upload(&self.store.settings, &key, upload, parts, options))?;
            result = self.ask(&mut request, &body, ROOT, &mut read);
        }
        let written = match result {
            Ok(()) => written,
            Err(failure) if self.tries.maybe_done => {
                let (condition, call) = (&options.condition, &options.call);
                let found =
                    self.resolve(condition, call, failure.clone(), began, &|info| outcome::is_of_parts(parts, info));
                // Where the upload was not told to be gone, it can be completed again.
                let open = !is_no_upload(&failure) && failure.kind != Kind::PreconditionFailed;
                found.map_err(|unclear| if open { failure } else { unclear })?
            }
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

fn is_no_upload(failure: &Failure) -> bool {
    failure.code() == Some("NoSuchUpload")
}
