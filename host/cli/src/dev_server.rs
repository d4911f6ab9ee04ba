//! `dev-server`: runs an S3 server on this machine.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};

use sandbucket_dev_server::DevServer;
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Tone;
use crate::text;

/// Runs until it is interrupted, which is its normal end.
pub async fn run(context: &Context, arguments: cli::DevServer) -> Result<Exit, Failure> {
    let access_key = arguments.access_key.unwrap_or_else(|| format!("dev{}", random(8)));
    let secret_key = arguments.secret_key.unwrap_or_else(|| random(32));
    let mut builder =
        DevServer::builder().listen(&arguments.listen).buckets(&arguments.bucket).credentials(&access_key, &secret_key);
    builder = builder.initiation_dates(arguments.initiation_dates);
    if let Some(folder) = &arguments.folder {
        builder = builder.folder(folder);
    }
    let server = builder.start().await.map_err(|error| {
        let failure = Failure::new(Exit::Failure, format!("the server does not start: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.with_hint("choose another port with --listen; port 0 is any free one")
            }
            _ => failure,
        }
    })?;

    let bucket = arguments.bucket.first().map(String::as_str).unwrap_or_default();
    let endpoint = server.endpoint();
    let output = &context.output;
    if output.json {
        output.value(&json!({
            "endpoint": endpoint,
            "folder": server.folder(),
            "buckets": arguments.bucket,
            "access-key": access_key,
            "secret-key": secret_key,
        }))?;
    } else {
        let kept = if arguments.folder.is_some() { "" } else { " (temporary: gone when the server stops)" };
        let folder = text::plain(&server.folder().to_string_lossy());
        output.note(&format!("An S3 server at {endpoint}, keeping its blobs in {folder}{kept}."));
        if !server.address().ip().is_loopback() {
            output.note("It can be reached from other machines, and has no TLS: for a test network only.");
        }
        output.note("Put this into sandbucket.toml; Ctrl-C stops the server.\n");
        let section = format!(
            "[store.blob.s3]\nbucket = {}\nendpoint = {}\naccess-key = {}\nsecret-key = {}",
            quoted(bucket),
            quoted(&endpoint),
            quoted(&access_key),
            quoted(&secret_key),
        );
        output.line(output.paint(Tone::Strong, &section))?;
    }
    crate::signals::received().await;
    output.note("\nstopping");
    server.stop().await;
    Ok(Exit::Success)
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Random letters and digits: the standard library seeds its hashers from the system.
fn random(length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        let _ = write!(text, "{:016x}", RandomState::new().hash_one(text.len()));
    }
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_generated_and_quoted_for_the_configuration() {
        assert_eq!(random(32).len(), 32);
        assert_ne!(random(32), random(32));
        assert_eq!(quoted("a\"b"), "'a\"b'");
    }
}
