//! `cp` and `sync`: copy one or many files and blobs to, from and within stores.

mod compare;
mod content;
pub mod extras;
pub mod filter;
mod listing;
mod local;
mod many;
pub mod plan;
mod properties;
mod transfer;
pub mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbucket::{Config, Egress, Store};
use serde_json::json;
use tokio::sync::watch;

use crate::cli;
use crate::context::{self, Context, setting};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::signals;
use crate::text;
use compare::Rule;
use many::RecursiveCopy;
use plan::{Item, Place};
use properties::Accepted;
use transfer::Copied;

/// Time for transfers to end after a signal.
const STOPPING: Duration = Duration::from_secs(10);

/// The context of all transfers.
struct Job {
    from: Store,
    to: Store,
    /// Whether both stores are the same, so that the service copies.
    same: bool,
    /// What precedes the keys of each in their bucket, if it is the same: the keys of one may then appear in the listing of the
    /// other.
    prefixes: Option<(String, String)>,
    attributes: Vec<(String, String)>,
    /// What the target accepts, if a copy to it leaves the rest out.
    accepted: Option<Accepted>,
    sizes: cli::PartSizes,
    progress: Progress,
    /// Bytes transferred so far, by all transfers.
    through: AtomicU64,
    /// Becomes true when the user interrupts the command.
    stopped: watch::Receiver<bool>,
}

impl Job {
    fn passed(&self, bytes: u64) {
        self.progress.reached(self.through.fetch_add(bytes, Ordering::Relaxed) + bytes);
    }

    /// The number of bytes transferred.
    fn total(&self) -> u64 {
        self.through.load(Ordering::Relaxed)
    }
}

pub async fn run(context: &Context, arguments: cli::Cp) -> Result<Exit, Failure> {
    stoppable(|stopped| copy(context, arguments, stopped)).await
}

/// Runs `work` to its end, or until a signal arrives.
async fn stoppable<F>(work: impl FnOnce(watch::Receiver<bool>) -> F) -> Result<Exit, Failure>
where
    F: Future<Output = Result<Exit, Failure>>,
{
    let (stop, stopped) = watch::channel(false);
    let mut work = std::pin::pin!(work(stopped));
    tokio::select! {
        outcome = &mut work => outcome,
        failure = signals::received() => {
            // Transfers end gracefully: they delete incomplete files and abort uploads.
            let _ = stop.send(true);
            let _ = tokio::time::timeout(STOPPING, work).await;
            Err(failure)
        }
    }
}

async fn copy(context: &Context, arguments: cli::Cp, stopped: watch::Receiver<bool>) -> Result<Exit, Failure> {
    let (from, to) = places(&arguments.from, &arguments.to)?;
    let mut transfers = arguments.transfers;
    transfers.sizes = transfers.sizes.expecting(arguments.expected_size);
    let context = &context.quiet_if(transfers.quiet);
    if !arguments.recursive && !arguments.filter.is_empty() {
        return Err(Failure::new(Exit::Usage, "--exclude and --include are for --recursive"));
    }
    let (dry_run, jobs) = (transfers.dry_run, usize::from(transfers.jobs));
    let item = if arguments.recursive { None } else { Some(plan::one(&from, &to)?) };
    let total = item.as_ref().and_then(|item| item.size);
    let job = job(context, (&from, &to), transfers, total, stopped).await?;
    let Some(item) = item else {
        let rule = arguments.newer.then_some(Rule::Newer);
        let filter = Arc::new(arguments.filter);
        let many = RecursiveCopy { from, to, rule, filter, links: arguments.links, delete: false, dry_run, jobs };
        return many::run(context, job, many).await;
    };
    if dry_run {
        return planned(context, &item).map(|()| Exit::Success);
    }
    let done = transfer::run(&job, &item).await;
    job.progress.clear();
    copied(context, &item, &done?.unwrap_or_default())?;
    Ok(Exit::Success)
}

/// `sync`: makes one folder equal to another.
pub async fn sync(context: &Context, arguments: cli::Sync) -> Result<Exit, Failure> {
    stoppable(|stopped| synchronise(context, arguments, stopped)).await
}

async fn synchronise(context: &Context, arguments: cli::Sync, stopped: watch::Receiver<bool>) -> Result<Exit, Failure> {
    let (from, to) = places(&arguments.from, &arguments.to)?;
    let transfers = arguments.transfers;
    let context = &context.quiet_if(transfers.quiet);
    let many = RecursiveCopy {
        from,
        to,
        rule: Some(if arguments.size_only { Rule::Size } else { Rule::Newer }),
        filter: Arc::new(arguments.filter),
        links: arguments.links,
        delete: arguments.delete,
        dry_run: transfers.dry_run,
        jobs: usize::from(transfers.jobs),
    };
    let job = job(context, (&many.from, &many.to), transfers, None, stopped).await?;
    many::run(context, job, many).await
}

