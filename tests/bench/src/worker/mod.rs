//! A worker process: one client with the work of one row, which runs a lap on request. Each client has a new process for
//! each row, so that memory and CPU time are its own.

mod load;
mod process;

use std::io::{BufRead, Write};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

#[cfg(feature = "native-clients")]
use crate::clients::{AwsSdk, ObjectStore, OpenDal, RustS3};
use crate::clients::{BareHyper, BareSockets, Kind, Sandbucket, Target};
use crate::measure;
use crate::rows::Row;

pub use load::{Lap, Load};
pub use process::Worker;

use load::Loaded;

/// The work of a worker.
#[derive(Clone, Debug)]
pub struct Job {
    pub row: Row,
    pub target: Target,
    /// Threads of the runtime; with one, everything runs on the calling thread.
    pub threads: usize,
}

/// A message of a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    /// Warmed up, with this many operations per second.
    Warm(f64),
    Lap(Lap),
    Failed(String),
}

/// Prepares a client for its work.
pub fn load(kind: Kind, job: &Job) -> Result<Box<dyn Load>> {
    measure::allow_many_files()?;
    // This program links two cryptography providers, and rustls does not choose between them.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(match kind {
        Kind::Sandbucket => Box::new(Loaded::<Sandbucket>::new(job)?),
        #[cfg(feature = "native-clients")]
        Kind::ObjectStore => Box::new(Loaded::<ObjectStore>::new(job)?),
        #[cfg(feature = "native-clients")]
        Kind::OpenDal => Box::new(Loaded::<OpenDal>::new(job)?),
        #[cfg(feature = "native-clients")]
        Kind::RustS3 => Box::new(Loaded::<RustS3>::new(job)?),
        #[cfg(feature = "native-clients")]
        Kind::AwsSdkS3 => Box::new(Loaded::<AwsSdk>::new(job)?),
        Kind::Hyper => Box::new(Loaded::<BareHyper>::new(job)?),
        Kind::Sockets => Box::new(Loaded::<BareSockets>::new(job)?),
        #[cfg(not(feature = "native-clients"))]
        _ => anyhow::bail!("{} is not in this build: it needs the feature native-clients", kind.name()),
    })
}

/// Runs a worker: reads a number of operations per line, and reports a lap for each.
pub fn work(kind: Kind, job: &Job) -> Result<()> {
    let warm = load(kind, job).and_then(|mut load| load.warm_up().map(|rate| (load, rate)));
    let mut load = match warm {
        Ok((load, rate)) => {
            say(&Said::Warm(rate))?;
            load
        }
        Err(error) => return say(&Said::Failed(format!("{error:#}"))),
    };
    for line in std::io::stdin().lock().lines() {
        let operations: u64 = serde_json::from_str(&line?).context("the parent says something odd")?;
        say(&match load.lap(operations) {
            Ok(lap) => Said::Lap(lap),
            Err(error) => Said::Failed(format!("{error:#}")),
        })?;
    }
    Ok(())
}

fn say(said: &Said) -> Result<()> {
    let mut line = serde_json::to_string(said)?;
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes()).context("telling the parent")
}
