//! The Markdown report.

use std::fmt::Write;

use super::{Run, units};
use crate::clients::Kind;
use crate::figures::{Figures, Measured};
use crate::network::Network;
use crate::rows::Group;

/// The whole report. `chart` is the relative path of the chart.
pub fn render(run: &Run, chart: Option<&str>) -> String {
    let mut text = String::new();
    text += "# Benchmarks\n\nWritten by `make bench`: Sandbucket beside other S3 clients of Rust, and beside bare hyper, \
             which is what the requests alone cost, and bare sockets, which is what the bytes alone cost.\n\n";
    if let Some(chart) = chart {
        text += &format!("![Processor time per operation, beside Sandbucket's]({chart})\n\n");
    }
    set_up(&mut text, run);
    let mut groups: Vec<Group> = run.measured.iter().map(|measured| measured.row.group).collect();
    groups.dedup();
    for group in groups {
        let rows: Vec<&Measured> = run.measured.iter().filter(|measured| measured.row.group == group).collect();
        text += &format!("\n## {}\n\n", group.title());
        if let Some(note) = note(group) {
            text += &format!("{note}\n\n");
        }
        summary(&mut text, &rows);
        text += "\n<details><summary>All figures</summary>\n\n";
        details(&mut text, &rows);
        text += "\n</details>\n";
    }
    text
}

fn set_up(text: &mut String, run: &Run) {
    let machine = &run.machine;
    let versions: Vec<String> = Kind::ALL
        .iter()
        .filter(|client| **client != Kind::Sockets)
        .map(|client| format!("{} {}", client.name(), client.version()))
        .collect();
    let _ = writeln!(
        text,
        "| | |\n| --- | --- |\n| date | {} |\n| processor | {}, {} of them |\n| memory | {} |\n| system | {} |\n\
         | network | {} |\n| clients | {} |\n| beneath them | tokio {}, reqwest {}, wasmtime {} |\n",
        machine.date,
        machine.processor,
        machine.processors,
        units::size(machine.memory_bytes as f64),
        machine.kernel,
        network(&run.network),
        versions.join(", "),
        env!("BENCH_VERSION_TOKIO"),
        env!("BENCH_VERSION_REQWEST"),
        env!("BENCH_VERSION_WASMTIME"),
    );
    let threads = match run.threads {
        0 | 1 => "a runtime of one thread".to_owned(),
        threads => format!("a runtime of {threads} threads"),
    };
    let _ = writeln!(
        text,
        "## How it is measured\n\n\
         - Each client is a process of its own at each row, with {threads} (two for the large transfers), the same \
         allocator (mimalloc) and the same load. The server is another process, on loopback.\n\
         - The clients take turns, {rounds} rounds of about {seconds} s each after a warm-up, and what is reported is the median \
         of the rounds. A round has as many operations as are in flight at least: with 64 of 16 MiB it takes longer, and all \
         of them begin together. Peak RSS is the most that the process ever held, its program and its warm-up included.\n\
         - *CPU each* is user and kernel time of the client's process over the number of operations. Where server and \
         client share few processors, it says more than operations a second do: the server's share is not in it.\n\
         - *Ratios* are to the best client among object_store, opendal, rust-s3 and aws-sdk-s3; the best by CPU and the \
         best by rate may be two. A native client is held against the best other one. Bare hyper and bare sockets are \
         no clients and count for neither. CPU ratio: lower is better. Rate ratio: higher is better.\n\
         - The memory server verifies nothing and keeps nothing, so that clients are what is measured. Real services are \
         slower, and farther away: there the rates of all clients draw together, and the CPU time stays. For 5 ms after \
         a request it looks for more instead of sleeping: on loopback, waking it would be in the client's CPU time.\n\
         - How each client is set up, and why, is at the head of its file in `tests/bench/src/clients`. All of it is open to \
         challenge.\n\n\
         What to keep in mind:\n\n\
         - All clients send no checksum of the body beside the signature's. aws-sdk-s3 would add one by default.\n\
         - Bare hyper signs nothing. Where payloads are signed it computes their SHA-256, each by itself, and no more. A \
         client is below it only by other buffers, sums made side by side or another implementation of TLS, or by chance.\n\
         - Bare sockets speak just enough HTTP for the server, and compute no sums. A client is below them only by other sizes \
         of writes and reads, or by chance: where they take more than four fifths of the best native client, no client \
         can be expected to take less.\n\
         - opendal never signs a payload, rust-s3 always does: each is left out where a body is to go the other way.\n\
         - rust-s3 supports no further certificate authority, so over TLS it verifies none.\n\
         - Over TLS, all encrypt with AWS-LC.",
        rounds = run.rounds,
        seconds = run.seconds,
    );
}

