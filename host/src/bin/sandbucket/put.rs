//! `put`: a file or standard input becomes a blob.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::cli;
use crate::context::{self, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::milliseconds;
use crate::text;

pub async fn run(context: &Context, arguments: cli::Put) -> Result<Exit, Failure> {
    // A wrong configuration is told before standard input is read to its end.
    let config = context.config()?;
    let engine = context::engine(Some(&config)).await?;
    let store = config.open(&engine).await?;
    let body = read(&arguments.file, engine.limits().max_put).await?;
    let size = body.len() as u64;

    let mut put = store.put(&arguments.key, body);
    if let Some(media_type) = arguments.content_type.as_deref().or_else(|| text::media_type(&arguments.file)) {
        put = put.content_type(media_type);
    }
    for (name, value) in arguments.metadata {
        put = put.metadata(name, value);
    }
    for (name, value) in arguments.attribute {
        put = put.attribute(name, value);
    }
    if arguments.if_absent {
        put = put.if_absent();
    }
    if let Some(tag) = arguments.if_match {
        put = put.if_match(tag);
    }
    let progress = Progress::new(&context.output, Some(size));
    let shown = progress.clone();
    let begun = Instant::now();
    let written = put.progress(move |bytes| shown.reached(bytes)).await?;
    let took = begun.elapsed();
    drop(progress);

    if context.output.json {
        context.output.value(&json!({
            "key": arguments.key,
            "size": size,
            "etag": written.etag,
            "version": written.version,
            "milliseconds": milliseconds(took),
        }))?;
    } else {
        let tag = written.etag.map(|tag| format!(", {tag}")).unwrap_or_default();
        let (size, took) = (text::size(size), text::time(took));
        context.output.note(&text::plain(&format!("stored {} ({size}{tag}) in {took}", arguments.key)));
    }
    Ok(Exit::Success)
}

/// All of a file or of standard input, unless it is more than may be stored at once.
pub async fn read(file: &Path, most: usize) -> Result<Bytes, Failure> {
    let failed = |e: std::io::Error| Failure::file("reading", file, &e);
    if file.as_os_str() == "-" {
        return read_to_end(tokio::io::stdin(), most, "standard input").await;
    }
    let opened = tokio::fs::File::open(file).await.map_err(failed)?;
    if opened.metadata().await.map_err(failed)?.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("{} is a folder", file.display())));
    }
    read_to_end(opened, most, &file.display().to_string()).await
}

async fn read_to_end(source: impl AsyncRead + Unpin, most: usize, name: &str) -> Result<Bytes, Failure> {
    let mut body = Vec::new();
    // One more than may be, so that more is noticed and the rest left unread.
    let mut source = source.take(most as u64 + 1);
    let failed = |e: std::io::Error| Failure::new(Exit::Failure, format!("reading {name}: {e}"));
    source.read_to_end(&mut body).await.map_err(failed)?;
    if body.len() > most {
        let message = format!("{name} is longer than the {} that can be stored at once", text::size(most as u64));
        return Err(Failure::new(Exit::Failure, message).with_hint("`max-put` in the section [sandbox] is that limit"));
    }
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_than_may_be_is_refused_without_reading_it_all() {
        let whole = read_to_end(&b"12345"[..], 5, "it").await.unwrap();
        assert_eq!(whole, "12345");
        let failure = read_to_end(tokio::io::repeat(7), 5, "it").await.unwrap_err();
        assert!(failure.message.contains("longer than the 5 B"), "{}", failure.message);
    }
}
