//! Blobs written in parts, up to their completion.

use crate::answer::multipart;
use crate::content::Content;
use crate::env::{Body, Clock, Transport};
use crate::error::Failure;
use crate::headers::CHECKSUMS;
use crate::model::{
    ListPartsOptions, ListUploadsOptions, Part, PartOptions, PartPage, UploadOptions, UploadPage, WriteOptions,
};
use crate::request::{self, Request};
use crate::response::{Garbled, Head};
use crate::sigv4::PayloadHash;

use super::call::{Call, Trouble};
use super::read::absent_is_done;

impl<E: Transport + Clock> Call<'_, E> {
    /// An upload whose answer is lost stays behind unseen: nothing is in it, but only `list-uploads` finds it.
    pub(super) fn create_upload(&mut self, options: &WriteOptions) -> Result<String, Failure> {
        let key = self.whole_key()?;
        let mut request = self.checked(request::create_upload(&self.store.settings, &key, options))?;
        let mut id = String::new();
        self.ask(&mut request, "", "InitiateMultipartUploadResult", &mut |begun, _, _| {
            id = multipart::upload_id(begun)?;
            Ok(())
        })?;
        Ok(id)
    }

    pub(super) fn upload_part(
        &mut self,
        upload: &str,
        number: u32,
        body: &[u8],
        options: &PartOptions,
    ) -> Result<Part, Failure> {
        let content = self.checked(Content::here(body, &options.digests))?;
        let (key, settings) = (self.whole_key()?, &self.store.settings);
        let mut request = self.checked(request::upload_part(settings, &key, upload, number, &content, options))?;
        let sent = sent_checksums(&request);
        let payload = self.payload(&content);
        let mut etag = String::new();
        self.run(&mut request, body, &payload, &mut |call, head, answer| {
            etag = call.accepted_part(&head, answer)?;
            Ok(())
        })?;
        Ok(Part { number, size: body.len() as u64, etag, last_modified: None, attributes: sent })
    }

    pub(super) fn list_parts(&mut self, upload: &str, options: &ListPartsOptions) -> Result<PartPage, Failure> {
        let key = self.whole_key()?;
        let mut request = self.checked(request::list_parts(&self.store.settings, &key, upload, options))?;
        let mut found = PartPage::default();
        self.ask(&mut request, "", "ListPartsResult", &mut |page, _, _| {
            found = multipart::parts(page, options.continuation.as_deref())?;
            Ok(())
        })?;
        Ok(found)
    }

    pub(super) fn abort_upload(&mut self, upload: &str, options: &UploadOptions) -> Result<(), Failure> {
        let key = self.whole_key()?;
        let mut request = self.checked(request::abort_upload(&self.store.settings, &key, upload, options))?;
        absent_is_done(self.run(&mut request, &[], &PayloadHash::Empty, &mut |_, _, _| Ok(())))
    }

    pub(super) fn list_uploads(&mut self, options: &ListUploadsOptions) -> Result<UploadPage, Failure> {
        let mut request = self.checked(request::list_uploads(&self.store.settings, options))?;
        let mut found = UploadPage::default();
        self.ask(&mut request, "", "ListMultipartUploadsResult", &mut |page, head, settings| {
            found = multipart::uploads(page, head, &settings.key_prefix, options.continuation.as_deref())?;
            Ok(())
        })?;
        Ok(found)
    }
}

impl<E: Transport + Clock> Call<'_, E> {
    /// The entity tag of a part that the service took: the upload cannot be completed without it.
    pub(super) fn accepted_part(&mut self, head: &Head, body: impl Body) -> Result<String, Trouble> {
        let etag = self.accepted(head, body)?.etag;
        etag.ok_or_else(|| self.garbled(Garbled("it has no etag, without which the upload cannot be completed".into())))
    }
}

/// The checksums that a part was sent with, for its completion: the service has verified them.
pub(super) fn sent_checksums(request: &Request) -> Vec<crate::model::Pair> {
    let mut sent = Vec::new();
    for (name, _) in CHECKSUMS {
        for (header, sum) in &request.headers {
            if header.strip_prefix("x-amz-") == Some(name) {
                sent.push((name.to_owned(), sum.clone()));
            }
        }
    }
    sent
}
