//! `get`: a blob, or a part of it, to a file or standard output.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sandbucket::{BlobInfo, Error};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fetch::{fetch, one};
use crate::output::stdout_failed;
use crate::progress::Progress;
use crate::report::milliseconds;
use crate::text;

pub async fn run(context: &Context, arguments: cli::Get) -> Result<Exit, Failure> {
    let to_stdout = arguments.file.as_os_str() == "-";
    let store = context.store().await?;
    let begun = Instant::now();
    let mut get = store.get(&arguments.key);
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
    let (info, range) = (blob.info().clone(), blob.range());
    let blob = if plain { fetch(&store, &arguments.key, blob).await? } else { one(blob) };
    let total = Some(range.end - range.start).filter(|_| info.known_size().is_some());
    let progress = Progress::new(&context.output, total);
    let size;
    if to_stdout {
        // A pipe may be slow: write where waiting hurts nobody.
        size = copy(blob, &progress, |chunk| {
            tokio::task::block_in_place(|| io::stdout().write_all(&chunk)).map_err(stdout_failed)
        })
        .await?;
        io::stdout().flush().map_err(stdout_failed)?;
    } else {
        let failed = |e: io::Error| Failure::file("writing", &arguments.file, &e);
        let mut half = beside(&arguments.file).map_err(failed)?;
        size = copy(blob, &progress, |chunk| tokio::task::block_in_place(|| half.write_all(&chunk)).map_err(failed))
            .await?;
        tokio::task::block_in_place(|| half.as_file().sync_all()).map_err(failed)?;
        half.persist(&arguments.file).map_err(|e| failed(e.error))?;
    }
    drop(progress);

    let took = begun.elapsed();
    let end = range.start + size;
    // A chunked response has no length before its end.
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
        // The blob has standard output to itself.
        if to_stdout { context.output.value_aside(&report) } else { context.output.value(&report)? }
    } else if !to_stdout {
        let (key, file) = (&arguments.key, arguments.file.display());
        let (size, took) = (text::size(size), text::time(took));
        context.output.note(&text::plain(&format!("read {key} into {file} ({size}) in {took}")));
    }
    Ok(Exit::Success)
}

async fn copy(
    mut blob: BoxStream<'static, Result<Bytes, Error>>,
    progress: &Progress,
    mut write: impl FnMut(Bytes) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut done = 0;
    while let Some(chunk) = blob.next().await {
        let chunk = chunk?;
        done += chunk.len() as u64;
        write(chunk)?;
        progress.reached(done);
    }
    Ok(done)
}

/// A file in the same folder, removed unless it is moved into its place. It gets the access rights of any new file.
pub fn beside(file: &Path) -> io::Result<NamedTempFile> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sandbucket-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}
