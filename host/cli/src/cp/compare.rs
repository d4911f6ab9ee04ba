//! Merges two listings: what to copy, and what only the target has.
//!
//! Both are ordered by the bytes of names, so one entry of each is enough, and memory does not grow.

use std::cmp::Ordering;
use std::time::SystemTime;

use futures::StreamExt;

use super::listing::{Found, Listed, Listing};
use crate::exit::Exit;
use crate::failure::Failure;

/// Which files of the source to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// If missing at the target, different in size, or newer at the source.
    Newer,
    /// If missing at the target, or different in size.
    Size,
}

#[derive(Debug)]
pub enum Step {
    /// An entry of the source, and that of the target if only their times differ.
    Copy(Found, Option<Found>),
    /// An entry that only the target has.
    Extra(Found),
    LeftOut(Failure),
    /// The listing is incomplete, so extras are unknown.
    Incomplete(Failure),
    Note(String),
}

pub struct Comparison {
    source: Side,
    /// `None` to copy everything.
    target: Option<(Side, Rule)>,
    /// Whether to report extras.
    extras: bool,
}

/// One listing, with its next entry.
struct Side {
    listing: Listing,
    next: Option<Found>,
    ended: bool,
    /// The last name, if the order matters.
    last: Option<String>,
}

impl Comparison {
    pub fn new(source: Listing, target: Option<(Listing, Rule)>, extras: bool) -> Self {
        let side = |listing, ordered: bool| Side { listing, next: None, ended: false, last: ordered.then(String::new) };
        let source = side(source, target.is_some());
        Comparison { source, target: target.map(|(listing, rule)| (side(listing, true), rule)), extras }
    }

    /// The next step; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// If a listing fails, or is not ordered. Nothing follows then.
    pub async fn next(&mut self) -> Result<Option<Step>, Failure> {
        loop {
            match self.source.advance().await? {
                None => {}
                Some(Listed::Note(note)) => return Ok(Some(Step::Note(note))),
                Some(Listed::LeftOut(failure)) => return Ok(Some(Step::LeftOut(failure))),
                Some(Listed::Incomplete(failure)) => return Ok(Some(Step::Incomplete(failure))),
                Some(Listed::File(_)) => continue,
            }
            let Some((target, rule)) = &mut self.target else {
                return Ok(self.source.next.take().map(|found| Step::Copy(found, None)));
            };
            if self.source.next.is_none() && !self.extras {
                return Ok(None);
            }
            match target.advance().await? {
                None => {}
                // Other entries of the target are not ours, but may be in the way.
                Some(Listed::Note(_) | Listed::LeftOut(_)) => continue,
                Some(Listed::Incomplete(_)) if !self.extras => continue,
                Some(Listed::Incomplete(failure)) => return Ok(Some(Step::Incomplete(failure))),
                Some(Listed::File(_)) => continue,
            }
            let order = match (&self.source.next, &target.next) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(ours), Some(theirs)) => ours.name.cmp(&theirs.name),
            };
            let ours = if order.is_le() { self.source.next.take() } else { None };
            let theirs = if order.is_ge() { target.next.take() } else { None };
            match (ours, theirs) {
                (Some(ours), Some(theirs)) if is_current(*rule, &ours, &theirs) => {}
                (Some(ours), theirs) => {
                    let theirs = theirs.filter(|theirs| theirs.size == ours.size);
                    return Ok(Some(Step::Copy(ours, theirs)));
                }
                (None, Some(theirs)) if self.extras => return Ok(Some(Step::Extra(theirs))),
                (None, _) => {}
            }
        }
    }
}

impl Side {
    /// Advances to the next file, if there is one; returns other entries before it.
    async fn advance(&mut self) -> Result<Option<Listed>, Failure> {
        while self.next.is_none() && !self.ended {
            match self.listing.next().await {
                None => self.ended = true,
                Some(Err(failure)) => {
                    self.ended = true;
                    return Err(failure);
                }
                Some(Ok(Listed::File(found))) => {
                    if let Some(last) = &mut self.last {
                        if found.name <= *last {
                            self.ended = true;
                            return Err(out_of_order(&found.name, last));
                        }
                        last.clone_from(&found.name);
                    }
                    self.next = Some(found);
                }
                Some(Ok(other)) => return Ok(Some(other)),
            }
        }
        Ok(None)
    }
}

