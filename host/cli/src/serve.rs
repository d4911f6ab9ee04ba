//! `serve`: an S3 endpoint in front of the configured tenants.

use sandbucket_gateway::{Error, Gateway, Running};
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::descriptors;
use crate::exit::Exit;
use crate::failure::Failure;

/// Descriptors beside those of the clients' connections, for connections to services and for files.
const OTHER_DESCRIPTORS: usize = 4096;

/// Runs until SIGTERM or SIGINT, which is its normal end.
pub async fn run(context: &Context, arguments: cli::Serve) -> Result<Exit, Failure> {
    let file = &context.config_file;
    if !file.exists() {
        let message = format!("there is no configuration file {}", file.display());
        return Err(Failure::new(Exit::Config, message).with_hint("docs/operating.md has one to begin with"));
    }
    let gateway = Gateway::load(file).await.map_err(failure)?;
    let tenants = gateway.tenants().len();
    if arguments.check {
        context.output.note(&format!("The configuration is in order: {tenants} tenants."));
        return Ok(Exit::Success);
    }
    descriptors::raise(gateway.config().limits.connections + OTHER_DESCRIPTORS);
    let shutdown = async {
        crate::signals::received().await;
        context.output.note("stopping");
    };
    gateway.run(shutdown, |running| announce(context, running, tenants)).await.map_err(failure)?;
    Ok(Exit::Success)
}

fn announce(context: &Context, running: &Running, tenants: usize) {
    let addresses: Vec<String> = running.addresses().iter().map(ToString::to_string).collect();
    let admin = running.admin().map(ToString::to_string);
    let health = running.health().map(|address| address.to_string());
    if context.output.json {
        let started = json!({"listen": addresses, "admin": admin, "health": health, "tenants": tenants});
        // Without a reader, the server runs on.
        let _ = context.output.value(&started);
        return;
    }
    context.output.note(&format!("Serving {tenants} tenants at {}.", addresses.join(", ")));
    if let Some(admin) = admin {
        context.output.note(&format!("The admin API is at {admin}."));
    }
}

/// An error of the gateway.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::Sandbucket(error) => error.into(),
        Error::Config { .. } => Failure::new(Exit::Config, error.to_string()),
        other => Failure::new(Exit::Failure, other.to_string()),
    }
}
