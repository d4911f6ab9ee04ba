//! The report of a run, in several formats.

mod chart;
mod json;
mod markdown;
pub mod table;
mod units;

use std::path::Path;

use anyhow::{Context, Result};

use crate::figures::Measured;
use crate::machine::Machine;
use crate::network::Network;
use crate::options::RunOptions;

/// A run as a whole.
pub struct Run<'a> {
    pub machine: Machine,
    pub network: Network,
    pub rounds: usize,
    pub seconds: f64,
    pub threads: usize,
    pub measured: &'a [Measured],
}

/// Writes the requested files.
pub fn write(options: &RunOptions, rounds: usize, network: Network, measured: &[Measured]) -> Result<()> {
    let (seconds, threads) = (options.seconds, options.threads);
    let run = Run { machine: Machine::here(), network, rounds, seconds, threads, measured };
    if let Some(file) = &options.json {
        save(file, &json::render(&run)?)?;
    }
    if let Some(file) = &options.svg {
        save(file, &chart::render(measured))?;
    }
    if let Some(file) = &options.markdown {
        let chart = options.svg.as_ref().and_then(|chart| beside(chart, file));
        save(file, &markdown::render(&run, chart.as_deref()))?;
    }
    Ok(())
}

fn save(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// The relative link from one file to another in the same folder or below.
fn beside(file: &Path, other: &Path) -> Option<String> {
    let folder = other.parent()?;
    Some(file.strip_prefix(folder).ok()?.to_str()?.to_owned())
}
