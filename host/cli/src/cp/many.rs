//! Recursive copies: copies a folder while it is listed, and with `sync --delete` deletes what only the target has.
//!
//! Transfers start with the first names of the listings, and memory holds only a page and the transfers in progress.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::task::{JoinError, JoinSet};

use super::compare::{Comparison, Rule, Step};
use super::extras::Extras;
use super::filter::Filter;
use super::listing::{self, Found};
use super::plan::{Item, Place, folder, place};
use super::transfer::Copied;
use super::walk::Links;
use super::{Job, copied, planned, transfer};
use crate::context::Context;
use crate::descriptors;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// The folders and the operation.
pub struct RecursiveCopy {
    pub from: Place,
    pub to: Place,
    /// `None` to copy everything.
    pub rule: Option<Rule>,
    pub filter: Arc<Filter>,
    pub links: Links,
    pub delete: bool,
    pub dry_run: bool,
    pub jobs: usize,
}

/// Outcomes of the transfers so far.
#[derive(Default)]
struct Tally {
    copied: u64,
    unchanged: u64,
    deleted: u64,
    failed: u64,
    /// The exit status of the first failure.
    first: Option<Exit>,
}

type Transferred = (Item, Result<Option<Copied>, Failure>);

pub async fn run(context: &Context, job: Arc<Job>, many: RecursiveCopy) -> Result<Exit, Failure> {
    check_apart(&job, &many)?;
    let begun = Instant::now();
    let source = listing::of_source(&job.from, &many.from, many.links, &many.filter)?;
    let target = match many.rule {
        Some(rule) => Some((listing::of_target(&job.to, &many.to, &many.filter)?, rule)),
        None => None,
    };
    let comparison = Comparison::new(source, target, many.delete);
    let mut tally = Tally::default();
    let mut extras = Extras::default();
    let listed = copy(context, &job, &many, comparison, &mut tally, &mut extras).await?;
    job.progress.clear();
    if let Err(failure) = listed {
        // If nothing was copied, this is the only message.
        if tally.copied + tally.failed == 0 {
            return Err(failure);
        }
        tally.fail(context, &failure);
    }
    if !extras.is_empty() {
        delete(context, &job, &many, extras, &mut tally).await?;
    }
    let Tally { copied, unchanged, deleted, failed, first } = tally;
    let bytes = job.total();
    let count = copied + failed;
    if context.output.json {
        let mut summary = json!({ "copied": copied, "of": count, "bytes": bytes, "failed": failed });
        if many.delete {
            summary["deleted"] = deleted.into();
        }
        context.output.report(&summary)?;
    } else if count + unchanged + deleted != 1 && !many.dry_run {
        let speed = text::speed(bytes, begun.elapsed()).map(|speed| format!(", {speed}")).unwrap_or_default();
        let deleted = if many.delete { format!(", deleted {deleted}") } else { String::new() };
        let (size, took) = (text::size(bytes), text::time(begun.elapsed()));
        context.output.note(&format!("copied {copied} of {count} ({size}){deleted} in {took}{speed}"));
    }
    match (failed, first) {
        (0, _) => Ok(Exit::Success),
        // Already reported.
        (1, Some(exit)) if count == 1 => Ok(exit),
        _ => Err(Failure::new(Exit::Failure, format!("{failed} of {count} failed"))),
    }
}

/// # Errors
/// If the copies would be listed again, endlessly.
fn check_apart(job: &Job, many: &RecursiveCopy) -> Result<(), Failure> {
    let Some((from, to)) = folders_in_one_bucket(job, many) else { return Ok(()) };
    // With --delete, a source inside the target would be extraneous.
    if to.starts_with(&from) || many.delete && from.starts_with(&to) {
        let message = format!("{} and {} are one inside the other, or the same", many.from.shown(), many.to.shown());
        return Err(Failure::new(Exit::Usage, message).with_hint("copy to a folder beside the first one"));
    }
    Ok(())
}