fn out_of_order(name: &str, last: &str) -> Failure {
    let message = format!(
        "the service lists {name:?} after {last:?}, out of the order of S3: the two folders cannot be compared"
    );
    Failure::new(Exit::Failure, message).with_hint("`cp --recursive` without --newer copies all there is")
}

/// Whether the target is current. Services report whole seconds, so seconds are compared.
fn is_current(rule: Rule, ours: &Found, theirs: &Found) -> bool {
    let second = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let older = match (rule, ours.modified, theirs.modified) {
        (Rule::Size, ..) => true,
        (Rule::Newer, Some(ours), Some(theirs)) => second(ours) <= second(theirs),
        (Rule::Newer, ..) => false,
    };
    ours.size == theirs.size && older
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn found(name: &str, size: u64, seconds: u64) -> Found {
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        Found { name: name.to_owned(), size, modified, etag: None, linked: false }
    }

    fn listing(found: Vec<Found>) -> Listing {
        futures::stream::iter(found.into_iter().map(|found| Ok(Listed::File(found)))).boxed()
    }

    async fn steps(mut comparison: Comparison) -> Result<Vec<String>, Failure> {
        let mut steps = Vec::new();
        while let Some(step) = comparison.next().await? {
            steps.push(match step {
                Step::Copy(found, _) => format!("+{}", found.name),
                Step::Extra(found) => format!("-{}", found.name),
                other => format!("{other:?}"),
            });
        }
        Ok(steps)
    }

    #[tokio::test]
    async fn missing_older_and_resized_files_are_copied() {
        let source = || {
            listing(vec![found("a", 1, 5), found("a-", 1, 5), found("a/b", 1, 5), found("c", 1, 7), found("d", 2, 5)])
        };
        let target =
            || listing(vec![found("a", 1, 5), found("a!", 1, 5), found("c", 1, 6), found("d", 1, 9), found("e", 1, 1)]);
        let newer = Comparison::new(source(), Some((target(), Rule::Newer)), true);
        assert_eq!(steps(newer).await.unwrap(), ["-a!", "+a-", "+a/b", "+c", "+d", "-e"]);
        let by_size = Comparison::new(source(), Some((target(), Rule::Size)), false);
        assert_eq!(steps(by_size).await.unwrap(), ["+a-", "+a/b", "+d"]);
        assert_eq!(steps(Comparison::new(source(), None, false)).await.unwrap().len(), 5);
    }

    #[tokio::test]
    async fn unsorted_listings_are_not_compared() {
        let wrong = || listing(vec![found("b", 1, 5), found("a", 1, 5)]);
        for (source, target) in [(wrong(), listing(vec![])), (listing(vec![found("c", 1, 1)]), wrong())] {
            let failure = steps(Comparison::new(source, Some((target, Rule::Newer)), true)).await.unwrap_err();
            assert!(failure.message.contains("order"), "{}", failure.message);
        }
        assert_eq!(steps(Comparison::new(wrong(), None, false)).await.unwrap(), ["+b", "+a"]);
    }

    #[test]
    fn blob_of_unknown_age_is_not_current() {
        let ours = found("a", 1, 5);
        assert!(is_current(Rule::Newer, &ours, &found("a", 1, 5)) && is_current(Rule::Newer, &ours, &found("a", 1, 6)));
        assert!(!is_current(Rule::Newer, &found("a", 1, 7), &found("a", 1, 6)));
        assert!(!is_current(Rule::Newer, &Found { modified: None, ..ours.clone() }, &found("a", 1, 6)));
        assert!(is_current(Rule::Size, &Found { modified: None, ..ours }, &found("a", 1, 6)));
    }
}
