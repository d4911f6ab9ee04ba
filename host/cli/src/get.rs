//! `get`: reads a blob, or a range of it, to a file or standard output.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sandbucket::{BlobInfo, Error};
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::cp::plan;
use crate::destination::Destination;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fetch::{fetch, one};
use crate::progress::Progress;
use crate::report::milliseconds;
use crate::text;

pub async fn run(context: &Context, arguments: cli::Get) -> Result<Exit, Failure> {
    let to_stdout = arguments.file.as_os_str() == "-";
    // In a folder it keeps its name, as with `cp`.
    let file = if to_stdout { arguments.file } else { plan::file(&arguments.key, &arguments.file)? };
    let store = context.store().await?;
    let begun = Instant::now();
    let mut get = store.get(&arguments.key);
    let is_whole = arguments.range.is_none();
    if let Some(range) = arguments.range {
        get = get.range(range);
    }
    if let Some(tag) = arguments.if_match {
        get = get.if_match(tag);
    }
    if let Some(tag) = arguments.if_none_match {
        get = get.if_none_match(tag);
    }
    if let Some(version) = arguments.version_id {
        get = get.version(version);
    }
    let plain = arguments.attributes.attribute.is_empty();
    for (name, value) in arguments.attributes.attribute {
        get = get.attribute(name, value);
    }
    let blob = get.await?;
    if !to_stdout {
        plan::make_folder(&file)?;
    }
    let (info, range) = (blob.info().clone(), blob.range());
    let blob = if plain { fetch(&store, &arguments.key, blob).await? } else { one(blob) };
    let total = Some(range.end - range.start).filter(|_| info.known_size().is_some());
    let progress = Progress::new(&context.output, total);
    let destination = if to_stdout { Destination::stdout()? } else { Destination::open(&file).await? };
    // A range is not the blob, so it does not get its date.
    let modified = info.last_modified.filter(|_| is_whole);
    let size = copy(blob, &progress, destination, modified).await?;
    drop(progress);

    let took = begun.elapsed();
    let end = range.start + size;
    // The length of a chunked response is known at its end.
    let whole = info.known_size().or(Some(end).filter(|_| range.end == BlobInfo::UNKNOWN_SIZE));
    if context.output.json {
        let report = json!({
            "key": arguments.key,
            "size": size,
            "range": { "start": range.start, "end": end },
            "whole-size": whole,
            "etag": info.etag,
            "version": info.version,
            "milliseconds": milliseconds(took),
        });
        // Standard output carries only the blob.
        if to_stdout { context.output.value_aside(&report) } else { context.output.value(&report)? }
    } else if !to_stdout {
        let (key, file) = (&arguments.key, file.display());
        let (size, took) = (text::size(size), text::time(took));
        context.output.note(&text::plain(&format!("read {key} into {file} ({size}) in {took}")));
    }
    Ok(Exit::Success)
}

async fn copy(
    mut blob: BoxStream<'static, Result<Bytes, Error>>,
    progress: &Progress,
    mut destination: Destination,
    modified: Option<SystemTime>,
) -> Result<u64, Failure> {
    let mut done = 0;
    while let Some(chunk) = blob.next().await {
        let chunk = chunk?;
        destination.write(&chunk).await?;
        done += chunk.len() as u64;
        progress.reached(done);
    }
    destination.finish(modified, true).await?;
    Ok(done)
}
