//! `mv`: renames a blob.

use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::cp::plan::{self, Place};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// The service copies the blob, and the source is deleted.
pub async fn run(context: &Context, arguments: cli::Mv) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let from = arguments.from;
    // To a folder it keeps its name, as with `cp`.
    let item = plan::one(&Place::key(&from), &Place::key(&arguments.to))?;
    let to = if let Place::Store { key, .. } = item.to { key } else { arguments.to };
    let mut rename = store.rename(&from, &to);
    if arguments.if_absent {
        rename = rename.if_absent();
    }
    if let Some(tag) = arguments.if_match {
        rename = rename.if_match(tag);
    }
    for (name, value) in arguments.attributes.attribute {
        rename = rename.attribute(name, value);
    }
    let written = rename.await?;
    if context.output.json {
        let report = json!({ "from": from, "to": to, "etag": written.etag, "version": written.version });
        context.output.value(&report)?;
    } else {
        context.output.note(&text::plain(&format!("{from} is now {to}")));
    }
    Ok(Exit::Success)
}
