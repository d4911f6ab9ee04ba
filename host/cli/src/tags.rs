//! `tags`: the tags of a blob.

use serde_json::{Map, Value, json};

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// Shows or replaces them.
pub async fn run(context: &Context, arguments: cli::Tags) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let key = &arguments.key;
    if arguments.set.is_empty() && !arguments.clear {
        let mut request = store.tags(key);
        if let Some(version) = arguments.version_id {
            request = request.version(version);
        }
        for (name, value) in arguments.attributes.attribute {
            request = request.attribute(name, value);
        }
        return show(context, key, request.await?);
    }
    let count = arguments.set.len();
    let mut given = store.set_tags(key, arguments.set.clone());
    if let Some(version) = arguments.version_id {
        given = given.version(version);
    }
    for (name, value) in arguments.attributes.attribute {
        given = given.attribute(name, value);
    }
    given.await?;
    if context.output.json {
        return show(context, key, arguments.set);
    }
    context.output.note(&match count {
        0 => format!("{} has no tags now", text::plain(key)),
        1 => format!("{} has this tag alone", text::plain(key)),
        count => format!("{} has these {count} tags alone", text::plain(key)),
    });
    Ok(Exit::Success)
}

fn show(context: &Context, key: &str, tags: Vec<(String, String)>) -> Result<Exit, Failure> {
    if context.output.json {
        let tags: Map<String, Value> = tags.into_iter().map(|(name, value)| (name, value.into())).collect();
        context.output.value(&json!({ "key": key, "tags": tags }))?;
        return Ok(Exit::Success);
    }
    for (name, value) in tags {
        context.output.line(text::plain(&format!("{name}={value}")))?;
    }
    Ok(Exit::Success)
}
