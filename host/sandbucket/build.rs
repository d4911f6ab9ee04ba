//! Finds the plugins that the library has built in, each of them:
//! - the file that a variable of [`PLUGINS`] names, if it is set;
//! - else the prebuilt `plugin/PACKAGE.wasm`, which needs no WebAssembly target and no checkout;
//! - but in a checkout whose sources differ from those of the prebuilt plugin, one that it builds from them: tests and
//!   commands never run a plugin that is out of date. `make plugin` replaces the prebuilt ones.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::exit;

#[path = "build/component.rs"]
mod component;
#[path = "build/sources.rs"]
mod sources;

/// The packages of the plugins, each with the variable that names another file, and the one that the library includes it by.
const PLUGINS: [(&str, &str, &str); 2] = [
    ("sandbucket-s3", "SANDBUCKET_PLUGIN", "SANDBUCKET_COMPONENT"),
    ("sandbucket-azure", "SANDBUCKET_AZURE_PLUGIN", "SANDBUCKET_AZURE_COMPONENT"),
];

/// What the fingerprint of the sources covers besides the plugin's folders, seen from the workspace's root.
const SOURCES: [&str; 3] = ["Cargo.lock", "Cargo.toml", "wit"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=plugin");
    for (package, variable, included_by) in PLUGINS {
        println!("cargo::rerun-if-env-changed={variable}");
        match plugin(package, variable) {
            Ok(path) => println!("cargo::rustc-env={included_by}={}", path.display()),
            Err(error) => {
                eprintln!("{error}");
                exit(1);
            }
        }
    }
}

fn plugin(package: &str, variable: &str) -> Result<PathBuf, String> {
    if let Some(file) = env::var_os(variable).map(PathBuf::from) {
        println!("cargo::rerun-if-changed={}", file.display());
        return file.canonicalize().map_err(|error| format!("{variable}: {}: {error}", file.display()));
    }
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = here.join("../..");
    let prebuilt = here.join(format!("plugin/{package}.wasm"));
    // `cargo package` adds the file, so that a packaged crate is never taken for a checkout.
    if here.join("Cargo.toml.orig").exists() || !root.join("guest/sdk/Cargo.toml").exists() {
        return Ok(prebuilt);
    }
    let code = sources::folders(package)
        .into_iter()
        .flat_map(|folder| ["Cargo.toml", "src"].map(|path| format!("{folder}/{path}")));
    for source in SOURCES.map(str::to_owned).into_iter().chain(code) {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let found = sources::fingerprint(&root, package).map_err(|error| format!("the plugin's sources: {error}"))?;
    let record = fs::read_to_string(here.join(format!("plugin/{package}.built"))).unwrap_or_default();
    if sources::field(&record, "sources") == Some(&found) && prebuilt.exists() {
        return Ok(prebuilt);
    }
    // OUT_DIR is target/PROFILE/build/PACKAGE-HASH/out: one folder for all profiles avoids a build for each.
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: this is for build scripts")?);
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo puts it")?;
    component::build(&root, &target.join("component"), package, "", package)
}
