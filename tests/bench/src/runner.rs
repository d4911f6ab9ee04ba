//! Runs row after row: starts the clients, runs them in rotation, and reports.

use anyhow::{Result, bail};

use crate::clients::{Kind, bare_sockets};
use crate::figures::{Figures, Measured, Outcome};
use crate::network;
use crate::options::RunOptions;
use crate::report;
use crate::rows::{self, Payload, Row, Work};
use crate::server::{Ready, Servers};
use crate::worker::{Lap, Worker};

const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 2;

pub fn run(options: &RunOptions) -> Result<()> {
    let rows: Vec<Row> = rows::all().into_iter().filter(|row| wanted(options, row)).collect();
    if options.list {
        rows.iter().for_each(|row| println!("{}", row.name));
        return Ok(());
    }
    let network = network::enter(options.machine_network)?;
    let Some(first) = rows.first() else { bail!("no row is called so: --list shows them") };
    let clients = if options.clients.is_empty() { Kind::ALL.to_vec() } else { options.clients.clone() };
    let rounds = options.rounds.unwrap_or(if options.quick { QUICK_ROUNDS } else { ROUNDS });
    if rounds == 0 || options.seconds <= 0.0 {
        bail!("--rounds and --seconds must be above 0");
    }
    let mut servers = Servers::default();
    if clients.contains(&Kind::Sandbucket) {
        // Compiles the plugin once for all processes, so that it does not count as the first one's memory.
        Worker::start(Kind::Sandbucket, first, servers.of(first.service)?, 1, options.seconds)?;
    }
    let mut measured = Vec::new();
    for row in rows {
        let server = servers.of(row.service)?.clone();
        let outcomes = measure(&row, &clients, &server, options, rounds);
        let done = Measured { row, outcomes };
        report::table::print(&done);
        measured.push(done);
    }
    report::write(options, rounds, network, &measured)
}

/// Whether the options select a row.
fn wanted(options: &RunOptions, row: &Row) -> bool {
    let matches = |pattern: &String| {
        let (text, begins) = pattern.strip_prefix('^').map_or((pattern.as_str(), false), |text| (text, true));
        let (text, ends) = text.strip_suffix('$').map_or((text, false), |text| (text, true));
        match (begins, ends) {
            (true, true) => row.name == text,
            (true, false) => row.name.starts_with(text),
            (false, true) => row.name.ends_with(text),
            (false, false) => row.name.contains(text),
        }
    };
    (!options.quick || row.quick) && (options.only.is_empty() || options.only.iter().any(matches))
}

fn measure(row: &Row, clients: &[Kind], server: &Ready, options: &RunOptions, rounds: usize) -> Vec<Outcome> {
    let threads = row.threads.unwrap_or(options.threads);
    let start = |client| Worker::start(client, row, server, threads, options.seconds);
    // Rows that measure the memory of clients start with a new process.
    let fresh = matches!(row.work, Work::Tenants { .. } | Work::Instances { .. });
    let mut contestants: Vec<Contestant> = clients
        .iter()
        .map(|&client| {
            let worker = match unfit(client, row) {
                Some(reason) => Err(reason.to_owned()),
                None if fresh => Ok(None),
                None => start(client).map(Some).map_err(words),
            };
            Contestant { client, worker, laps: Vec::new() }
        })
        .collect();
    for _ in 0..rounds {
        for contestant in &mut contestants {
            let lap = match &mut contestant.worker {
                Ok(Some(worker)) => worker.lap(),
                Ok(None) => start(contestant.client).and_then(|mut worker| worker.lap()),
                Err(_) => continue,
            };
            match lap {
                Ok(lap) => contestant.laps.push(lap),
                Err(error) => contestant.worker = Err(words(error)),
            }
        }
    }
    let outcomes = contestants.into_iter().map(|Contestant { client, worker, laps }| {
        let figures = worker.and_then(|_| Figures::of(laps).ok_or_else(|| "no rounds".to_owned()));
        Outcome { client, figures }
    });
    outcomes.collect()
}

/// A client in a row, and its laps so far.
struct Contestant {
    client: Kind,
    /// `None` if each round starts a new one.
    worker: Result<Option<Worker>, String>,
    laps: Vec<Lap>,
}

fn words(error: anyhow::Error) -> String {
    format!("{error:#}")
}

/// Why a client does not take part in a row.
fn unfit(client: Kind, row: &Row) -> Option<&'static str> {
    let has_body = matches!(row.work, Work::Put { .. } | Work::Upload { .. });
    if matches!(row.work, Work::Instance | Work::Instances { .. }) && client != Kind::Sandbucket {
        return Some("has no sandbox");
    }
    match (client, row.payload) {
        (Kind::OpenDal, Payload::Signed) if has_body => Some("never signs a payload"),
        (Kind::RustS3, Payload::Unsigned) if has_body => Some("always signs the payload"),
        (Kind::Sockets, Payload::Signed) if has_body => Some("computes no sums"),
        (Kind::Hyper | Kind::Sockets, _) if matches!(row.work, Work::Tenants { .. }) => Some("has no state to hold"),
        (Kind::Sockets, _) if matches!(row.work, Work::List { .. } | Work::Upload { .. } | Work::Download { .. }) => {
            Some(bare_sockets::ONLY)
        }
        _ => None,
    }
}
