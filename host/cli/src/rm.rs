//! `rm`: deletes blobs.

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sandbucket::{Error, Store};

use crate::cli;
use crate::confirm::confirm;
use crate::context::Context;
use crate::cp::extras::{BATCH, Extras};
use crate::cp::plan::{self, folder};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

type Attributes = [(String, String)];

/// Tries all blobs; the first error determines the exit status.
pub async fn run(context: &Context, arguments: cli::Rm) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let attributes = &arguments.attributes.attribute;
    let mut report = Report { context, first: None, is_begun: false };
    let outcome = if arguments.recursive {
        let prefixes = match arguments.prefix {
            true => arguments.keys,
            false => arguments.keys.iter().map(|key| folder(key)).collect(),
        };
        match arguments.yes {
            true => as_listed(&store, &prefixes, attributes, &mut report).await,
            false => once_confirmed(&store, &prefixes, attributes, &mut report).await,
        }
    } else {
        match (&arguments.keys[..], arguments.version_id) {
            ([one], version) => {
                let delete =
                    attributes.iter().fold(store.delete(one), |delete, (name, value)| delete.attribute(name, value));
                let outcome = match version {
                    Some(version) => delete.version(version).await,
                    None => delete.await,
                };
                report.deleted(one, outcome.map(drop))
            }
            (_, Some(_)) => Err(Failure::new(Exit::Usage, "a version belongs to one blob: give one key")),
            (_, None) => delete(&store, arguments.keys, attributes, &mut report).await,
        }
    };
    report.end(outcome)
}

/// Deletes the blobs with this prefix while listing them, page by page.
async fn as_listed(
    store: &Store,
    prefixes: &[String],
    attributes: &Attributes,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    for prefix in apart(prefixes) {
        let mut is_missing = true;
        let mut batches = list(store, prefix, attributes).map_ok(|(key, _)| key).try_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            // The entries before an error are valid.
            let (batch, failed) = match batch {
                Ok(batch) => (batch, None),
                Err(error) => (error.0, Some(error.1)),
            };
            if !batch.is_empty() {
                is_missing = false;
                delete(store, batch, attributes, report).await?;
            }
            if let Some(failed) = failed {
                return Err(failed.into());
            }
        }
        if is_missing && !prefix.is_empty() {
            report.failed(missing(prefix));
        }
    }
    Ok(())
}

/// Lists the blobs with this prefix, asks for confirmation, and deletes exactly those.
async fn once_confirmed(
    store: &Store,
    prefixes: &[String],
    attributes: &Attributes,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let (mut keys, mut count, mut bytes) = (Extras::default(), 0_u64, 0);
    for prefix in apart(prefixes) {
        let before = count;
        let mut entries = list(store, prefix, attributes);
        while let Some((key, size)) = entries.try_next().await? {
            keys.push_name(&key)?;
            count += 1;
            bytes += size;
        }
        if count == before && !prefix.is_empty() {
            report.failed(missing(prefix));
        }
    }
    if count > 0 {
        let named: Vec<_> = prefixes.iter().map(|prefix| format!("\"{}\"", text::plain(prefix))).collect();
        confirm("Delete", "deleted", &format!("{count} blobs of {} below {}", text::size(bytes), named.join(", ")))?;
    }
    let mut keys = keys.read()?;
    while let Some(batch) = keys.next_batch()? {
        delete(store, batch, attributes, report).await?;
    }
    Ok(())
}

/// The keys with this prefix, and the sizes of their blobs.
fn list(store: &Store, prefix: &str, attributes: &Attributes) -> BoxStream<'static, Result<(String, u64), Error>> {
    // Attributes of the deletion do not apply to a listing.
    let attributes = attributes.iter().filter(|(name, _)| name != "bypass-governance-retention");
    let list = attributes.fold(store.list(prefix), |list, (name, value)| list.attribute(name, value));
    list.entries().map_ok(|entry| (entry.key, entry.size)).boxed()
}

/// The prefixes that no other prefix covers.
fn apart(prefixes: &[String]) -> impl Iterator<Item = &String> {
    let covered = move |n: usize, prefix: &String| {
        prefixes.iter().enumerate().any(|(m, other)| prefix.starts_with(other) && (prefix != other || m < n))
    };
    prefixes.iter().enumerate().filter(move |(n, prefix)| !covered(*n, prefix)).map(|(_, prefix)| prefix)
}

fn missing(prefix: &str) -> Failure {
    let hint = "for a single blob, leave out --recursive; --prefix also deletes keys that merely have this prefix";
    plan::missing(prefix).with_hint(hint)
}

async fn delete(
    store: &Store,
    keys: Vec<String>,
    attributes: &Attributes,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let delete = store.delete_many(&keys);
    let outcomes = attributes.iter().fold(delete, |delete, (name, value)| delete.attribute(name, value)).await?;
    keys.iter().zip(outcomes).try_for_each(|(key, outcome)| report.deleted(key, outcome))
}

/// Prints the outcome of each blob as it is known. JSON output is one value, written piece by piece.
struct Report<'a> {
    context: &'a Context,
    first: Option<Failure>,
    /// Whether the beginning of the JSON was written.
    is_begun: bool,
}

impl Report<'_> {
    fn deleted(&mut self, key: &str, outcome: Result<(), Error>) -> Result<(), Failure> {
        match outcome {
            Ok(()) if self.context.output.json => {
                let name = text::json(&serde_json::Value::from(key).to_string());
                let before = if self.is_begun { ",\n    " } else { "{\n  \"deleted\": [\n    " };
                self.is_begun = true;
                self.context.output.piece(format!("{before}{name}"))
            }
            Ok(()) => {
                self.context.output.note(&format!("deleted {}", text::plain(key)));
                Ok(())
            }
            Err(error) => {
                self.failed(error.into());
                Ok(())
            }
        }
    }

    fn failed(&mut self, failure: Failure) {
        match &self.first {
            None => self.first = Some(failure),
            Some(_) => self.context.output.failure(&failure),
        }
    }

    fn end(mut self, outcome: Result<(), Failure>) -> Result<Exit, Failure> {
        if self.context.output.json {
            let end = if self.is_begun { "\n  ]\n}" } else { "{\n  \"deleted\": []\n}" };
            // On a usage error nothing was requested.
            if !matches!(&outcome, Err(failure) if !self.is_begun && failure.exit == Exit::Usage) {
                self.context.output.line(end)?;
            }
        }
        if let Err(failure) = outcome {
            self.failed(failure);
        }
        self.first.map_or(Ok(Exit::Success), Err)
    }
}
