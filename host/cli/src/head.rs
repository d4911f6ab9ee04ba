//! `head`: shows the metadata of a blob.

use sandbucket::BlobInfo;
use serde_json::{Map, Value, json};

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

pub async fn run(context: &Context, arguments: cli::Head) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let mut head = store.head(&arguments.key);
    if let Some(version) = arguments.version_id {
        head = head.version(version);
    }
    for (name, value) in arguments.attributes.attribute {
        head = head.attribute(name, value);
    }
    let info = head.await?;
    if context.output.json {
        context.output.value(&to_json(&arguments.key, &info))?;
    } else {
        for (name, value) in rows(&info) {
            context.output.line(format!("{:<16} {}", text::plain(&name), text::plain(&value)))?;
        }
    }
    Ok(Exit::Success)
}

/// Names and values for people.
pub fn rows(info: &BlobInfo) -> Vec<(String, String)> {
    let size = match info.known_size() {
        Some(size) => format!("{} ({size} bytes)", text::size(size)),
        None => "unknown".to_owned(),
    };
    let mut rows = vec![("size".to_owned(), size)];
    let known = [
        ("etag", info.etag.clone()),
        ("last-modified", info.last_modified.map(text::timestamp)),
        ("content-type", info.content_type.clone()),
        ("version", info.version.clone()),
    ];
    rows.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    rows.extend(info.attributes.iter().cloned());
    rows.extend(info.metadata.iter().map(|(name, value)| (format!("metadata {name}"), value.clone())));
    rows
}

fn to_json(key: &str, info: &BlobInfo) -> Value {
    let map = |pairs: &[(String, String)]| -> Map<String, Value> {
        pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
    };
    json!({
        "key": key,
        "size": info.known_size(),
        "etag": info.etag,
        "last-modified": info.last_modified.map(text::timestamp),
        "content-type": info.content_type,
        "version": info.version,
        "attributes": map(&info.attributes),
        "metadata": map(&info.metadata),
    })
}
