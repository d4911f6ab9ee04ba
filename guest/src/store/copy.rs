//! Copies at the service.

use crate::answer::multipart;
use crate::attributes::to_look;
use crate::env::{Clock, Transport};
use crate::error::{Failure, Kind};
use crate::model::{
    BlobInfo, BlobName, CallOptions, Conditions, CopyOptions, CopyPartOptions, HeadOptions, Part, WriteCondition,
    Written,
};
use crate::request::{self, Source};
use crate::response::{self, Head};
use crate::settings::Settings;
use crate::text::contains;
use crate::xml::Element;

use super::call::{Call, Wait};

/// The most that S3 copies at once, in bytes.
const MAX_COPY: u64 = 5 << 30;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn copy(&mut self, source: &BlobName, options: &CopyOptions) -> Result<Written, Failure> {
        let from = self.source_key(source)?;
        let from = Source { key: &from, version: source.version.as_deref() };
        let key = self.whole_key()?;
        let mut request = self.checked(request::copy(&self.store.settings, &key, from, options))?;
        self.check_condition(&options.condition, &options.call)?;
        let began = self.env.now();
        let mut written = Written::default();
        let mut read = |copied: &Element<'_>, head: &Head, _: &Settings| {
            written = Written { etag: multipart::etag(copied)?, version: response::version(head)? };
            Ok(())
        };
        let mut result = self.waiting(Wait::LongOnce, |call| call.ask(&mut request, "", "CopyObjectResult", &mut read));
        // What is unmet may be the source's conditions.
        let only = options.source_conditions == Conditions::default();
        if only && self.wants_bare_tag(&result, &options.condition, &options.call) {
            request = self.checked(request::copy(&self.store.settings, &key, from, options))?;
            result = self.waiting(Wait::LongOnce, |call| call.ask(&mut request, "", "CopyObjectResult", &mut read));
        }
        let written = match result.map_err(too_large_or_unmet) {
            Ok(()) => written,
            Err(failure) if self.tries.maybe_done && options.condition != WriteCondition::Always => {
                self.resolve(&options.condition, &options.call, failure, began)?
            }
            Err(failure) if self.tries.maybe_done && failure.kind == Kind::Timeout => {
                let what = "the service did not respond in time: it may have made the copy, or may still be at work on it, so \
                            read the key before copying again";
                let mut unknown = self.unknown(what, &failure);
                unknown.retryable = true;
                return Err(unknown);
            }
            Err(mut failure) => {
                // What was said of it need not be in words that are known here.
                if failure.kind == Kind::Service
                    && failure.code() == Some("InvalidRequest")
                    && self.original(source, &options.call).is_ok_and(|original| original.size > MAX_COPY)
                {
                    failure.kind = Kind::TooLarge;
                }
                return Err(failure);
            }
        };
        if self.store.settings.verify_after_write {
            self.verify(None, &written, &options.call)?;
        }
        Ok(written)
    }

    pub(super) fn copy_part(
        &mut self,
        upload: &str,
        number: u32,
        source: &BlobName,
        options: &CopyPartOptions,
    ) -> Result<Part, Failure> {
        let from = self.source_key(source)?;
        let from = Source { key: &from, version: source.version.as_deref() };
        let (key, settings) = (self.whole_key()?, &self.store.settings);
        let mut request = self.checked(request::copy_part(settings, &key, upload, number, from, options))?;
        let mut part = Part { number, ..Part::default() };
        let mut read = |copied: &Element<'_>, _: &Head, _: &Settings| {
            part.attributes = multipart::checksums(copied)?;
            part.etag = multipart::part_etag(copied)?;
            Ok(())
        };
        let copied = self.waiting(Wait::Long, |call| call.ask(&mut request, "", "CopyPartResult", &mut read));
        copied.map_err(too_large_or_unmet)?;
        part.size = match options.range {
            Some(range) => range.end - range.start,
            None => self.original(source, &options.call)?.size,
        };
        Ok(part)
    }

    /// The whole key of what is copied.
    fn source_key(&self, source: &BlobName) -> Result<String, Failure> {
        self.checked(self.store.full_key(&source.key).map_err(|mut fault| {
            fault.subject = Some("source".into());
            fault
        }))
    }

    /// What is known of the blob that is copied.
    fn original(&mut self, source: &BlobName, call: &CallOptions) -> Result<BlobInfo, Failure> {
        let given = &call.attributes;
        let key = self.source_key(source)?;
        let mut call = to_look(call);
        // What the source was encrypted with is another key than the copy's.
        call.attributes.retain(|(name, _)| name != "sse-customer-key");
        let own = given.iter().find(|(name, _)| name == "source-sse-customer-key");
        call.attributes.extend(own.map(|(_, key)| ("sse-customer-key".to_owned(), key.clone())));
        let head = HeadOptions { version: source.version.clone(), call, ..HeadOptions::default() };
        let mut request = self.checked(request::head(&self.store.settings, &key, &head))?;
        self.head(&mut request).map(|(info, _)| info)
    }
}

/// What the codes of copies mean.
fn too_large_or_unmet(mut failure: Failure) -> Failure {
    let said = failure
        .answer
        .as_ref()
        .map(|answer| (answer.code.as_deref().unwrap_or_default(), answer.message.as_deref().unwrap_or_default()));
    match said {
        // S3 has no code of its own for it.
        Some(("InvalidRequest", words)) if contains(words, "copy source is larger") => failure.kind = Kind::TooLarge,
        // Of a copy, a condition that does not hold is always this.
        Some(_) if failure.kind == Kind::NotModified => failure.kind = Kind::PreconditionFailed,
        _ => {}
    }
    failure
}
