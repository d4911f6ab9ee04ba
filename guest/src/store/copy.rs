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

use super::call::Call;
use super::outcome::bare;

/// The most that S3 copies at once, in bytes.
const MAX_COPY: u64 = 5 << 30;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn copy(&mut self, source: &BlobName, options: &CopyOptions) -> Result<Written, Failure> {
        let from = self.source_key(source)?;
        let from = Source { key: &from, version: source.version.as_deref() };
        let key = self.whole_key()?;
        let mut request = self.checked(request::copy(&self.store.settings, &key, from, options))?;
        let began = self.env.now();
        let mut written = Written::default();
        let mut read = |copied: &Element<'_>, head: &Head, _: &Settings| {
            written = Written { etag: multipart::etag(copied)?, version: response::version(head)? };
            Ok(())
        };
        let mut result = self.ask(&mut request, "", "CopyObjectResult", &mut read);
        // What is unmet may be the source's conditions.
        let only = options.source_conditions == Conditions::default();
        if only && self.wants_bare_tag(&result, &options.condition, &options.call) {
            request = self.checked(request::copy(&self.store.settings, &key, from, options))?;
            result = self.ask(&mut request, "", "CopyObjectResult", &mut read);
        }
        let written = match result.map_err(too_large_or_unmet) {
            Ok(()) => written,
            Err(failure) if self.tries.maybe_done && options.condition != WriteCondition::Always => {
                let original = self.original(source, &options.call);
                self.resolve(&options.condition, &options.call, failure, began, &|info| {
                    original.as_ref().is_ok_and(|original| is_copy(original, info))
                })?
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
        let copied = self.ask(&mut request, "", "CopyPartResult", &mut |copied, _, _| {
            part.attributes = multipart::checksums(copied)?;
            part.etag = multipart::part_etag(copied)?;
            Ok(())
        });
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

/// A copy at once has the bytes of its source, and so its tag, unless one of them is encrypted or was written in parts.
fn is_copy(original: &BlobInfo, copy: &BlobInfo) -> bool {
    let tag = |info: &BlobInfo| info.etag.as_deref().map(|etag| bare(etag).to_owned());
    original.size == copy.size && tag(original).is_some() && tag(original) == tag(copy)
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