fn places(from: &str, to: &str) -> Result<(Place, Place), Failure> {
    let (from, to) = (Place::read(from), Place::read(to));
    if matches!((&from, &to), (Place::Local(_) | Place::Stream, Place::Local(_) | Place::Stream)) {
        let message = "neither the source nor the target is in the store: write it as store:KEY";
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok((from, to))
}

async fn job(
    context: &Context,
    (from, to): (&Place, &Place),
    arguments: cli::Transfers,
    total: Option<u64>,
    stopped: watch::Receiver<bool>,
) -> Result<Arc<Job>, Failure> {
    // A copy to or from this machine has one store.
    let source = from.store_name().or(to.store_name().filter(|_| !from.is_in_store() && arguments.to_config.is_none()));
    let config = context.config_of(source.or(context.store.as_deref()))?;
    let engine = context::engine(Some(&config)).await?;
    let store = config.open(&engine).await?;
    let target = match &arguments.to_config {
        Some(file) => {
            let other = context::load(file, to.store_name())?;
            Some((context::engine(Some(&other)).await?, other))
        }
        None if !to.is_in_store() => None,
        None => {
            let other = context.config_of(to.store_name().or(context.store.as_deref()))?;
            match other.store_name() == config.store_name() {
                true => None,
                false => Some((engine, other)),
            }
        }
    };
    let same = target.is_none();
    let (to, prefixes, accepted) = match target {
        None => (store.clone(), prefixes_in_one_bucket(&config, &config), None),
        Some((engine, other)) => {
            let accepted = match arguments.drop_unsupported {
                true => {
                    let attributes = engine.attributes_of(&other.plugin(&engine).await?).await?;
                    Some(Accepted::by(attributes.into_iter().map(|attribute| attribute.name)))
                }
                false => None,
            };
            (other.open(&engine).await?, prefixes_in_one_bucket(&config, &other), accepted)
        }
    };
    Ok(Arc::new(Job {
        from: store,
        to,
        same,
        prefixes,
        attributes: arguments.attribute,
        accepted,
        sizes: arguments.sizes,
        progress: Progress::new(&context.output, total),
        through: AtomicU64::new(0),
        stopped,
    }))
}

/// The place of a store's blobs at its service.
#[derive(Debug, PartialEq, Eq)]
struct Location {
    service: String,
    bucket: String,
}

impl Location {
    /// By the settings, whose names differ between plugins.
    fn of(settings: &[(String, String)]) -> Option<Location> {
        let first = |names: &[&str]| names.iter().find_map(|name| setting(settings, name)).unwrap_or_default();
        // The account is in the path of some endpoints, and in the host of others.
        let path = first(&["endpoint"]).split_once("://").map_or(first(&["endpoint"]), |(_, rest)| rest);
        let path = path.split_once('/').map_or("", |(_, path)| path.trim_end_matches('/'));
        let service = Egress::from_settings(settings).ok()?.authorities().next()?;
        let bucket = first(&["bucket", "container"]).to_owned();
        Some(Location { service: format!("{service}/{path}"), bucket })
    }
}

/// The prefixes of two stores' keys, if they are in the same bucket. If where they are is not known, they may be.
fn prefixes_in_one_bucket(one: &Config, other: &Config) -> Option<(String, String)> {
    let prefix = |config: &Config| {
        let found = config.settings().iter().find(|(name, _)| name == "key-prefix");
        found.map(|(_, prefix)| prefix.clone()).unwrap_or_default()
    };
    let (here, there) = (Location::of(one.settings()), Location::of(other.settings()));
    (here == there).then(|| (prefix(one), prefix(other)))
}

/// Prints a planned copy, for --dry-run.
fn planned(context: &Context, item: &Item) -> Result<(), Failure> {
    let (from, to) = (item.from.shown(), item.to.shown());
    match context.output.json {
        true => context.output.row(&json!({ "from": from, "to": to, "size": item.size })),
        false => context.output.line(text::plain(&format!("{from} to {to}"))),
    }
}

/// Prints a completed copy.
fn copied(context: &Context, item: &Item, done: &Copied) -> Result<(), Failure> {
    let (from, to) = (item.from.shown(), item.to.shown());
    let Copied { size, dropped } = done;
    let mut row = json!({ "from": from, "to": to, "size": size });
    if !dropped.is_empty() {
        row["dropped"] = json!(dropped);
    }
    match (&item.to, context.output.json) {
        // Standard output carries only the blob.
        (Place::Stream, true) => context.output.value_aside(&row),
        (Place::Stream, false) => {}
        (_, true) => context.output.report(&row)?,
        (_, false) => {
            let without = if dropped.is_empty() { String::new() } else { format!(" without {}", dropped.join(", ")) };
            context.output.note(&text::plain(&format!("{from} to {to} ({}){without}", text::size(*size))));
        }
    }
    Ok(())
}
