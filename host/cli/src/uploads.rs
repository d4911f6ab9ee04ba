//! `uploads`: incomplete multipart uploads. Their parts are stored, and billed.

use futures::TryStreamExt;
use sandbucket::{PendingUpload, Store};
use serde_json::{Value, json};

use crate::cli;
use crate::confirm::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// Prints a line per upload; JSON output has an object per line.
pub async fn run(context: &Context, arguments: cli::Uploads) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let mut list = store.list_uploads(&arguments.prefix);
    for (name, value) in &arguments.attributes.attribute {
        list = list.attribute(name, value);
    }
    let mut found = list.uploads();
    if arguments.abort {
        return abort(context, &store, found.try_collect().await?, arguments).await;
    }
    while let Some(upload) = found.try_next().await? {
        if context.output.json {
            context.output.row(&to_json(&upload))?;
        } else {
            let begun = upload.initiated.map(text::timestamp).unwrap_or_default();
            context.output.line(text::plain(&format!("{begun:>20}  {}  {}", upload.id, upload.key)))?;
        }
    }
    Ok(Exit::Success)
}

/// Tries all; the first error determines the exit status.
async fn abort(
    context: &Context,
    store: &Store,
    uploads: Vec<PendingUpload>,
    arguments: cli::Uploads,
) -> Result<Exit, Failure> {
    if !uploads.is_empty() && !arguments.yes {
        let what = format!("{} uploads to keys that begin with \"{}\"", uploads.len(), text::plain(&arguments.prefix));
        confirm("Abort", "aborted", &what)?;
    }
    let (mut first, mut aborted) = (None, Vec::new());
    for upload in uploads {
        let mut abort = store.abort_upload(&upload.key, &upload.id);
        for (name, value) in &arguments.attributes.attribute {
            abort = abort.attribute(name, value);
        }
        match abort.await {
            Ok(()) => {
                context.output.note(&text::plain(&format!("aborted {} {}", upload.id, upload.key)));
                aborted.push(to_json(&upload));
            }
            Err(error) => match &first {
                None => first = Some(Failure::from(error)),
                Some(_) => context.output.failure(&error.into()),
            },
        }
    }
    if context.output.json {
        context.output.value(&json!({ "aborted": aborted }))?;
    }
    first.map_or(Ok(Exit::Success), Err)
}

fn to_json(upload: &PendingUpload) -> Value {
    json!({ "key": upload.key, "id": upload.id, "initiated": upload.initiated.map(text::timestamp) })
}
