//! `ls`: lists blobs.

use futures::StreamExt;
use sandbucket::{Entry, Store};
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::cp::plan;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// Prints a line per blob; JSON output has an object per line, so that it can be parsed while it is printed.
pub async fn run(context: &Context, arguments: cli::Ls) -> Result<Exit, Failure> {
    let store = context.store().await?;
    if arguments.versions {
        return versions(context, &store, arguments).await;
    }
    let mut list = store.list(&arguments.prefix);
    if !arguments.recursive {
        list = list.delimiter("/");
    }
    for (name, value) in arguments.attributes.attribute {
        list = list.attribute(name, value);
    }
    let mut pages = list.pages();
    let mut is_empty = true;
    while let Some(page) = pages.next().await {
        let page = page?;
        is_empty &= page.prefixes.is_empty() && page.entries.is_empty();
        for folder in page.prefixes {
            if context.output.json {
                context.output.row(&json!({ "folder": folder }))?;
            } else {
                context.output.line(format!("{:>20}  {:>10}  {}", "", "folder", text::plain(&folder)))?;
            }
        }
        for entry in page.entries {
            if context.output.json {
                context.output.row(&to_json(&entry))?;
            } else {
                context.output.line(row(&entry, &text::size(entry.size)))?;
            }
        }
    }
    ended(is_empty, &arguments.prefix)
}

async fn versions(context: &Context, store: &Store, arguments: cli::Ls) -> Result<Exit, Failure> {
    let mut list = store.list_versions(&arguments.prefix);
    for (name, value) in arguments.attributes.attribute {
        list = list.attribute(name, value);
    }
    let mut entries = list.entries();
    let mut is_empty = true;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        is_empty = false;
        if context.output.json {
            let mut row = to_json(&entry.blob);
            row["version"] = json!(entry.version);
            row["latest"] = json!(entry.latest);
            row["deleted"] = json!(entry.deleted);
            context.output.row(&row)?;
            continue;
        }
        let size = if entry.deleted { "deleted".to_owned() } else { text::size(entry.blob.size) };
        let version = entry.version.as_deref().unwrap_or("null");
        let latest = if entry.latest { " (latest)" } else { "" };
        context.output.line(format!("{}  {}{latest}", row(&entry.blob, &size), text::plain(version)))?;
    }
    ended(is_empty, &arguments.prefix)
}

/// An empty bucket is no error; a prefix without keys is probably mistyped.
fn ended(is_empty: bool, prefix: &str) -> Result<Exit, Failure> {
    if is_empty && !prefix.is_empty() { Err(plan::missing(prefix)) } else { Ok(Exit::Success) }
}

fn row(entry: &Entry, size: &str) -> String {
    let written = entry.last_modified.map(text::timestamp).unwrap_or_default();
    format!("{written:>20}  {size:>10}  {}", text::plain(&entry.key))
}

fn to_json(entry: &Entry) -> serde_json::Value {
    json!({
        "key": entry.key,
        "size": entry.size,
        "etag": entry.etag,
        "last-modified": entry.last_modified.map(text::timestamp),
    })
}