/// Returns how the listings ended.
///
/// # Errors
/// If output fails. Transfers are aborted then.
async fn copy(
    context: &Context,
    job: &Arc<Job>,
    many: &RecursiveCopy,
    mut comparison: Comparison,
    tally: &mut Tally,
    extras: &mut Extras,
) -> Result<Result<(), Failure>, Failure> {
    let jobs = descriptors::bound(many.jobs);
    // One task each, to use several processors.
    let mut transfers = JoinSet::<Transferred>::new();
    let mut stopped = job.stopped.clone();
    let mut listed = None;
    while listed.is_none() || !transfers.is_empty() {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped), if listed.is_none() => listed = Some(Err(Failure::interrupted())),
            Some(done) = transfers.join_next() => tally.done(context, done)?,
            step = comparison.next(), if listed.is_none() && transfers.len() < jobs => match step {
                Ok(Some(Step::Copy(found, there))) => match item(job, many, found, there) {
                    Ok(item) if many.dry_run => match transfer::is_equal(job, &item, false).await {
                        Ok(true) => tally.unchanged += 1,
                        Ok(false) => {
                            tally.copied += 1;
                            planned(context, &item)?;
                        }
                        Err(failure) => tally.fail(context, &failure),
                    },
                    Ok(item) => {
                        let job = job.clone();
                        transfers.spawn(async move {
                            let outcome = transfer::run(&job, &item).await;
                            (item, outcome)
                        });
                    }
                    Err(failure) => tally.fail(context, &failure),
                },
                Ok(Some(Step::Extra(found))) => extras.push(&found)?,
                Ok(Some(Step::LeftOut(failure) | Step::Incomplete(failure))) => tally.fail(context, &failure),
                Ok(Some(Step::Note(note))) => context.output.note(&text::plain(&note)),
                Ok(None) => listed = Some(Ok(())),
                Err(failure) => listed = Some(Err(failure)),
            },
        }
    }
    Ok(listed.unwrap_or(Ok(())))
}

/// Source and target as prefixes of keys, if they are in the same bucket.
fn folders_in_one_bucket(job: &Job, many: &RecursiveCopy) -> Option<(String, String)> {
    let (Place::Store { key: from, .. }, Place::Store { key: to, .. }) = (&many.from, &many.to) else { return None };
    let (before_from, before_to) = job.prefixes.as_ref()?;
    Some((format!("{before_from}{}", folder(from)), format!("{before_to}{}", folder(to))))
}

fn item(job: &Job, many: &RecursiveCopy, found: Found, there: Option<Found>) -> Result<Item, Failure> {
    let (from, to) = (place(&many.from, &found.name)?, place(&many.to, &found.name)?);
    if let Some((folder, target)) = folders_in_one_bucket(job, many)
        && format!("{target}{}", found.name).starts_with(&folder)
    {
        let message = format!("{} would be written into the folder that is copied: left out", to.shown());
        return Err(Failure::new(Exit::Failure, message));
    }
    let unless_equal = match (&to, there) {
        (Place::Local(_), Some(_)) if many.rule == Some(Rule::Newer) => found.etag.zip(found.modified),
        _ => None,
    };
    Ok(Item { from, to, size: Some(found.size), unless_equal })
}

impl Tally {
    fn fail(&mut self, context: &Context, failure: &Failure) {
        // An interruption of all of them is reported once.
        if failure.exit != Exit::Interrupted {
            context.output.failure(failure);
        }
        self.failed += 1;
        self.first.get_or_insert(failure.exit);
    }

    fn done(&mut self, context: &Context, done: Result<Transferred, JoinError>) -> Result<(), Failure> {
        match done {
            Ok((item, Ok(Some(done)))) => {
                self.copied += 1;
                copied(context, &item, &done)?;
            }
            Ok((_, Ok(None))) => self.unchanged += 1,
            Ok((_, Err(failure))) => self.fail(context, &failure),
            Err(broken) => self
                .fail(context, &Failure::new(Exit::Failure, format!("a transfer panicked or was cancelled: {broken}"))),
        }
        Ok(())
    }
}

/// Deletes the extraneous files, unless there was an error: a file that could not be listed or read must not lose its copy.
async fn delete(
    context: &Context,
    job: &Job,
    many: &RecursiveCopy,
    extras: Extras,
    tally: &mut Tally,
) -> Result<(), Failure> {
    if tally.failed > 0 {
        let message = "nothing was deleted, because of the errors above";
        context.output.failure(&Failure::new(Exit::Failure, message));
        return Ok(());
    }
    let mut extras = extras.read()?;
    while let Some(batch) = extras.next_batch()? {
        if *job.stopped.borrow() {
            tally.fail(context, &Failure::interrupted());
            return Ok(());
        }
        if many.dry_run {
            for name in batch {
                gone(context, &many.to, &name, true)?;
                tally.deleted += 1;
            }
            continue;
        }
        for (name, outcome) in super::extras::delete(&job.to, &many.to, batch).await? {
            match outcome {
                Ok(()) => {
                    gone(context, &many.to, &name, false)?;
                    tally.deleted += 1;
                }
                Err(failure) => tally.fail(context, &failure),
            }
        }
    }
    Ok(())
}

fn gone(context: &Context, folder: &Place, name: &str, planned: bool) -> Result<(), Failure> {
    let shown = place(folder, name)?.shown();
    match (context.output.json, planned) {
        (true, true) => context.output.row(&json!({ "delete": shown })),
        (true, false) => context.output.report(&json!({ "deleted": shown })),
        (false, true) => context.output.line(text::plain(&format!("delete {shown}"))),
        (false, false) => {
            context.output.note(&text::plain(&format!("deleted {shown}")));
            Ok(())
        }
    }
}
