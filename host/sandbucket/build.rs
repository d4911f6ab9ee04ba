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

/// The package of the plugin.
const PLUGIN: &str = "sandbucket-s3";

/// What the fingerprint of the sources covers besides the plugin's folders, seen from the workspace's root.
const SOURCES: [&str; 3] = ["Cargo.lock", "Cargo.toml", "wit"];

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
    let prebuilt = here.join(format!("plugin/{PLUGIN}.wasm"));
    // `cargo package` adds the file, so that a packaged crate is never taken for a checkout.
    if here.join("Cargo.toml.orig").exists() || !root.join("guest/sdk/Cargo.toml").exists() {
        return Ok(prebuilt);
    }
    let code = sources::folders(PLUGIN)
        .into_iter()
        .flat_map(|folder| ["Cargo.toml", "src"].map(|path| format!("{folder}/{path}")));
    for source in SOURCES.map(str::to_owned).into_iter().chain(code) {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let found = sources::fingerprint(&root, PLUGIN).map_err(|error| format!("the plugin's sources: {error}"))?;
    let record = fs::read_to_string(here.join(format!("plugin/{PLUGIN}.built"))).unwrap_or_default();
    if sources::field(&record, "sources") == Some(&found) && prebuilt.exists() {
        return Ok(prebuilt);
    }
    // OUT_DIR is target/PROFILE/build/PACKAGE-HASH/out: one folder for all profiles avoids a build for each.
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: this is for build scripts")?);
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo puts it")?;
    component::build(&root, &target.join("component"), PLUGIN, "", PLUGIN)
}
