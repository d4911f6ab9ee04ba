//! Put: written once, or it is said that this cannot be told.

use crate::attributes::to_look;
use crate::content::Content;
use crate::env::{Body, Clock, Transport};
use crate::error::{Failure, Kind};
use crate::model::{CallOptions, HeadOptions, WriteCondition, WriteOptions, Written};
use crate::request;
use crate::response::{self, Garbled, Head, UNKNOWN_SIZE};
use crate::retry;
use crate::service_error;

use super::call::{Call, Trouble};
use super::outcome;

/// How often `verify-after-write` looks before it gives up; the pauses between grow as those of retries do.
const LOOKS: u32 = 8;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn put(&mut self, body: &[u8], options: &WriteOptions) -> Result<Written, Failure> {
        let content = self.checked(Content::here(body, &options.digests))?;
        let key = self.whole_key()?;
        let mut request = self.checked(request::put(&self.store.settings, &key, &content, options))?;
        let payload = self.payload(&content);
        let began = self.env.now();
        let mut written = Written::default();
        let mut result = self.run(&mut request, body, &payload, &mut |call, head, answer| {
            written = call.accepted(&head, answer)?;
            Ok(())
        });
        if self.wants_bare_tag(&result, &options.condition, &options.call) {
            request = self.checked(request::put(&self.store.settings, &key, &content, options))?;
            result = self.run(&mut request, body, &payload, &mut |call, head, answer| {
                written = call.accepted(&head, answer)?;
                Ok(())
            });
        }
        self.written(result.map(|()| written), &content, options, began)
    }

    /// Whether the service refused a write for its quotes around the entity tag in `if-match`, as Ceph and what is built on
    /// it do: what is there has that tag. From then on the store leaves the quotes out. The condition still holds the write
    /// back if the blob changes in between.
    pub(super) fn wants_bare_tag<T>(
        &mut self,
        result: &Result<T, Failure>,
        condition: &WriteCondition,
        call: &CallOptions,
    ) -> bool {
        let (Err(failure), WriteCondition::IfMatch(tag)) = (result, condition) else { return false };
        // Where an answer was lost, a write of ours may be what is there.
        let unmet = failure.kind == Kind::PreconditionFailed && !self.tries.maybe_done;
        // Without quotes it does not hold either: the next write finds out anew.
        if std::mem::take(&mut self.store.settings.bare_if_match) {
            self.store.settings.bare_if_match = !unmet;
            return false;
        }
        let asks = unmet && !self.store.settings.endpoint.aws && tag.ends_with('"') && !self.remaining().is_zero();
        if !asks {
            return false;
        }
        // The failure to report is the write's, not this request's.
        let found = self.aside(|this| this.look(call));
        let there = found.ok().and_then(|(info, _)| info.etag);
        self.store.settings.bare_if_match = there.is_some_and(|there| outcome::bare(&there) == outcome::bare(tag));
        self.store.settings.bare_if_match
    }

    /// What a write came to whose tries, the first of which began at this instant, are over.
    pub(super) fn written(
        &mut self,
        result: Result<Written, Failure>,
        content: &Content<'_>,
        options: &WriteOptions,
        began: u64,
    ) -> Result<Written, Failure> {
        let written = match result {
            Ok(written) => written,
            Err(failure) if options.condition == WriteCondition::Always => return Err(failure),
            Err(failure) if !self.tries.maybe_done => return Err(absent_is_unmatched(failure, &options.condition)),
            Err(failure) => self.resolve(&options.condition, &options.call, failure, began)?,
        };
        if self.store.settings.verify_after_write {
            self.verify(Some(content.length()), &written, &options.call)?;
        }
        Ok(written)
    }

    /// What the service says to a write that it took.
    pub(super) fn accepted(&mut self, head: &Head, mut body: impl Body) -> Result<Written, Trouble> {
        let length = head.content_length().map_err(|garbled| self.garbled(garbled))?;
        let written = response::written(head).map_err(|garbled| self.garbled(garbled))?;
        if length != Some(0) {
            // Success has an empty body. What has not may be a failure that was noticed late, or no S3 service at all.
            let text = self.error_body(&mut body);
            if service_error::is_error_document(&text) {
                return Err(self.garbled(Garbled(format!(
                    "it is a {} and holds an error all the same: \"{}\"",
                    head.status,
                    crate::error::tidy(&String::from_utf8_lossy(&text), 300)
                ))));
            }
            if written.etag.is_none() && !text.trim_ascii().is_empty() {
                let what = "it has no etag, but a body, where an S3 service answers a write with an empty one";
                return Err(self.garbled(Garbled(what.into())));
            }
        }
        Ok(written)
    }

    /// Waits until what was written can be read, as some services acknowledge before that. Its size may not be known here.
    pub(super) fn verify(&mut self, size: Option<u64>, written: &Written, call: &CallOptions) -> Result<(), Failure> {
        let wanted = written.etag.as_deref().map(outcome::bare);
        let options = HeadOptions { version: written.version.clone(), call: to_look(call), ..HeadOptions::default() };
        let key = self.whole_key()?;
        let mut last = None;
        for look in 0..LOOKS {
            if look > 0 {
                let pause = retry::pause(look - 1, None, &mut self.store.rng);
                if pause >= self.remaining() {
                    break;
                }
                self.env.sleep(pause);
            }
            let mut request = self.checked(request::head(&self.store.settings, &key, &options))?;
            match self.head(&mut request) {
                Ok((info, _))
                    if size.is_none_or(|size| info.size == size || info.size == UNKNOWN_SIZE)
                        && (wanted.is_none()
                            || info.etag.as_deref().is_none_or(|there| Some(outcome::bare(there)) == wanted)) =>
                {
                    return Ok(());
                }
                Ok((info, _)) => {
                    let etag = info.etag.as_deref().unwrap_or("none");
                    last = Some(format!("what is there has {} bytes and the entity tag {etag}", info.size));
                }
                Err(failure) if failure.kind == Kind::NotFound => last = Some("it is not there".into()),
                Err(failure) => {
                    last = Some(failure.message);
                    break;
                }
            }
        }
        let mut failure = self.failure(
            Kind::Integrity,
            &format!(
                "the service took the write with the entity tag {}, but it cannot be read back: {}",
                written.etag.as_deref().unwrap_or("none"),
                last.as_deref().unwrap_or("no time was left to look")
            ),
        );
        failure.retryable = true;
        Err(failure)
    }
}

/// S3 says that the key is not found where `if-match` has nothing to match.
pub(super) fn absent_is_unmatched(mut failure: Failure, condition: &WriteCondition) -> Failure {
    let bucket_is_missing = failure.code() == Some("NoSuchBucket");
    if matches!(condition, WriteCondition::IfMatch(_)) && failure.kind == Kind::NotFound && !bucket_is_missing {
        failure.kind = Kind::PreconditionFailed;
    }
    failure
}
