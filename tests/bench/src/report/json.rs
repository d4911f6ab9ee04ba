//! All figures of every lap, for programs.

use anyhow::Result;
use serde_json::{Value, json};

use super::Run;
use crate::clients::Kind;
use crate::figures::{Measured, Outcome};

pub fn render(run: &Run) -> Result<String> {
    let versions: serde_json::Map<String, Value> =
        Kind::ALL.iter().map(|client| (client.argument().to_owned(), client.version().into())).collect();
    let rows: Vec<Value> = run.measured.iter().map(row).collect();
    let whole = json!({
        "machine": run.machine,
        "network": run.network,
        "versions": versions,
        "rounds": run.rounds,
        "seconds_per_round": run.seconds,
        "threads": run.threads,
        "rows": rows,
    });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}

fn row(measured: &Measured) -> Value {
    let row = &measured.row;
    json!({
        "name": row.name,
        "title": row.title,
        "group": row.group,
        "service": row.service,
        "in_flight": row.in_flight,
        "bytes_per_operation": row.bytes(),
        "clients": measured.outcomes.iter().map(|outcome| client(measured, outcome)).collect::<Vec<_>>(),
    })
}

fn client(measured: &Measured, outcome: &Outcome) -> Value {
    let name = outcome.client.argument();
    match &outcome.figures {
        Err(reason) => json!({ "client": name, "left_out": reason }),
        Ok(figures) => {
            json!({ "client": name, "figures": figures, "beside_best_native": measured.ratios(outcome.client) })
        }
    }
}
