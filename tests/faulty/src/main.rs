//! The servers of all scenarios, for the tests of drivers in any language: `sandbucket-scenarios FILE`.
//!
//! The first line of its output is a JSON object: for each scenario its `endpoint` and `settings`. For each line of its input, the
//! name of a scenario, it prints a line: a JSON object with the number of `requests` so far and a list of `mismatches`. It ends
//! with its input.

use std::path::Path;
use std::process::ExitCode;

use sandbucket_faulty::scenario::Table;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: sandbucket-scenarios FILE");
        return ExitCode::from(2);
    };
    let table = match Table::read(Path::new(&path)) {
        Ok(table) => table,
        Err(error) => {
            eprintln!("sandbucket-scenarios: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut servers = std::collections::BTreeMap::new();
    let mut index = serde_json::Map::new();
    for scenario in &table.scenarios {
        let running = scenario.start().await;
        let endpoint = running.endpoint();
        index.insert(scenario.name.clone(), json!({ "settings": scenario.settings(&endpoint), "endpoint": endpoint }));
        servers.insert(scenario.name.clone(), running);
    }
    println!("{}", serde_json::Value::Object(index));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(name)) = lines.next_line().await {
        let report = match servers.get(name.trim()) {
            Some(running) => json!({ "requests": running.requests(), "mismatches": running.mismatches() }),
            None => json!({ "error": format!("there is no scenario {name:?}") }),
        };
        println!("{report}");
    }
    ExitCode::SUCCESS
}
