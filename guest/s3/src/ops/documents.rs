//! Operations whose response is a document.

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{Operation, Output};
use crate::s3::documents::{self, bucket, listing, multipart};
use crate::s3::requests;
use crate::s3::response::{Head, MalformedResponse};
use crate::s3::xml::{self, Element};
use crate::settings::Settings;

use super::call::{Call, Outgoing, Trouble};

/// The longest document that is read, in bytes. A page of 1,000 keys of 1,024 characters, all of them escaped, is a quarter of it.
pub(super) const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

impl Call<'_> {
    /// The request of an operation that asks for a document and sends none.
    pub(super) fn asking_request(&self) -> Result<Outgoing, Failure> {
        let settings = &self.store.settings;
        let request = match &self.state.operation {
            Operation::List { options } => requests::list(settings, options),
            Operation::ListVersions { options } => requests::list_versions(settings, options),
            Operation::GetTags { options, .. } => requests::tags(settings, &self.full_key()?, options),
            Operation::CreateUpload { options, .. } => requests::create_upload(settings, &self.full_key()?, options),
            Operation::ListParts { upload, options, .. } => {
                requests::list_parts(settings, &self.full_key()?, upload, options)
            }
            Operation::ListUploads { options } => requests::list_uploads(settings, options),
            _ => return Err(self.failure(Kind::InvalidArgument, "there is no document to ask for")),
        };
        self.document_request(self.checked(request)?, String::new())
    }

    /// What the document of a response says.
    pub(super) fn asked(
        &self,
        operation: &Operation,
        head: &Head,
        body: &[u8],
        truncated: bool,
    ) -> Result<Output, Trouble> {
        let root = match operation {
            Operation::List { .. } => "ListBucketResult",
            Operation::ListVersions { .. } => "ListVersionsResult",
            Operation::GetTags { .. } => "Tagging",
            Operation::CreateUpload { .. } => "InitiateMultipartUploadResult",
            Operation::ListParts { .. } => "ListPartsResult",
            Operation::ListUploads { .. } => "ListMultipartUploadsResult",
            Operation::Copy { .. } => "CopyObjectResult",
            Operation::CopyPart { .. } => "CopyPartResult",
            Operation::CompleteUpload { .. } => "CompleteMultipartUploadResult",
            Operation::ListBuckets { .. } => "ListAllMyBucketsResult",
            _ => return Err(self.stop(Kind::Integrity, "the response is not the operation's")),
        };
        self.document(head, body, truncated, root, None, |element, head, settings| {
            Ok(match operation {
                Operation::List { options } => {
                    let mut page = listing::list(element, &settings.key_prefix, options.continuation.as_deref())?;
                    if let Some(after) = options.start_after.as_deref().filter(|after| !after.is_empty()) {
                        listing::only_after(&mut page, after);
                    }
                    Output::List(page)
                }
                Operation::ListVersions { options } => Output::ListVersions(listing::list_versions(
                    element,
                    &settings.key_prefix,
                    options.continuation.as_deref(),
                )?),
                Operation::GetTags { .. } => Output::GetTags(documents::tags::tags(element)?),
                Operation::CreateUpload { .. } => Output::CreateUpload(multipart::upload_id(element)?),
                Operation::ListParts { options, .. } => {
                    Output::ListParts(multipart::parts(element, options.continuation.as_deref())?)
                }
                Operation::ListUploads { options } => Output::ListUploads(multipart::uploads(
                    element,
                    head,
                    &settings.key_prefix,
                    options.continuation.as_deref(),
                )?),
                Operation::CopyPart { number, .. } => Output::CopyPart(multipart::copied_part(*number, element)?),
                Operation::ListBuckets { options } => {
                    Output::ListBuckets(bucket::buckets(element, options.continuation.as_deref())?)
                }
                Operation::Copy { .. } => Output::Copy(multipart::written(element, head)?),
                _ => Output::CompleteUpload(multipart::written(element, head)?),
            })
        })
    }

    /// Reads a document with this outermost element. A service that may respond without one is taken to have sent `nothing`.
    ///
    /// That a document is an error in spite of its status is what S3 does if it began its response before it knew.
    pub(super) fn document<T>(
        &self,
        head: &Head,
        body: &[u8],
        truncated: bool,
        root: &str,
        nothing: Option<&str>,
        read: impl FnOnce(&Element<'_>, &Head, &Settings) -> Result<T, MalformedResponse>,
    ) -> Result<T, Trouble> {
        if truncated || body.len() > MAX_DOCUMENT {
            return Err(self.stop(Kind::TooLarge, &format!("its document is larger than {MAX_DOCUMENT} bytes")));
        }
        let announced = head.content_length().map_err(|malformed| self.malformed(malformed))?;
        if let Some(length) = announced.filter(|length| *length != body.len() as u64) {
            let what = format!("its document has {} bytes where {length} were announced", body.len());
            return Err(self.malformed(MalformedResponse(what)));
        }
        let text = match nothing {
            Some(nothing) if body.trim_ascii().is_empty() => nothing.as_bytes(),
            _ => body,
        };
        let document = match xml::document(text, root) {
            Err(_) if xml::document(text, "Error").is_ok() => return Err(self.refused(self.method(), head, text)),
            read => read.map_err(|malformed| self.malformed(malformed))?,
        };
        read(&document.root(), head, &self.store.settings).map_err(|malformed| self.malformed(malformed))
    }
}
