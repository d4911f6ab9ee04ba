//! Head, get and delete.

use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{BlobHead, ByteRange, GetOptions, Output};
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::service::{AttemptError, blob_head};

use crate::requests;
use crate::response;

use super::call::{Call, Unsigned};
use super::stage::Reply;

impl Call<'_, '_> {
    pub(super) fn get_request(&self, options: &GetOptions) -> Result<Unsigned, Failure> {
        let request = requests::get(&self.s3.settings, &self.full_key()?, options)?;
        let Unsigned { outgoing, payload } = Unsigned::bare(request);
        Ok(Unsigned { outgoing: outgoing.with_stream(), payload })
    }

    /// What the response to a HEAD says.
    pub(super) fn info(&self, head: &Head) -> Result<Reply, AttemptError> {
        let info = response::blob_info(head)?;
        Ok(Reply::Info(info, head.date()))
    }

    /// What the header of a response to a GET says.
    pub(super) fn blob_head(&self, head: &Head, asked: ByteRange) -> Result<BlobHead, AttemptError> {
        let (info, body_range) = response::blob_part(head, asked)?;
        let digest = response::checksum_of(head, body_range, info.size);
        blob_head(info, body_range, asked, digest)
    }

    /// Services respond alike whether or not the blob existed, but for those that say that it did not.
    pub(super) fn after_delete(&self, result: Result<Output, Failure>) -> Result<Output, Failure> {
        // After a lost response, that it is gone may be this call's doing.
        let known = result.is_err() && !self.maybe_applied();
        absent_is_done(result.map(drop)).map(|()| Output::Delete(known.then_some(false)))
    }
}

/// A missing blob or upload is what a deletion asks for. A missing bucket is another matter, and so is a 404 without a code of
/// S3's, which need not come from the service.
pub(super) fn absent_is_done(done: Result<(), Failure>) -> Result<(), Failure> {
    match done {
        Err(mut failure) if failure.kind == Kind::NotFound => match failure.code() {
            Some("NoSuchBucket") => Err(failure),
            Some(_) => Ok(()),
            None => {
                failure.message.push_str(
                    "; the response has no code of S3's, as that of a proxy or of another service: check endpoint and \
                     addressing-style",
                );
                Err(failure)
            }
        },
        done => done,
    }
}