/// The network that connections used.
fn network(network: &Network) -> String {
    let of = if network.apart { "loopback of a network namespace of its own" } else { "the machine's loopback" };
    format!("{of}, congestion control {}", network.congestion_control)
}

/// A note about a table.
fn note(group: Group) -> Option<&'static str> {
    match group {
        Group::GetUnsigned => Some("A GET has no body to sign, so that this should be as the table before, for most."),
        Group::Files => Some(
            "What a real server does is much more than what any client does, so that rates are the server's. Its cost is not \
             in the CPU time.",
        ),
        Group::Large => Some(
            "One operation is the whole gibibyte, and the parts of an upload are all the same 8 MiB of memory. Where a client \
             does not move parts side by side itself, the benchmark does it for it.",
        ),
        Group::Clients => Some(
            "To open is to make a store or client in a process that has others; its first request is a GET of 1 KiB. \
             Sandbucket's stores share the connections of their engine, and opendal's \
             operators that of their process; the others have a pool each and connect anew. Memory per client is what the \
             process grew by, divided. An instance is the sandbox that a store is opened in, with none in it: the others have \
             none.",
        ),
        _ => None,
    }
}

/// CPU time of Sandbucket, the best native client and the floor, with ratios.
fn summary(text: &mut String, rows: &[&Measured]) {
    *text += "| | Sandbucket, CPU each | best native, CPU each | bare hyper, CPU each | bare sockets, CPU each | CPU ratio | \
              rate ratio |\n| --- | --: | --: | --: | --: | --: | --: |\n";
    let cpu = |figures: Option<&Figures>| {
        figures.map_or_else(|| "–".to_owned(), |figures| units::time(figures.cpu_seconds_per_operation))
    };
    for measured in rows {
        let natives = Kind::ALL.into_iter().filter(|client| client.is_native());
        let natives = natives.filter_map(|client| Some((client, measured.figures(client)?)));
        let best = natives.min_by(|(_, a), (_, b)| a.cpu_seconds_per_operation.total_cmp(&b.cpu_seconds_per_operation));
        let best = best
            .map_or_else(|| "–".to_owned(), |(client, figures)| format!("{} ({})", cpu(Some(figures)), client.name()));
        let ratios = measured.ratios(Kind::Sandbucket);
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = writeln!(
            text,
            "| {} | {} | {best} | {} | {} | {} | {} |",
            measured.row.title,
            cpu(measured.figures(Kind::Sandbucket)),
            cpu(measured.figures(Kind::Hyper)),
            cpu(measured.figures(Kind::Sockets)),
            ratio(ratios.map(|ratios| ratios.cpu)),
            ratio(ratios.map(|ratios| ratios.operations)),
        );
    }
}

/// Every client in every row.
fn details(text: &mut String, rows: &[&Measured]) {
    let bytes = rows.iter().any(|measured| measured.row.bytes() > 0);
    let held = rows.iter().any(|measured| {
        measured
            .outcomes
            .iter()
            .any(|outcome| outcome.figures.as_ref().is_ok_and(|figures| figures.bytes_per_client.is_some()))
    });
    let mut columns = vec!["per second"];
    columns.extend(bytes.then_some("throughput"));
    columns.extend(["CPU each", "median latency", "peak RSS"]);
    columns.extend(held.then_some("memory per client"));
    columns.extend(["CPU ratio", "rate ratio"]);
    let _ = writeln!(text, "| | client | {} |", columns.join(" | "));
    let _ = writeln!(text, "| --- | --- |{}", " --: |".repeat(columns.len()));
    for measured in rows {
        let row = &measured.row;
        for outcome in &measured.outcomes {
            let _ = write!(text, "| {} | {} |", row.title, outcome.client.name());
            let figures = match &outcome.figures {
                Ok(figures) => figures,
                Err(reason) => {
                    let _ = writeln!(text, " {} |{}", reason.replace('|', "\\|"), " |".repeat(columns.len() - 1));
                    continue;
                }
            };
            let mut cells = vec![units::count(figures.operations_per_second)];
            cells.extend(bytes.then(|| match row.bytes() {
                0 => "–".to_owned(),
                bytes => units::rate(figures.operations_per_second * bytes as f64),
            }));
            cells.push(units::time(figures.cpu_seconds_per_operation));
            cells.push(units::time(figures.median_latency_seconds));
            cells.push(units::size(figures.peak_bytes as f64));
            cells.extend(held.then(|| match figures.bytes_per_client {
                None => "–".to_owned(),
                Some(bytes) => units::size(bytes as f64),
            }));
            let ratios = measured.ratios(outcome.client);
            let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
            cells.push(ratio(ratios.map(|ratios| ratios.cpu)));
            cells.push(ratio(ratios.map(|ratios| ratios.operations)));
            let _ = writeln!(text, " {} |", cells.join(" | "));
        }
    }
}
