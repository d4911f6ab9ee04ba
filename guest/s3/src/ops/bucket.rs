//! Operations on buckets.

use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{Operation, Output};

use crate::requests;

use super::call::{Call, Unsigned};
use super::service::nothing;

impl Call<'_, '_> {
    pub(super) fn bucket_request(&self) -> Result<Unsigned, Failure> {
        let settings = &self.s3.settings;
        match self.operation() {
            Operation::CreateBucket { name, options } => {
                let (request, body) = requests::create_bucket(settings, name, options)?;
                self.document_request(request, body)
            }
            Operation::DeleteBucket { name, options } => {
                Ok(Unsigned::bare(requests::delete_bucket(settings, name, options)?))
            }
            Operation::BucketExists { name, options } => {
                Ok(Unsigned::bare(requests::head_bucket(settings, name, options)?))
            }
            Operation::ListBuckets { options } => {
                self.document_request(requests::list_buckets(settings, options)?, String::new())
            }
            _ => Err(nothing("bucket")),
        }
    }

    /// After a lost response to a request, that the bucket exists already, or is gone, is this call's doing.
    pub(super) fn after_bucket(&self, result: Result<Output, Failure>) -> Result<Output, Failure> {
        let maybe_done = self.maybe_applied();
        match (self.operation(), result) {
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
