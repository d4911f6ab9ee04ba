//! Blobs written in parts, up to their completion.

use crate::answer::multipart;
use crate::content::Content;
use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::headers::CHECKSUMS;
use crate::model::{
    ListPartsOptions, ListUploadsOptions, Part, PartOptions, PartPage, UploadOptions, UploadPage, WriteOptions,
};
use crate::request::{self, Request};
use crate::response::Head;
use crate::sigv4::PayloadHash;

use super::call::Call;
use super::read::absent_is_done;

impl<E: Transport + Clock> Call<'_, E> {
    /// An upload whose answer is lost stays behind unseen: nothing is in it, but only `list-uploads` finds it.
    pub(super) fn create_upload(&mut self, options: &WriteOptions) -> Result<String, Failure> {
        let mut request = self.prepare(|settings, key| request::create_upload(settings, key, options))?;
        self.ask(&mut request, "", "InitiateMultipartUploadResult", |begun, _, _| multipart::upload_id(begun))
    }

    pub(super) fn upload_part(
        &mut self,
        upload: &str,
        number: u32,
        body: &[u8],
        options: &PartOptions,
    ) -> Result<Part, Failure> {
        let content = self.known(Content::here(body, &options.digests))?;
        let mut request =
            self.prepare(|settings, key| request::upload_part(settings, key, upload, number, &content, options))?;
        let sent = sent_checksums(&request);
        let payload = self.payload(&content);
        let etag = self.run(&mut request, body, &payload, |call, head: Head, answer| {
            call.accepted(&head, answer).map(|written| written.etag)
        })?;
        let etag = etag.unwrap_or_default();
        Ok(Part { number, size: body.len() as u64, etag, last_modified: None, attributes: sent })
    }

    pub(super) fn list_parts(&mut self, upload: &str, options: &ListPartsOptions) -> Result<PartPage, Failure> {
        let mut request = self.prepare(|settings, key| request::list_parts(settings, key, upload, options))?;
        self.ask(&mut request, "", "ListPartsResult", |page, _, _| {
            multipart::parts(page, options.continuation.as_deref())
        })
    }

    pub(super) fn abort_upload(&mut self, upload: &str, options: &UploadOptions) -> Result<(), Failure> {
        let mut request = self.prepare(|settings, key| request::abort_upload(settings, key, upload, options))?;
        absent_is_done(self.run(&mut request, &[], &PayloadHash::Empty, |_, _, _| Ok(())))
    }

    pub(super) fn list_uploads(&mut self, options: &ListUploadsOptions) -> Result<UploadPage, Failure> {
        let mut request = self.prepare_bucket(|settings| request::list_uploads(settings, options))?;
        self.ask(&mut request, "", "ListMultipartUploadsResult", |page, _, settings| {
            multipart::uploads(page, &settings.key_prefix, options.continuation.as_deref())
        })
    }
}

/// The checksums that a part was sent with, for its completion: the service has verified them.
pub(super) fn sent_checksums(request: &Request) -> Vec<crate::model::Pair> {
    let sent = CHECKSUMS.iter().filter_map(|&(name, _)| {
        let header = request.headers.iter().find(|(header, _)| header.strip_prefix("x-amz-") == Some(name))?;
        Some((name.to_owned(), header.1.clone()))
    });
    sent.collect()
}
