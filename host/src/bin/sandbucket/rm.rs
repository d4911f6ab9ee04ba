//! `rm`: blobs away.

use futures::TryStreamExt;
use sandbucket::Store;
use serde_json::json;

use crate::cli;
use crate::confirm::confirm;
use crate::context::Context;
use crate::cp::plan::{self, folder};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// All are tried; the first failure is the command's.
pub async fn run(context: &Context, arguments: cli::Rm) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let attributes = &arguments.attributes.attribute;
    let mut missing = Vec::new();
    let keys = if arguments.recursive {
        let prefixes = match arguments.prefix {
            true => arguments.keys,
            false => arguments.keys.iter().map(|key| folder(key)).collect(),
        };
        let (keys, bytes) = below(&store, &prefixes, attributes, &mut missing).await?;
        if !keys.is_empty() && !arguments.yes {
            let named: Vec<_> = prefixes.iter().map(|prefix| format!("\"{}\"", text::plain(prefix))).collect();
            let (count, size) = (keys.len(), text::size(bytes));
            confirm("Delete", "deleted", &format!("{count} blobs of {size} below {}", named.join(", ")))?;
        }
        keys
    } else {
        arguments.keys
    };
    let outcomes = match (&keys[..], arguments.version_id) {
        ([one], version) => {
            let delete =
                attributes.iter().fold(store.delete(one), |delete, (name, value)| delete.attribute(name, value));
            vec![match version {
                Some(version) => delete.version(version).await,
                None => delete.await,
            }]
        }
        (_, Some(_)) => return Err(Failure::new(Exit::Usage, "a version is of one blob: give one key with it")),
        (many, None) => {
            let delete = store.delete_many(many);
            attributes.iter().fold(delete, |delete, (name, value)| delete.attribute(name, value)).await?
        }
    };
    let mut missing = missing.into_iter();
    let mut first: Option<Failure> = missing.next();
    missing.for_each(|failure| context.output.failure(&failure));
    let mut deleted = Vec::new();
    for (key, outcome) in keys.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) => {
                context.output.note(&format!("deleted {}", text::plain(&key)));
                deleted.push(key);
            }
            Err(error) => match &first {
                None => first = Some(error.into()),
                Some(_) => context.output.failure(&error.into()),
            },
        }
    }
    if context.output.json {
        context.output.value(&json!({ "deleted": deleted }))?;
    }
    first.map_or(Ok(Exit::Success), Err)
}

/// The keys that begin so, each once, and how many bytes they are in all. A prefix that no key has is `missing`.
async fn below(
    store: &Store,
    prefixes: &[String],
    attributes: &[(String, String)],
    missing: &mut Vec<Failure>,
) -> Result<(Vec<String>, u64), Failure> {
    // What is said of deleting is none of a list's.
    let attributes = attributes.iter().filter(|(name, _)| name != "bypass-governance-retention");
    let (mut keys, mut bytes) = (Vec::new(), 0);
    for (n, prefix) in prefixes.iter().enumerate() {
        // What another one covers is listed with that.
        if prefixes.iter().enumerate().any(|(m, other)| prefix.starts_with(other) && (prefix != other || m < n)) {
            continue;
        }
        let list = attributes.clone().fold(store.list(prefix), |list, (name, value)| list.attribute(name, value));
        let mut entries = list.entries();
        let before = keys.len();
        while let Some(entry) = entries.try_next().await? {
            keys.push(entry.key);
            bytes += entry.size;
        }
        if keys.len() == before && !prefix.is_empty() {
            let hint = "for a single blob, leave out --recursive; --prefix also deletes keys that only begin so";
            missing.push(plan::missing(prefix).with_hint(hint));
        }
    }
    Ok((keys, bytes))
}
