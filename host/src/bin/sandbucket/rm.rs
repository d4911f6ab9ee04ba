//! `rm`: blobs away.

use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// All are tried; the first failure is the command's.
pub async fn run(context: &Context, arguments: cli::Rm) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let mut first: Option<Failure> = None;
    let mut deleted = Vec::new();
    for key in arguments.keys {
        match store.delete(&key).await {
            Ok(()) => {
                context.output.note(&format!("deleted {}", text::plain(&key)));
                deleted.push(key);
            }
            Err(error) => match &first {
                None => first = Some(error.into()),
                Some(_) => context.output.failure(&error.into()),
            },
        }
    }
    if context.output.json {
        context.output.value(&json!({ "deleted": deleted }))?;
    }
    first.map_or(Ok(Exit::Success), Err)
}
