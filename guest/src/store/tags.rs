//! A blob's tags.

use crate::answer;
use crate::content::Content;
use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{Pair, TagOptions};
use crate::request;

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn tags(&mut self, options: &TagOptions) -> Result<Vec<Pair>, Failure> {
        let mut request = self.prepare(|settings, key| request::tags(settings, key, options))?;
        self.ask(&mut request, "", "Tagging", |tagging, _, _| answer::tags::tags(tagging))
    }

    pub(super) fn set_tags(&mut self, tags: &[Pair], options: &TagOptions) -> Result<(), Failure> {
        let (mut request, body) = self.prepare(|settings, key| request::set_tags(settings, key, tags, options))?;
        let payload = self.payload(&self.known(Content::here(body.as_bytes(), &[]))?);
        self.run(&mut request, body.as_bytes(), &payload, |_, _, _| Ok(()))
    }
}
