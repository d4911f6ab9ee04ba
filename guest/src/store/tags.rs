//! A blob's tags.

use crate::env::{Clock, Transport};
use crate::error::Failure;
use crate::model::{Pair, TagOptions};

use super::call::Call;

impl<E: Transport + Clock> Call<'_, E> {
    pub(super) fn tags(&mut self, options: &TagOptions) -> Result<Vec<Pair>, Failure> {
        let _ = options;
        todo!("TAGS")
    }

    pub(super) fn set_tags(&mut self, tags: &[Pair], options: &TagOptions) -> Result<(), Failure> {
        let _ = (tags, options);
        todo!("TAGS")
    }
}
