//! Passes the versions of the clients from the workspace's lock file to the program, and builds the rogue plugin.

use std::path::{Path, PathBuf};
use std::process::exit;

#[path = "../../host/sandbucket/build/component.rs"]
mod component;

/// The crates whose versions a report names.
const CRATES: [&str; 8] = ["aws-sdk-s3", "hyper", "object_store", "opendal", "reqwest", "rust-s3", "tokio", "wasmtime"];

fn main() {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let lock = Path::new(&here).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rerun-if-changed=build.rs");
    let text = match std::fs::read_to_string(&lock) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("reading {}: {error}", lock.display());
            exit(1);
        }
    };
    for name in CRATES {
        let variable = format!("BENCH_VERSION_{}", name.replace('-', "_").to_uppercase());
        println!("cargo::rustc-env={variable}={}", versions(&text, name));
    }
    if let Err(error) = rogue(&Path::new(&here).join("../..")) {
        eprintln!("{error}");
        exit(1);
    }
}

/// Builds `tests/rogue` where the tests' build script does, so that it is built once.
fn rogue(root: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed=../../host/sandbucket/build");
    for source in ["tests/rogue/Cargo.toml", "tests/rogue/src", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("there is no OUT_DIR")?);
    let target = out.ancestors().nth(4).ok_or("there is no target folder around OUT_DIR")?.join("component");
    let path = component::build(root, &target, "sandbucket-rogue", "", "sandbucket-rogue")?;
    println!("cargo::rustc-env=SANDBUCKET_ROGUE_SANS_IO={}", path.display());
    Ok(())
}

/// All locked versions of a crate, the newest last.
fn versions(lock: &str, name: &str) -> String {
    let named = format!("name = \"{name}\"");
    let mut lines = lock.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line == named {
            let version = lines.next().and_then(|line| line.strip_prefix("version = \""));
            found.extend(version.map(|version| version.trim_end_matches('"')));
        }
    }
    found.join(" and ")
}
