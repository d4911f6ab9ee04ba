//! `rm`: blobs away.

use std::io::{self, BufRead, IsTerminal, Write};

use futures::TryStreamExt;
use sandbucket::Store;
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// All are tried; the first failure is the command's.
pub async fn run(context: &Context, arguments: cli::Rm) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let keys = if arguments.recursive {
        let (keys, bytes) = below(&store, &arguments.keys).await?;
        if !keys.is_empty() && !arguments.yes {
            confirm(keys.len(), bytes, &arguments.keys)?;
        }
        keys
    } else {
        arguments.keys
    };
    let outcomes = match &keys[..] {
        [one] => vec![store.delete(one).await],
        many => store.delete_many(many).await?,
    };
    let mut first: Option<Failure> = None;
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

/// The keys that begin so, each once, and how many bytes they are in all.
async fn below(store: &Store, prefixes: &[String]) -> Result<(Vec<String>, u64), Failure> {
    let (mut keys, mut bytes) = (Vec::new(), 0);
    for (n, prefix) in prefixes.iter().enumerate() {
        // What another one covers is listed with that.
        if prefixes.iter().enumerate().any(|(m, other)| prefix.starts_with(other) && (prefix != other || m < n)) {
            continue;
        }
        let mut entries = store.list(prefix).entries();
        while let Some(entry) = entries.try_next().await? {
            keys.push(entry.key);
            bytes += entry.size;
        }
    }
    Ok((keys, bytes))
}

/// Asks whoever sits at the terminal.
fn confirm(count: usize, bytes: u64, prefixes: &[String]) -> Result<(), Failure> {
    let named: Vec<String> = prefixes.iter().map(|prefix| format!("\"{}\"", text::plain(prefix))).collect();
    let what = format!("{count} blobs of {} below {}", text::size(bytes), named.join(", "));
    if !io::stdin().is_terminal() {
        let message = format!("{what} would be deleted, and nobody is at a terminal to be asked");
        return Err(Failure::new(Exit::Usage, message).with_hint("--yes deletes without asking"));
    }
    let mut answer = String::new();
    let _ = write!(io::stderr(), "Delete {what}? [y/N] ");
    let read = tokio::task::block_in_place(|| io::stdin().lock().read_line(&mut answer));
    if read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Failure, "nothing was deleted"))
}
