//! The `sandbucket` command: stores and reads blobs in S3 and Azure Blob Storage through the sandbox, from a shell.

mod calls;
mod check;
mod cli;
mod confirm;
mod context;
mod cp;
mod demo;
mod descriptors;
mod destination;
mod dev_server;
mod du;
mod exit;
mod failure;
mod fetch;
mod get;
mod handshake;
mod head;
mod ls;
mod manual;
mod mv;
mod output;
mod plugin;
mod presign;
mod probe;
mod progress;
mod put;
mod report;
mod rm;
mod serve;
mod settings;
mod signals;
mod source;
mod standard;
mod tags;
mod tenants;
mod text;
mod upload_source;
mod uploads;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use cli::{Cli, Command};
use context::Context;
use exit::Exit;
use failure::Failure;
use signals::Ends;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Time limit of the abort of interrupted uploads.
const CLEANUP_TIME: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_server = matches!(cli.command, Command::Serve(_));
    let context = Context::new(cli.global, is_server);
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Failure, format!("the runtime does not start: {e}")))
        .and_then(|runtime| {
            let outcome = runtime.block_on(async {
                signals::listen(if is_server { Ends::Server } else { Ends::Command });
                descriptors::bound(descriptors::DEFAULT_TRANSFERS);
                let outcome = run(cli.command, &context).await;
                // Aborts abandoned uploads, if the service responds soon.
                let _ = tokio::time::timeout(CLEANUP_TIME, context::drain()).await;
                outcome
            });
            // A blocked read of standard input must not delay the exit.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            context.output.failure(&failure);
            failure.exit.into()
        }
    }
}

async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        // These clean up when they are interrupted.
        Command::Check(arguments) => check::run(context, arguments).await,
        Command::DevServer(arguments) => dev_server::run(context, arguments).await,
        Command::Cp(arguments) => cp::run(context, arguments).await,
        Command::Sync(arguments) => cp::sync(context, arguments).await,
        Command::Serve(arguments) => serve::run(context, arguments).await,
        other => tokio::select! {
            outcome = at_once(other, context) => outcome,
            // Drops the work: incomplete files are deleted, and the demo's server is stopped.
            failure = signals::received() => Err(failure),
        },
    }
}

async fn at_once(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Demo(arguments) => demo::run(context, arguments).await,
        Command::Put(arguments) => put::run(context, arguments).await,
        Command::Get(arguments) => get::run(context, arguments).await,
        Command::Head(arguments) => head::run(context, arguments).await,
        Command::Rm(arguments) => rm::run(context, arguments).await,
        Command::Ls(arguments) => ls::run(context, arguments).await,
        Command::Mv(arguments) => mv::run(context, arguments).await,
        Command::Du(arguments) => du::run(context, arguments).await,
        Command::Tags(arguments) => tags::run(context, arguments).await,
        Command::Uploads(arguments) => uploads::run(context, arguments).await,
        Command::Presign(arguments) => presign::run(context, arguments).await,
        Command::Tenants(arguments) => tenants::run(context, arguments).await,
        Command::Settings => settings::run(context).await,
        Command::Plugin(arguments) => plugin::run(context, arguments).await,
        Command::Completions(arguments) => manual::completions(context, arguments),
        Command::Man(arguments) => manual::pages(context, arguments),
        Command::Check(_) | Command::DevServer(_) | Command::Cp(_) | Command::Sync(_) | Command::Serve(_) => {
            unreachable!("run() takes these itself")
        }
    }
}
