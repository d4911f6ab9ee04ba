//! `serve`: an S3 endpoint in front of the configured tenants.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sandbucket_gateway::{Error, Gateway, Running};
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::descriptors;
use crate::exit::Exit;
use crate::failure::Failure;

/// Buckets of histograms: of times, the CPU time of a call included, and of sizes of bodies.
const SECONDS: [f64; 14] =
    [0.000_01, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];
const BYTES: [f64; 7] = [1024.0, 16384.0, 262_144.0, 1_048_576.0, 16_777_216.0, 268_435_456.0, 4_294_967_296.0];
/// Time between two rounds of the recorder's upkeep.
const UPKEEP: Duration = Duration::from_secs(5);

/// Descriptors beside those of the clients' connections, for connections to services and for files.
const OTHER_DESCRIPTORS: usize = 4096;

/// Runs until SIGTERM or SIGINT, which is its normal end.
pub async fn run(context: &Context, arguments: cli::Serve) -> Result<Exit, Failure> {
    let file = &context.config_file;
    if !file.exists() {
        let message = format!("there is no configuration file {}", file.display());
        return Err(Failure::new(Exit::Config, message).with_hint("docs/operating.md has one to begin with"));
    }
    // Before the engine is built, which asks it for its metrics.
    let recorder = recorder()?;
    let gateway = Gateway::load(file).await.map_err(failure)?;
    let tenants = gateway.tenants().len();
    for tenant in gateway.tenants().status() {
        if let Some(why) = &tenant.unready {
            context.output.note(&crate::tenants::unready(&tenant.name, why));
        }
    }
    if arguments.check {
        context.output.note(&format!("The configuration is in order: {tenants} tenants."));
        return Ok(Exit::Success);
    }
    let upkeep = recorder.clone();
    gateway.export_metrics(move || recorder.render());
    // Until somebody asks for the metrics, values of histograms pile up.
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    descriptors::raise(gateway.config().limits.connections + OTHER_DESCRIPTORS);
    let shutdown = async {
        crate::signals::received().await;
        context.output.note("stopping");
    };
    gateway.run(shutdown, |running| announce(context, running, tenants)).await.map_err(failure)?;
    Ok(Exit::Success)
}

/// Records the library's metrics for `/metrics`.
fn recorder() -> Result<PrometheusHandle, Failure> {
    let buckets = |builder: PrometheusBuilder, suffix: &str, buckets: &[f64]| {
        builder.set_buckets_for_metric(Matcher::Suffix(suffix.to_owned()), buckets)
    };
    let built = buckets(PrometheusBuilder::new(), "_seconds", &SECONDS)
        .and_then(|builder| buckets(builder, "_bytes", &BYTES))
        .and_then(PrometheusBuilder::install_recorder);
    built.map_err(|error| Failure::new(Exit::Failure, format!("recording metrics: {error}")))
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
