//! `du`: sums up sizes.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// The sum of a folder and its subfolders.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    blobs: u64,
    bytes: u64,
}

pub async fn run(context: &Context, arguments: cli::Du) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let mut sums = BTreeMap::new();
    sums.insert(arguments.prefix.clone(), Sum::default());
    let mut entries = store.list(&arguments.prefix).entries();
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        for folder in folders(&entry.key, &arguments.prefix, arguments.depth) {
            let sum: &mut Sum = sums.entry(folder.to_owned()).or_default();
            sum.blobs += 1;
            sum.bytes += entry.size;
        }
    }
    for (folder, sum) in sums {
        if context.output.json {
            context.output.row(&json!({ "prefix": folder, "blobs": sum.blobs, "bytes": sum.bytes }))?;
        } else {
            let name = if folder.is_empty() { "(all)".to_owned() } else { text::plain(&folder) };
            context.output.line(format!("{:>10}  {:>8} blobs  {name}", text::size(sum.bytes), sum.blobs))?;
        }
    }
    Ok(Exit::Success)
}

/// The prefix itself, and the folders below it that contain this key, down to this depth.
fn folders<'a>(key: &'a str, prefix: &'a str, depth: usize) -> impl Iterator<Item = &'a str> {
    let below = key.strip_prefix(prefix).unwrap_or_default();
    let deeper = below.match_indices('/').take(depth).map(move |(at, _)| &key[..prefix.len() + at + 1]);
    std::iter::once(prefix).chain(deeper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blob_counts_in_each_of_its_folders() {
        let all = |key, prefix, depth| folders(key, prefix, depth).collect::<Vec<_>>();
        assert_eq!(all("a/b/c", "", 0), [""]);
        assert_eq!(all("a/b/c", "", 1), ["", "a/"]);
        assert_eq!(all("a/b/c", "", 9), ["", "a/", "a/b/"]);
        assert_eq!(all("a/b/c", "a/", 1), ["a/", "a/b/"]);
        assert_eq!(all("c", "", 3), [""]);
    }
}
