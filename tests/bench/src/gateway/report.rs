//! The report in Markdown.

use std::fmt::Write;

use super::{Figures, GatewayOptions, IN_FLIGHT, Large, Small};
use crate::machine::Machine;
use crate::network::Network;
use crate::rows::Service;

/// The text of `docs/gateway-benchmarks.md`.
pub fn markdown(figures: &[Figures], options: &GatewayOptions, network: &Network) -> String {
    let machine = Machine::here();
    let mut text = format!(
        "# Gateway benchmarks\n\n`make bench-gateway` measures `sandbucket serve` beside other S3 front ends over the same backend, \
         and writes this page.\n\n\
         - {}, {} processors, {}, {}, TCP {} on loopback.\n\
         - Backend, front end and client are processes of their own and share the processors. A front end has {} worker \
         threads.\n\
         - The client sends presigned requests, whose signatures the front ends verify, over kept connections. CPU time and \
         memory are those of the front end's process, its kernel time included.\n\
         - Small blobs: the lap with the median rate of {} laps of {} s, in rotation. 1 GiB: one transfer over one connection.\n\
         - The gateway signs payloads on plain HTTP (SHA-256 of every byte), as S3 clients do; the proxy's SDK does not sign \
         streams. The row with unsigned payloads compares like with like.\n",
        machine.processor,
        machine.processors,
        machine.kernel,
        machine.date,
        network.congestion_control,
        options.threads,
        options.rounds,
        options.seconds,
    );
    for (backend, title, about) in [
        (
            Service::Memory,
            "Over a backend that costs almost nothing",
            "It discards what is written and makes up what is read.",
        ),
        (
            Service::Files,
            "Over the dev server",
            "It verifies signatures and stores files, on one thread, and is the bottleneck of most rows. rclone finds blobs by \
             listing directories, which the backend above cannot do, so it is measured here alone.",
        ),
    ] {
        let rows: Vec<&Figures> = figures.iter().filter(|row| row.backend == backend).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {title}\n\n{about}\n");
        small(&mut text, &format!("GET 1 KiB, {IN_FLIGHT} in flight"), &rows, |row| row.get);
        small(&mut text, &format!("PUT 1 KiB, {IN_FLIGHT} in flight"), &rows, |row| row.put);
        large(&mut text, "GET 1 GiB", &rows, |row| row.large_get);
        large(&mut text, "PUT 1 GiB", &rows, |row| row.large_put);
    }
    if options.rclone.is_none() {
        text.push_str(
            "\nrclone was not measured: `RCLONE=FILE make bench-gateway` names a program of version 1.65 or newer.\n",
        );
    }
    text
}

fn small(text: &mut String, title: &str, rows: &[&Figures], of: fn(&Figures) -> Small) {
    let _ = write!(
        text,
        "\n| {title} | requests per second | CPU per request | p50 | p99 |\n| --- | --: | --: | --: | --: |\n"
    );
    for row in rows {
        let Small { per_second, cpu_seconds, p50, p99 } = of(row);
        let _ = writeln!(
            text,
            "| {} | {per_second:.0} | {:.1} µs | {:.2} ms | {:.2} ms |",
            row.front.name(),
            cpu_seconds * 1e6,
            p50 * 1e3,
            p99 * 1e3
        );
    }
}

fn large(text: &mut String, title: &str, rows: &[&Figures], of: fn(&Figures) -> Large) {
    let _ = write!(text, "\n| {title} | throughput | CPU | peak memory |\n| --- | --: | --: | --: |\n");
    for row in rows {
        let Large { bytes_per_second, cpu_seconds, peak } = of(row);
        let _ = writeln!(
            text,
            "| {} | {:.0} MiB/s | {cpu_seconds:.2} s | {:.0} MiB |",
            row.front.name(),
            bytes_per_second / f64::from(1 << 20),
            peak as f64 / f64::from(1 << 20)
        );
    }
}
