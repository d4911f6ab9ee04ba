//! Prints a row as soon as it is measured.

use super::units;
use crate::figures::{Figures, Measured, Ratios};

/// Prints a row, with a line per client.
pub fn print(measured: &Measured) {
    let row = &measured.row;
    println!("\n{}: {}, {}", row.name, row.group.title(), row.title);
    println!(
        "  {:<13} {:>11} {:>11} {:>11} {:>11} {:>11} {:>10} {:>10}",
        "", "per second", "throughput", "CPU each", "latency", "peak RSS", "CPU ratio", "rate ratio"
    );
    for outcome in &measured.outcomes {
        let name = outcome.client.name();
        match &outcome.figures {
            Err(reason) => println!("  {name:<13} {reason}"),
            Ok(figures) => println!("  {name:<13} {}", line(row.bytes(), figures, measured.ratios(outcome.client))),
        }
    }
}

fn line(bytes: u64, figures: &Figures, ratios: Option<Ratios>) -> String {
    let throughput = if bytes == 0 { String::new() } else { units::rate(figures.operations_per_second * bytes as f64) };
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let mut line = format!(
        "{:>11} {throughput:>11} {:>11} {:>11} {:>11} {:>10} {:>10}",
        units::count(figures.operations_per_second),
        units::time(figures.cpu_seconds_per_operation),
        units::time(figures.median_latency_seconds),
        units::size(figures.peak_bytes as f64),
        ratio(ratios.map(|ratios| ratios.cpu)),
        ratio(ratios.map(|ratios| ratios.operations)),
    );
    if let Some(bytes) = figures.bytes_per_client {
        line += &format!("  {} a client", units::size(bytes as f64));
    }
    line
}
