//! Finds the plugin that the library has built in:
//! - the file that `SANDBUCKET_PLUGIN` names, if it is set;
//! - else the prebuilt `plugin/sandbucket-s3.wasm`, which needs no WebAssembly target and no checkout;
//! - but in a checkout whose sources differ from those of the prebuilt plugin, one that it builds from them: tests and
//!   commands never run a plugin that is out of date. `make plugin` replaces the prebuilt one.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::exit;

#[path = "build/component.rs"]
mod component;
#[path = "build/sources.rs"]
mod sources;

/// What the fingerprint of the sources covers, seen from the workspace's root.
const SOURCES: [&str; 5] = ["Cargo.lock", "Cargo.toml", "guest/Cargo.toml", "guest/src", "wit"];

fn main() {
    println!("cargo::rerun-if-env-changed=SANDBUCKET_PLUGIN");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=plugin");
    match plugin() {
        Ok(path) => println!("cargo::rustc-env=SANDBUCKET_COMPONENT={}", path.display()),
        Err(error) => {
            eprintln!("{error}");
            exit(1);
        }
    }
}

fn plugin() -> Result<PathBuf, String> {
    if let Some(file) = env::var_os("SANDBUCKET_PLUGIN").map(PathBuf::from) {
        println!("cargo::rerun-if-changed={}", file.display());
        return file.canonicalize().map_err(|error| format!("SANDBUCKET_PLUGIN: {}: {error}", file.display()));
    }
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = here.join("../..");
    let prebuilt = here.join("plugin/sandbucket-s3.wasm");
    // `cargo package` adds the file, so that a packaged crate is never taken for a checkout.
    if here.join("Cargo.toml.orig").exists() || !root.join("guest/Cargo.toml").exists() {
        return Ok(prebuilt);
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let found = sources::fingerprint(&root).map_err(|error| format!("the plugin's sources: {error}"))?;
    let record = fs::read_to_string(here.join("plugin/sandbucket-s3.built")).unwrap_or_default();
    if sources::field(&record, "sources") == Some(&found) && prebuilt.exists() {
        return Ok(prebuilt);
    }
    // OUT_DIR is target/PROFILE/build/PACKAGE-HASH/out: one folder for all profiles avoids a build for each.
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: this is for build scripts")?);
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo puts it")?;
    component::build(&root, &target.join("component"), "sandbucket-s3", "", "sandbucket-s3")
}
