//! Operations on buckets.

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{Operation, Output};
use crate::s3::requests;

use super::call::{Call, Outgoing};

impl Call<'_> {
    pub(super) fn bucket_request(&self) -> Result<Outgoing, Failure> {
        let settings = &self.store.settings;
        match &self.state.operation {
            Operation::CreateBucket { name, options } => {
                let (request, body) = self.checked(requests::create_bucket(settings, name, options))?;
                self.document_request(request, body)
            }
            Operation::DeleteBucket { name, options } => {
                Ok(Outgoing::bare(self.checked(requests::delete_bucket(settings, name, options))?))
            }
            Operation::BucketExists { name, options } => {
                Ok(Outgoing::bare(self.checked(requests::head_bucket(settings, name, options))?))
            }
            Operation::ListBuckets { options } => {
                self.document_request(self.checked(requests::list_buckets(settings, options))?, String::new())
            }
            _ => Err(self.failure(Kind::InvalidArgument, "there is no bucket")),
        }
    }

    /// After a lost response to a request, that the bucket exists already, or is gone, is this call's doing.
    pub(super) fn after_bucket(&self, result: Result<Output, Failure>) -> Result<Output, Failure> {
        let maybe_done = self.state.progress.maybe_done;
        match (&self.state.operation, result) {
            (Operation::CreateBucket { .. }, Err(failure))
                if maybe_done && failure.code() == Some("BucketAlreadyOwnedByYou") =>
            {
                Ok(Output::CreateBucket)
            }
            (Operation::DeleteBucket { .. }, Err(failure)) if maybe_done && failure.kind == Kind::NotFound => {
                Ok(Output::DeleteBucket)
            }
            (Operation::BucketExists { .. }, Err(failure)) if failure.kind == Kind::NotFound => {
                Ok(Output::BucketExists(false))
            }
            // Some services ignore the prefix.
            (Operation::ListBuckets { options }, Ok(Output::ListBuckets(mut page))) => {
                page.buckets.retain(|bucket| bucket.name.starts_with(&options.prefix));
                Ok(Output::ListBuckets(page))
            }
            (_, result) => result,
        }
    }
}
