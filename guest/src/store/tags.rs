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
        let key = self.whole_key()?;
        let mut request = self.checked(request::tags(&self.store.settings, &key, options))?;
        let mut tags = Vec::new();
        self.ask(&mut request, "", "Tagging", &mut |tagging, _, _| {
            tags = answer::tags::tags(tagging)?;
            Ok(())
        })?;
        Ok(tags)
    }

    pub(super) fn set_tags(&mut self, tags: &[Pair], options: &TagOptions) -> Result<(), Failure> {
        let key = self.whole_key()?;
        let (mut request, body) = self.checked(request::set_tags(&self.store.settings, &key, tags, options))?;
        let payload = self.payload(&self.checked(Content::here(body.as_bytes(), &[]))?);
        self.run(&mut request, body.as_bytes(), &payload, &mut |_, _, _| Ok(()))
    }
}
