//! Operations whose response is a document.

use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{Operation, Output};
use sandbucket_plugin::http::response::{Head, MalformedResponse};
use sandbucket_plugin::machine::Response;
use sandbucket_plugin::service::{AttemptError, Service};
use sandbucket_plugin::xml::Element;

use crate::documents::{self, bucket, listing, multipart};
use crate::requests;
use crate::settings::Settings;

use super::call::{Call, Unsigned};
use super::service::nothing;

impl Call<'_, '_> {
    /// The request of an operation that asks for a document and sends none.
    pub(super) fn asking_request(&self) -> Result<Unsigned, Failure> {
        let settings = &self.s3.settings;
        let request = match self.operation() {
            Operation::List { options } => requests::list(settings, options),
            Operation::ListVersions { options } => requests::list_versions(settings, options),
            Operation::GetTags { options, .. } => requests::tags(settings, &self.full_key()?, options),
            Operation::CreateUpload { options, .. } => requests::create_upload(settings, &self.full_key()?, options),
            Operation::ListParts { upload, options, .. } => {
                requests::list_parts(settings, &self.full_key()?, upload, options)
            }
            Operation::ListUploads { options } => requests::list_uploads(settings, options),
            _ => return Err(nothing("document to ask for")),
        };
        self.document_request(request?, String::new())
    }

    /// What the document of a response says.
    pub(super) fn asked(&self, operation: &Operation, response: &Response<'_>) -> Result<Output, AttemptError> {
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
            _ => {
                let what = "the response is not the operation's".to_owned();
                return Err(AttemptError::Stop(Kind::Integrity, what));
            }
        };
        self.document_of(response, root, None, |element, head, settings| {
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
                Operation::GetTags { .. } => Output::GetTags(sandbucket_plugin::tags::parse(element)?),
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
    pub(super) fn document_of<T>(
        &self,
        response: &Response<'_>,
        root: &str,
        nothing: Option<&str>,
        read: impl FnOnce(&Element<'_>, &Head, &Settings) -> Result<T, MalformedResponse>,
    ) -> Result<T, AttemptError> {
        let (head, body) = (&response.head, self.document(response)?);
        let text = match nothing {
            Some(nothing) if body.trim_ascii().is_empty() => nothing.as_bytes(),
            _ => body,
        };
        let document = match documents::document(text, root) {
            Err(_) if documents::document(text, "Error").is_ok() => {
                return Err(self.s3.error_response(self.step, head, text).into());
            }
            read => read?,
        };
        Ok(read(&document.root(), head, &self.s3.settings)?)
    }
}
