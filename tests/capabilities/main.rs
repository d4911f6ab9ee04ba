//! The capabilities of each service, probed through the host's API. `make interop` runs this, and writes
//! `docs/capabilities.md`.
//!
//! A missing capability of a service does not fail the test; an error of the plugin or the host does.

mod listing;
mod multipart;
mod probe;
mod properties;
mod reading;
mod table;
mod writing;

use std::fs;
use std::path::Path;

use probe::{Bench, Lack, Probe};
use sandbucket_tests::{Kind, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/capabilities.md");

/// By area, as the page shows them.
fn probes() -> Vec<(&'static str, Vec<Probe>)> {
    vec![
        ("Reading", reading::probes()),
        ("Writing and copying", writing::probes()),
        ("Listing and deleting", listing::probes()),
        ("Multipart", multipart::probes()),
        ("Properties and integrity", properties::probes()),
    ]
}

#[test]
#[ignore = "needs Garage and moto: run by `make interop`"]
fn capability_table_matches_each_service() {
    let mut columns = Vec::new();
    let mut ours = Vec::new();
    for kind in Kind::ALL {
        let service = run(kind.start());
        let mut column = Vec::new();
        for (number, probe) in probes().into_iter().flat_map(|(_, probes)| probes).enumerate() {
            // The probes test how the service treats a condition, so the plugin must not check it beforehand.
            let settings =
                [("max-retries", "0"), ("allow-insecure-sse-customer-key", "true"), ("check-conditions", "false")];
            let store = run(service.open(&settings));
            let outcome = run((probe.run)(Bench { service: &service, store, folder: format!("probe-{number}") }));
            println!("{}: {}: {}", kind.name(), probe.name, table::cell(&outcome));
            if let Err(Lack::Ours(what)) = &outcome {
                ours.push(format!("{}: {}: {what}", kind.name(), probe.name));
            }
            column.push(outcome);
        }
        columns.push((kind, column));
    }
    assert!(ours.is_empty(), "not the service's fault:\n{}", ours.join("\n"));
    let names: Vec<_> = probes()
        .into_iter()
        .map(|(area, probes)| (area, probes.into_iter().map(|probe| probe.name).collect()))
        .collect();
    let page = table::page(&names, &columns);
    fs::create_dir_all(Path::new(PAGE).parent().expect("a folder")).expect("making docs");
    fs::write(PAGE, page).expect("writing docs/capabilities.md");
}
