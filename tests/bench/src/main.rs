//! Measures Sandbucket beside other Rust S3 clients: latency, CPU time and memory per operation.
//!
//! Servers run in other processes, and so does each client in each row. This process starts them, runs them in rotation,
//! and reports medians. `sandbucket-bench --help` lists the options.

mod child;
mod clients;
mod fairness;
mod figures;
mod gateway;
mod machine;
mod measure;
mod network;
mod options;
mod report;
mod rows;
mod runner;
mod server;
mod worker;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use clients::Target;
use options::{Command, OneRow, Options, WorkerOptions};
use rows::Row;
use server::{ACCESS_KEY, Server};
use worker::Job;

/// The same allocator for all clients, one of the faster ones.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.command {
        None => runner::run(&options.run),
        Some(Command::Run(one)) => run_one(&one),
        Some(Command::Fairness(options)) => fairness::run(&options),
        Some(Command::Gateway(options)) => gateway::run(&options),
        Some(Command::Front(options)) => gateway::serve(&options),
        Some(Command::Serve(options)) => server::serve(&options),
        Some(Command::Worker(worker)) => work(worker),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbucket-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(options: WorkerOptions) -> Result<()> {
    let row = named(&options.row)?;
    let target = Target {
        endpoint: options.endpoint,
        payload: row.payload,
        access_key: ACCESS_KEY.to_owned(),
        ca_file: options.ca_file,
    };
    worker::work(options.client, &Job { row, target, threads: options.threads })
}

/// Runs one row with one client in this process, with the server in another.
fn run_one(one: &OneRow) -> Result<()> {
    let row = named(&one.row)?;
    network::enter(false)?;
    let server = Server::start(row.service, None)?;
    let ready = server.ready.clone();
    if let Some(file) = &ready.ca_file {
        // SAFETY: this is the only thread so far.
        unsafe { std::env::set_var("SSL_CERT_FILE", file) };
    }
    let target = Target {
        endpoint: ready.endpoint,
        payload: row.payload,
        access_key: ACCESS_KEY.to_owned(),
        ca_file: ready.ca_file,
    };
    let threads = row.threads.unwrap_or(one.threads);
    let mut load = worker::load(one.client, &Job { row, target, threads })?;
    load.warm_up()?;
    let lap = load.lap(one.ops)?;
    println!(
        "{} operations in {:.3} s: {:.0} a second, {:.1} µs of processor time each, {:.1} µs from end to end",
        lap.operations,
        lap.seconds,
        lap.operations as f64 / lap.seconds,
        lap.cpu_seconds * 1e6 / lap.operations as f64,
        lap.median_seconds * 1e6,
    );
    Ok(())
}

fn named(name: &str) -> Result<Row> {
    Row::named(name).with_context(|| format!("there is no row \"{name}\": --list shows them"))
}
