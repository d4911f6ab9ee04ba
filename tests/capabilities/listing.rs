//! Listings and bulk operations.

use futures::TryStreamExt;
use sandbucket::{ListPage, Store};

use crate::probe;
use crate::probe::{Outcome, Probe, same};

pub fn probes() -> Vec<Probe> {
    vec![
        probe!("list", |b| {
            write(&b.store, &["a", "b", "c"].map(|key| b.key(key))).await?;
            let page = b.store.list(b.key("")).await?;
            same("the list", keys(&page), ["a", "b", "c"].map(|key| b.key(key)).to_vec())?;
            same("the size", page.entries[0].size, 1)?;
        }),
        probe!("list page by page", |b| {
            let wanted: Vec<_> = (0..5).map(|n| b.key(&n.to_string())).collect();
            write(&b.store, &wanted).await?;
            same("the page", keys(&b.store.list(b.key("")).page_size(2).await?), wanted[..2].to_vec())?;
            let listed: Vec<_> = b.store.list(b.key("")).page_size(2).entries().try_collect().await?;
            same("the list", listed.into_iter().map(|entry| entry.key).collect(), wanted)?;
        }),
        probe!("list by folder", |b| {
            write(&b.store, &["a", "f/1", "f/2", "g/h/3"].map(|key| b.key(key))).await?;
            let page = b.store.list(b.key("")).delimiter("/").await?;
            same("the list", keys(&page), vec![b.key("a")])?;
            same("the folders", page.prefixes, vec![b.key("f/"), b.key("g/")])?;
        }),
        probe!("list by any delimiter", |b| {
            write(&b.store, &["a", "f--1", "f--2"].map(|key| b.key(key))).await?;
            let page = b.store.list(b.key("")).delimiter("--").await?;
            same("the list", keys(&page), vec![b.key("a")])?;
            same("the folders", page.prefixes, vec![b.key("f--")])?;
        }),
        probe!("list from a key on", |b| {
            write(&b.store, &["a", "b", "c"].map(|key| b.key(key))).await?;
            same(
                "the list",
                keys(&b.store.list(b.key("")).start_after(b.key("a")).await?),
                vec![b.key("b"), b.key("c")],
            )?;
        }),
        probe!("list of keys that XML cannot hold (`encoding-type=url`)", |b| {
            let odd = ["\u{1}", "\u{1b}", "a b+c%20", "é", "\u{fffd}"].map(|key| b.key(key));
            write(&b.store, &odd).await?;
            let mut wanted = odd.to_vec();
            wanted.sort();
            same("the list", keys(&b.store.list(b.key("")).await?), wanted)?;
        }),
        probe!("list in the order of UTF-8's bytes", |b| {
            // In UTF-16 order the second would be first.
            let keys_ = ["\u{ffff}", "\u{10000}"].map(|key| b.key(key));
            write(&b.store, &keys_).await?;
            same("the list", keys(&b.store.list(b.key("")).await?), keys_.to_vec())?;
        }),
        probe!("list of versions", |b| {
            write(&b.store, &[b.key("k")]).await?;
            let page = b.store.list_versions(b.key("")).await?;
            same("the list", page.entries.into_iter().map(|entry| entry.blob.key).collect(), vec![b.key("k")])?;
        }),
        probe!("delete of many at once", |b| {
            let odd = ["a", "b c", "é", "<&>", "not there"].map(|key| b.key(key));
            write(&b.store, &odd[..4]).await?;
            for outcome in b.store.delete_many(&odd).await? {
                outcome?;
            }
            same("what is left", keys(&b.store.list(b.key("")).await?), Vec::new())?;
        }),
        probe!("delete of what is not there", |b| {
            b.store.delete(b.key("nothing")).await?;
        }),
    ]
}

async fn write(store: &Store, keys: &[String]) -> Outcome {
    for key in keys {
        store.put(key, "x").await?;
    }
    Ok(())
}

fn keys(page: &ListPage) -> Vec<String> {
    page.entries.iter().map(|entry| entry.key.clone()).collect()
}
