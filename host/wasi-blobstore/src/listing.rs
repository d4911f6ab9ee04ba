//! The names of a container's objects, page by page.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::containers::{Place, on};
use crate::limits::Permit;

/// Names that one call returns, and that one page has.
const MAX_NAMES: usize = 1000;

/// The resource `stream-object-names`.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Listing {
    place: Place,
    continuation: Option<String>,
    /// Of the current page, those not yet read.
    names: VecDeque<String>,
    /// Whether the last page was requested.
    over: bool,
    _permit: Permit,
}

impl Listing {
    pub(crate) fn new(place: Place, permit: Permit) -> Self {
        Listing { place, continuation: None, names: VecDeque::new(), over: false, _permit: permit }
    }

    fn at_end(&self) -> bool {
        self.over && self.names.is_empty()
    }

    /// Requests pages until one has names, or the time is over.
    async fn fill(&mut self, end: Instant) -> Result<(), String> {
        while self.names.is_empty() && !self.over {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let prefix = &self.place.prefix;
            let mut list = self.place.store.list(prefix).page_size(MAX_NAMES as u32).time_limit(left);
            if let Some(continuation) = &self.continuation {
                list = list.continuation(continuation);
            }
            let page = list.await.map_err(|error| on(&self.place.container, &error))?;
            // The container's own blob has an empty name.
            let names = page.entries.iter().filter_map(|entry| entry.key.strip_prefix(prefix.as_str()));
            self.names.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
            self.over = page.next.is_none();
            self.continuation = page.next;
        }
        Ok(())
    }

    /// At most so many names, and no more than a page, and whether they are the last.
    pub(crate) async fn read(&mut self, count: u64, limit: Duration) -> Result<(Vec<String>, bool), String> {
        let end = Instant::now() + limit;
        let mut count = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_NAMES);
        let mut read = Vec::new();
        while count > 0 && !self.at_end() {
            // Of the names that were read, none is lost for an error of a later page: it comes again.
            match self.fill(end).await {
                Err(error) if read.is_empty() => return Err(error),
                Err(_) => break,
                Ok(()) if self.names.is_empty() => break,
                Ok(()) => {}
            }
            let taken = count.min(self.names.len());
            read.extend(self.names.drain(..taken));
            count -= taken;
        }
        Ok((read, self.at_end()))
    }

    /// Skips so many names. Returns how many, and whether they are the last; fewer if the time is over.
    pub(crate) async fn skip(&mut self, count: u64, limit: Duration) -> Result<(u64, bool), String> {
        let end = Instant::now() + limit;
        let mut skipped = 0;
        while skipped < count && !self.at_end() {
            match self.fill(end).await {
                Err(error) if skipped == 0 => return Err(error),
                Err(_) => break,
                Ok(()) if self.names.is_empty() => break,
                Ok(()) => {}
            }
            let taken = usize::try_from(count - skipped).unwrap_or(usize::MAX).min(self.names.len());
            self.names.drain(..taken);
            skipped += taken as u64;
        }
        Ok((skipped, self.at_end()))
    }
}
