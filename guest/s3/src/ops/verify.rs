//! The setting `verify-after-write`: some services acknowledge a write before it can be read.

use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{BlobInfo, Operation, UNKNOWN_SIZE, Written};
use sandbucket_plugin::reconcile::opaque_tag;
use sandbucket_plugin::service::Flow;

use super::call::{Call, NextStage};
use super::stage::Stage;

/// Maximum number of looks; the pauses between them grow as those of retries do.
const LOOKS: u32 = 8;

impl Call<'_, '_> {
    /// The blob is verified if it can be read, with its entity tag and, if it is known, its size.
    pub(super) fn after_verify(
        &mut self,
        written: Written,
        look: u32,
        last: Option<String>,
        found: Result<(BlobInfo, Option<u64>), Failure>,
    ) -> NextStage {
        let wanted = written.etag.as_deref().map(opaque_tag);
        // The caller need not know the sizes of parts, nor that of a copy.
        let size = if let Operation::Put { length, .. } = self.operation() { Some(*length) } else { None };
        let problem = match found {
            Ok((info, _))
                if size.is_none_or(|size| info.size == size || info.size == UNKNOWN_SIZE)
                    && (wanted.is_none()
                        || info.etag.as_deref().is_none_or(|there| Some(opaque_tag(there)) == wanted)) =>
            {
                return Flow::Done(self.written_output(written));
            }
            Ok((info, _)) => {
                let etag = info.etag.as_deref().unwrap_or("none");
                format!("what is there has {} bytes and the entity tag {etag}", info.size)
            }
            Err(failure) if failure.kind == Kind::NotFound => "it is not there".to_owned(),
            Err(failure) => return self.not_verified(&written, Some(failure.message).or(last)),
        };
        let pause = self.step.backoff(look);
        if look + 1 >= LOOKS || pause >= self.remaining() {
            return self.not_verified(&written, Some(problem));
        }
        Flow::Send(Stage::Verify { written, look: look + 1, last: Some(problem) }, pause)
    }

    fn not_verified(&self, written: &Written, last: Option<String>) -> NextStage {
        let mut failure = self.failure(
            Kind::Integrity,
            &format!(
                "the service took the write with the entity tag {}, but it cannot be read back: {}",
                written.etag.as_deref().unwrap_or("none"),
                last.as_deref().unwrap_or("no time was left to look")
            ),
        );
        failure.retryable = true;
        Flow::Failed(failure)
    }
}
