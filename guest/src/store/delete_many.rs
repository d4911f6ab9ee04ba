//! Deleting several blobs in one request.

use crate::answer::delete_many::{Fate, delete_many};
use crate::env::{Clock, Transport};
use crate::error::{Answer, Error, Failure, Kind};
use crate::model::{BlobName, DeleteManyOptions, DeleteOptions};
use crate::request::{self, Doomed, MAX_DELETES, Method};
use crate::response::Head;
use crate::retry::{self, Next};
use crate::xml;

use super::call::Call;

/// What a deletion of several blobs is answered with.
const ROOT: &str = "DeleteResult";

/// What a 204, or a 200 without a body, comes to: no blob is named.
const NOTHING: &str = "<DeleteResult/>";

/// What came of one blob; none where it is still to be tried.
type Outcome = Option<Result<(), Failure>>;

impl<'a, E: Transport + Clock> Call<'a, E> {
    pub(super) fn delete_many(
        &mut self,
        blobs: &'a [BlobName],
        options: &DeleteManyOptions,
    ) -> Result<Vec<Result<(), Failure>>, Failure> {
        if blobs.len() > MAX_DELETES {
            let fault = Error::fault("blobs", format!("{} blobs are too many at once: at most 1,000 are", blobs.len()));
            return self.checked(Err(fault));
        }
        let mut keys = Vec::with_capacity(blobs.len());
        for blob in blobs {
            self.key = &blob.key;
            keys.push(self.whole_key()?);
        }
        self.key = "";
        let mut outcomes: Vec<Outcome> = Vec::new();
        outcomes.resize_with(blobs.len(), || None);
        if !self.store.single_deletes {
            self.together(blobs, &keys, options, &mut outcomes)?;
        }
        for (blob, outcome) in blobs.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()) {
            (self.tries.operation, self.key) = ("delete", &blob.key);
            let options = DeleteOptions { version: blob.version.clone(), call: options.call.clone() };
            *outcome = Some(self.delete(&options).map(drop));
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Deletes those that a document can name. Those whose outcome is still open afterwards are for single requests.
    fn together(
        &mut self,
        blobs: &'a [BlobName],
        keys: &[String],
        options: &DeleteManyOptions,
        outcomes: &mut [Outcome],
    ) -> Result<(), Failure> {
        let mut open: Vec<usize> = (0..keys.len()).filter(|&n| xml::can_hold(&keys[n])).collect();
        let mut retries = 0;
        while !open.is_empty() {
            let doomed: Vec<_> = doomed(blobs, keys, open.iter().copied()).collect();
            let (mut request, body) =
                self.checked(request::delete_many(&self.store.settings, &doomed, &options.call))?;
            let (mut answered, mut fates) = (Head::default(), Vec::new());
            let told = self.ask_or_nothing(&mut request, &body, ROOT, Some(NOTHING), &mut |result, head, _| {
                fates = delete_many(result, &doomed)?;
                answered = head.clone().into_owned();
                Ok(())
            });
            match told {
                Ok(()) => {}
                Err(failure) if failure.kind == Kind::Unsupported => {
                    self.store.single_deletes = true;
                    open.iter().for_each(|&n| outcomes[n] = None);
                    return Ok(());
                }
                // What became of the others is known.
                Err(failure) if retries > 0 => {
                    open.iter().for_each(|&n| outcomes[n] = Some(Err(failure.clone())));
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            };
            // A service that names none answers no better the next time. Those that it does not name are deleted singly: that
            // they are gone is then certain.
            self.store.single_deletes |= fates.iter().all(|fate| *fate == Fate::Unsaid);
            let mut again = Vec::new();
            for (&n, fate) in open.iter().zip(fates) {
                self.key = &blobs[n].key;
                outcomes[n] = match fate {
                    Fate::Deleted => Some(Ok(())),
                    Fate::Unsaid => None,
                    Fate::Refused(answer) => {
                        let (failure, next) = self.refused_one(&answered, answer);
                        if matches!(next, Next::Again { .. }) {
                            again.push(n);
                        }
                        Some(Err(failure))
                    }
                };
                self.key = "";
            }
            let pause = retry::pause(retries, None, &mut self.store.rng);
            if again.is_empty() || retries == self.max_retries() || pause >= self.remaining() {
                return Ok(());
            }
            self.env.sleep(pause);
            retries += 1;
            open = again;
        }
        Ok(())
    }

    /// The failure that the refusal of one of several deletions is, and what to do about it.
    fn refused_one(&mut self, head: &Head, answer: Answer) -> (Failure, Next) {
        let operation = std::mem::replace(&mut self.tries.operation, "delete");
        let next = retry::decide(head, &answer, self.store.service_time(self.env.wall()), false);
        let mut failure = self.refused_as(Method::Post, head, answer);
        failure.retryable = matches!(next, Next::Again { .. });
        self.tries.operation = operation;
        (failure, next)
    }
}

/// These of the blobs, by their whole keys.
fn doomed<'b>(
    blobs: &'b [BlobName],
    keys: &'b [String],
    which: impl Iterator<Item = usize>,
) -> impl Iterator<Item = Doomed<'b>> {
    which.map(|n| Doomed { key: &keys[n], version: blobs[n].version.as_deref() })
}
