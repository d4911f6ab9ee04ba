//! `put`: stores a file or standard input.

use std::time::Instant;

use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::milliseconds;
use crate::source::Source;
use crate::text;
use crate::upload_source::upload_source;

/// Of any length: a body larger than a part is uploaded in parts.
pub async fn run(context: &Context, arguments: cli::Put) -> Result<Exit, Failure> {
    // Opened first, so that changes while the plugin is loaded are detected as well.
    let opened = match std::fs::metadata(&arguments.file).is_ok_and(|metadata| metadata.is_file()) {
        true => Some(Source::open(&arguments.file).await?),
        false => None,
    };
    // A wrong configuration is reported before standard input is read, or a FIFO is awaited.
    let store = context.store().await?;
    let source = match opened {
        Some(opened) => opened,
        None => Source::open(&arguments.file).await?,
    };
    let length = source.length();
    let mut upload = store.upload(&arguments.key);
    // A checksum of the body belongs to the whole body, so it limits the upload to one request.
    let is_checksum = |name: &str| name.starts_with("checksum-") || name == "content-md5";
    if arguments.attributes.attribute.iter().any(|(name, _)| is_checksum(name)) {
        upload = upload.part_size(store.limits().max_put);
    }
    upload = arguments.sizes.expecting(arguments.expected_size).apply(upload, length);
    if let Some(media_type) = arguments.content_type.as_deref().or_else(|| text::media_type(&arguments.file)) {
        upload = upload.content_type(media_type);
    }
    for (name, value) in arguments.metadata {
        upload = upload.metadata(name, value);
    }
    for (name, value) in arguments.attributes.attribute {
        upload = upload.attribute(name, value);
    }
    if arguments.if_absent {
        upload = upload.if_absent();
    }
    if let Some(tag) = arguments.if_match {
        upload = upload.if_match(tag);
    }
    let progress = Progress::new(&context.output, length);
    let shown = progress.clone();
    let begun = Instant::now();
    let upload = upload.progress(move |bytes| shown.reached(bytes));
    // An interrupt drops the upload.
    let (size, written) = upload_source(upload, source, |_| {}, std::future::pending()).await?;
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
