//! A step of an operation of S3: how its requests are signed, and what its error responses mean.

use std::ops::{Deref, DerefMut};

use sandbucket_plugin::checksum::Algorithm;
use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::Operation;
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::machine::{RequestBody, Step};
use sandbucket_plugin::rt::hex::hex;
use sandbucket_plugin::service::{Flow, Outgoing};

use crate::sigv4::PayloadHash;
use crate::time::AmzTime;

use super::S3;
use super::stage::Stage;

/// Where an operation of S3 goes.
pub(super) type NextStage = Flow<Stage>;

/// A step of an operation of S3.
pub(super) struct Call<'c, 's> {
    pub(super) s3: &'c mut S3,
    pub(super) step: &'c mut Step<'s, S3>,
}

impl<'s> Deref for Call<'_, 's> {
    type Target = Step<'s, S3>;

    fn deref(&self) -> &Step<'s, S3> {
        self.step
    }
}

impl DerefMut for Call<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.step
    }
}

/// A request that is not yet signed, and the hash of its body.
pub(super) struct Unsigned {
    pub(super) outgoing: Outgoing,
    pub(super) payload: PayloadHash,
}

impl Unsigned {
    /// A request without a body, whose response has one of no interest.
    pub(super) fn bare(request: Request) -> Unsigned {
        Unsigned { outgoing: Outgoing::new(request), payload: PayloadHash::Empty }
    }
}

impl Call<'_, '_> {
    /// The hash to sign for this body, or that it is unsigned.
    pub(super) fn payload(&self, content: &Content<'_>) -> PayloadHash {
        if self.s3.settings.credentials.is_none() || content.length() == 0 {
            return PayloadHash::Empty;
        }
        match self.s3.settings.signs_payload().then(|| content.digest(Algorithm::Sha256)).flatten() {
            Some(sum) => PayloadHash::Sha256(hex(&sum)),
            None => PayloadHash::Unsigned,
        }
    }

    /// The request for a document, with a document as its body if that is not empty.
    pub(super) fn document_request(&self, request: Request, body: String) -> Result<Unsigned, Failure> {
        let payload = self.payload(&Content::buffered(body.as_bytes(), &[])?);
        let body = if body.is_empty() { RequestBody::None } else { RequestBody::Bytes(body.into_bytes()) };
        Ok(Unsigned { outgoing: Outgoing::new(request).with_document().with_body(body), payload })
    }

    /// Signs a request.
    pub(super) fn sign(&mut self, request: &mut Request, payload: &PayloadHash) {
        let S3 { settings, signer, .. } = &mut *self.s3;
        if let Some(credentials) = &settings.credentials {
            let date = AmzTime::from_secs(self.step.time());
            // Where bodies are not signed, their absence need not be either, and there is less to hash.
            let payload = if settings.signs_payload() { payload } else { &PayloadHash::Unsigned };
            signer.sign(request, credentials, payload, date);
        }
        let bare = settings.bare_if_match;
        let notes = self.step.notes_mut();
        notes.sent_bare = bare;
        notes.bare_if_match |= bare;
    }
}

/// The method of the request of a stage.
pub(super) fn method(operation: &Operation, stage: &Stage) -> Method {
    match (stage, operation) {
        (Stage::Upload { .. }, _) => Method::Get,
        (Stage::Bulk { .. }, _) => Method::Post,
        (Stage::Single { .. }, _) => Method::Delete,
        (Stage::Main, operation) => match operation {
            Operation::Head { .. } | Operation::BucketExists { .. } => Method::Head,
            Operation::Put { .. }
            | Operation::Copy { .. }
            | Operation::SetTags { .. }
            | Operation::UploadPart { .. }
            | Operation::CopyPart { .. }
            | Operation::CreateBucket { .. } => Method::Put,
            Operation::Delete { .. } | Operation::AbortUpload { .. } | Operation::DeleteBucket { .. } => Method::Delete,
            Operation::CreateUpload { .. } | Operation::CompleteUpload { .. } | Operation::DeleteMany { .. } => {
                Method::Post
            }
            _ => Method::Get,
        },
        _ => Method::Head,
    }
}
