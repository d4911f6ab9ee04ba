//! `presign`: creates a presigned URL.

use sandbucket::PresignedMethod;
use serde_json::json;

use crate::cli::{self, Method};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

pub async fn run(context: &Context, arguments: cli::Presign) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let (method, name) = match arguments.method {
        Method::Get => (PresignedMethod::Get, "GET"),
        Method::Head => (PresignedMethod::Head, "HEAD"),
        Method::Put => (PresignedMethod::Put, "PUT"),
        Method::Delete => (PresignedMethod::Delete, "DELETE"),
    };
    let mut presign = store.presign(method, &arguments.key).expires(arguments.expires);
    for (name, value) in arguments.header {
        presign = presign.header(name, value);
    }
    for (name, value) in arguments.attribute {
        presign = presign.attribute(name, value);
    }
    if let Some(version) = arguments.version_id {
        presign = presign.version(version);
    }
    let presigned = presign.await?;
    if context.output.json {
        let headers: serde_json::Map<_, _> =
            presigned.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        context.output.value(&json!({ "method": name, "url": presigned.url, "headers": headers }))?;
        return Ok(Exit::Success);
    }
    for (name, value) in &presigned.headers {
        context.output.note(&text::plain(&format!("required header: {name}: {value}")));
    }
    context.output.line(text::plain(&presigned.url))?;
    Ok(Exit::Success)
}
