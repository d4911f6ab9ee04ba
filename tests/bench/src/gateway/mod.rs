//! The gateway beside other S3 front ends over the same backend: requests per second, CPU time, latency, memory.
//!
//! Backend and front end run in processes of their own, and the client is this process: bare hyper with presigned URLs, so that
//! every front end verifies a signature and the client costs little. Front ends run in rotation. Figures of CPU time and memory are
//! those of the front end's process, as the system reports them.

mod front;
mod load;
mod report;
#[cfg(feature = "native-clients")]
mod s3s_proxy;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::rows::Service;
use crate::server::Server;
use crate::{measure, network};
pub use front::{FrontOptions, serve};
use front::{Kind, Running};
use load::Load;

/// Keys of blobs of 1 KiB and of 1 GiB, as the memory server understands them.
const SMALL: &str = "get/1024/7";
const LARGE: &str = "get/1073741824/1";
const LARGE_BYTES: u64 = 1 << 30;
/// Requests in flight of small blobs.
const IN_FLIGHT: usize = 16;

#[derive(Debug, Args)]
pub struct GatewayOptions {
    /// Rounds, of which the median is reported
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Duration of each measurement of small blobs, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Threads of a front end
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The program rclone, version 1.65 or newer, to measure its `serve s3` as well
    #[arg(long, value_name = "FILE")]
    rclone: Option<PathBuf>,
    /// Only front ends whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Write a report in Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// A measurement of small blobs.
#[derive(Clone, Copy, Debug, Default)]
struct Small {
    per_second: f64,
    cpu_seconds: f64,
    p50: f64,
    p99: f64,
}

/// A transfer of a large blob.
#[derive(Clone, Copy, Debug, Default)]
struct Large {
    bytes_per_second: f64,
    cpu_seconds: f64,
    peak: u64,
}

/// What was measured of a front end over a backend.
struct Figures {
    front: Kind,
    backend: Service,
    get: Small,
    put: Small,
    large_get: Large,
    large_put: Large,
}

pub fn run(options: &GatewayOptions) -> Result<()> {
    let network = network::enter(false)?;
    measure::allow_many_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut figures = Vec::new();
    for backend in [Service::Memory, Service::Files] {
        let server = Server::start(backend, None)?;
        let endpoint = &server.ready.endpoint;
        if backend == Service::Files {
            runtime.block_on(fill(endpoint)).context("filling the backend")?;
        }
        let mut fronts = Vec::new();
        for kind in Kind::all(backend, options.rclone.is_some()) {
            if options.only.as_ref().is_none_or(|only| kind.name().contains(only.as_str())) {
                let front = Running::start(kind, endpoint, options.threads, options.rclone.as_deref());
                fronts.push(front.with_context(|| format!("starting {}", kind.name()))?);
            }
        }
        figures.extend(runtime.block_on(measure(&fronts, backend, options))?);
    }
    let text = report::markdown(&figures, options, &network);
    print!("{text}");
    if let Some(file) = &options.markdown {
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// Stores what is read later.
async fn fill(endpoint: &str) -> Result<()> {
    let load = Load::new(endpoint).await?;
    load.put_large(SMALL, 1024).await?;
    load.put_large(LARGE, LARGE_BYTES).await?;
    Ok(())
}

/// Measures all front ends in rotation.
async fn measure(fronts: &[Running], backend: Service, options: &GatewayOptions) -> Result<Vec<Figures>> {
    let time = Duration::from_secs_f64(options.seconds);
    let mut loads = Vec::new();
    for front in fronts {
        let load = Load::new(&front.endpoint).await?;
        // Connections, and whatever a front end does once.
        load.get_small(SMALL, IN_FLIGHT, time / 4).await.with_context(|| front.kind.name())?;
        load.put_small(IN_FLIGHT, time / 4).await.with_context(|| front.kind.name())?;
        loads.push(load);
    }
    let mut laps: Vec<(Vec<Small>, Vec<Small>)> = vec![Default::default(); fronts.len()];
    for _ in 0..options.rounds {
        for ((front, load), (gets, puts)) in fronts.iter().zip(&loads).zip(&mut laps) {
            gets.push(front.small(load.get_small(SMALL, IN_FLIGHT, time)).await?);
            puts.push(front.small(load.put_small(IN_FLIGHT, time)).await?);
        }
    }
    let mut figures = Vec::new();
    for ((front, load), (gets, puts)) in fronts.iter().zip(&loads).zip(laps) {
        let name = || format!("1 GiB through {}", front.kind.name());
        figures.push(Figures {
            front: front.kind,
            backend,
            get: median(gets),
            put: median(puts),
            large_get: front.large(load.get_large(LARGE)).await.with_context(name)?,
            large_put: front.large(load.put_large("put/large", LARGE_BYTES)).await.with_context(name)?,
        });
    }
    Ok(figures)
}

/// The measurement with the median of the rates.
fn median(mut laps: Vec<Small>) -> Small {
    laps.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    laps.get(laps.len() / 2).copied().unwrap_or_default()
}
