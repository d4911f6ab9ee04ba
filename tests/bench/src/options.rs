//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::clients::Kind;
use crate::fairness::FairnessOptions;
use crate::gateway::{FrontOptions, GatewayOptions};
use crate::rows::Service;

/// Measures Sandbucket beside other S3 clients: operations per second, CPU time and memory.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunOptions,
}

#[derive(Debug, Args)]
pub struct RunOptions {
    /// Only rows whose name contains one of these, such as `put-1KiB`; `^` and `$` match the ends of a name
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these clients
    #[arg(long, value_delimiter = ',')]
    pub clients: Vec<Kind>,
    /// Laps per client, of which the median is reported [default: 5, with --quick 2]
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Approximate duration of a lap, in seconds
    #[arg(long, default_value_t = 0.6)]
    pub seconds: f64,
    /// Threads of each client's runtime
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Stay in the machine's network, instead of a namespace with only loopback and Linux's default congestion control
    #[arg(long)]
    pub machine_network: bool,
    /// A few small rows only
    #[arg(long)]
    pub quick: bool,
    /// List the names of rows, and measure nothing
    #[arg(long)]
    pub list: bool,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report in Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Draw a chart of CPU times
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one row with one client in this process, for a profiler
    Run(OneRow),
    /// Measure the latency of well-behaved tenants beside noisy ones
    Fairness(FairnessOptions),
    /// Measure the gateway beside other S3 front ends
    Gateway(GatewayOptions),
    /// Run a front end until standard input closes
    #[command(hide = true)]
    Front(FrontOptions),
    /// Run a server until standard input closes
    #[command(hide = true)]
    Serve(ServeOptions),
    /// Run a client with one row's work, as standard input says
    #[command(hide = true)]
    Worker(WorkerOptions),
}

#[derive(Debug, Args)]
pub struct ServeOptions {
    pub service: Service,
    /// Time until a response of the memory server begins, in milliseconds. With it, the server sleeps between requests, as one on
    /// another machine does for the client's processors
    #[arg(long)]
    pub latency: Option<u64>,
}

#[derive(Debug, Args)]
pub struct OneRow {
    #[arg(long)]
    pub client: Kind,
    /// The name of the row: see --list
    #[arg(long)]
    pub row: String,
    /// Number of operations
    #[arg(long, default_value_t = 100_000)]
    pub ops: u64,
    /// Threads of the client's runtime
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

#[derive(Debug, Args)]
pub struct WorkerOptions {
    #[arg(long)]
    pub client: Kind,
    #[arg(long)]
    pub row: String,
    #[arg(long)]
    pub endpoint: String,
    #[arg(long)]
    pub ca_file: Option<PathBuf>,
    #[arg(long)]
    pub threads: usize,
}
