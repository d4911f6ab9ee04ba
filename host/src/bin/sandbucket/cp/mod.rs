//! `cp`: files and blobs, one or many, to the store, from it, or within it.

mod local;
pub mod plan;
mod transfer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use sandbucket::{Config, Store};
use serde_json::json;
use tokio::sync::watch;

use crate::cli;
use crate::context::{self, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::signals;
use crate::text;
use plan::{Item, Place, Plan};

/// How long transfers may take to end when a signal has come.
const STOPPING: Duration = Duration::from_secs(10);

/// What every transfer needs.
struct Job {
    from: Store,
    to: Store,
    /// Whether these two are one, so that the service itself copies.
    same: bool,
    attributes: Vec<(String, String)>,
    sizes: cli::PartSizes,
    progress: Progress,
    /// Bytes that are through, of all transfers together.
    through: AtomicU64,
    /// Turns true when the user has had enough.
    stopped: watch::Receiver<bool>,
}

impl Job {
    fn passed(&self, bytes: u64) {
        self.progress.reached(self.through.fetch_add(bytes, Ordering::Relaxed) + bytes);
    }
}

pub async fn run(context: &Context, arguments: cli::Cp) -> Result<Exit, Failure> {
    let (stop, stopped) = watch::channel(false);
    let mut work = std::pin::pin!(copy(context, arguments, stopped));
    tokio::select! {
        outcome = &mut work => outcome,
        failure = signals::received() => {
            // Each transfer ends in good order: half-written files go, and so do the parts of uploads.
            let _ = stop.send(true);
            let _ = tokio::time::timeout(STOPPING, work).await;
            Err(failure)
        }
    }
}

async fn copy(context: &Context, arguments: cli::Cp, stopped: watch::Receiver<bool>) -> Result<Exit, Failure> {
    let (from, to) = (Place::read(&arguments.from), Place::read(&arguments.to));
    if matches!((&from, &to), (Place::Local(_) | Place::Stream, Place::Local(_) | Place::Stream)) {
        let message = "neither of the two is in the store: a place there is written store:KEY";
        return Err(Failure::new(Exit::Usage, message));
    }
    let store = context.store().await?;
    let other = match &arguments.to_config {
        None => store.clone(),
        Some(file) => {
            let config = Config::load(file)?;
            config.open(&context::engine(Some(&config)).await?).await?
        }
    };
    let Plan { items, mut failures, leftovers } = if arguments.recursive {
        plan::several(&store, &other, &from, &to, arguments.newer).await?
    } else {
        Plan { items: vec![plan::one(&from, &to)?], ..Plan::default() }
    };
    failures.iter().for_each(|failure| context.output.failure(failure));
    for leftover in leftovers {
        let name = text::plain(&leftover.display().to_string());
        context.output.note(&format!("left out {name}: a temporary file of a download that was killed; delete it"));
    }
    if arguments.dry_run {
        for item in &items {
            context.output.line(format!("{} to {}", text::plain(&item.from.shown()), text::plain(&item.to.shown())))?;
        }
        return ended(context, 0, items.len(), 0, failures);
    }
    let begun = Instant::now();
    let total = items.iter().map(|item| item.size).sum::<Option<u64>>();
    let job = Arc::new(Job {
        from: store,
        to: other,
        same: arguments.to_config.is_none(),
        attributes: arguments.attribute,
        sizes: arguments.sizes,
        progress: Progress::new(&context.output, total),
        through: AtomicU64::new(0),
        stopped,
    });
    let count = items.len();
    let transfers = items.into_iter().map(|item| {
        let job = job.clone();
        // On a task of its own, so that several processors take part.
        tokio::spawn(async move {
            let outcome = transfer::run(&job, &item).await;
            (item, outcome)
        })
    });
    let jobs = crate::descriptors::bound(usize::from(arguments.jobs));
    let mut transfers = futures::stream::iter(transfers).buffer_unordered(jobs);
    let mut copied = 0;
    while let Some(done) = transfers.next().await {
        match done {
            Ok((item, Ok(size))) => {
                copied += 1;
                told(context, &item, size)?;
            }
            // The end of all of them is told once.
            Ok((_, Err(failure))) if failure.exit == Exit::Interrupted => failures.push(failure),
            Ok((_, Err(failure))) => {
                context.output.failure(&failure);
                failures.push(failure);
            }
            Err(broken) => failures.push(Failure::new(Exit::Failure, format!("a transfer broke down: {broken}"))),
        }
    }
    let bytes = job.through.load(Ordering::Relaxed);
    drop(transfers);
    if count > 1 {
        let speed = text::speed(bytes, begun.elapsed()).map(|speed| format!(", {speed}")).unwrap_or_default();
        let (size, took) = (text::size(bytes), text::time(begun.elapsed()));
        context.output.note(&format!("copied {copied} of {count} ({size}) in {took}{speed}"));
    }
    ended(context, copied, count, bytes, failures)
}

/// Each as it is done.
fn told(context: &Context, item: &Item, size: u64) -> Result<(), Failure> {
    let (from, to) = (item.from.shown(), item.to.shown());
    match (&item.to, context.output.json) {
        // The blob has standard output to itself.
        (Place::Stream, true) => context.output.value_aside(&json!({ "from": from, "to": to, "size": size })),
        (Place::Stream, false) => {}
        (_, true) => context.output.row(&json!({ "from": from, "to": to, "size": size }))?,
        (_, false) => context.output.note(&text::plain(&format!("{from} to {to} ({})", text::size(size)))),
    }
    Ok(())
}

/// The command's end: where there was one failure, or one thing to do, it is that.
fn ended(context: &Context, copied: usize, count: usize, bytes: u64, failures: Vec<Failure>) -> Result<Exit, Failure> {
    if context.output.json && count != 1 {
        let summary = json!({ "copied": copied, "of": count, "bytes": bytes, "failed": failures.len() });
        context.output.row(&summary)?;
    }
    match failures.len() {
        0 => Ok(Exit::Success),
        // Told already.
        1 if count == 1 => Ok(failures.into_iter().next().map_or(Exit::Failure, |failure| failure.exit)),
        failed => Err(Failure::new(Exit::Failure, format!("{failed} of {} failed", copied + failed))),
    }
}
