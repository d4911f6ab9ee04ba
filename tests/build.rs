//! Builds `tests/rogue`, the plugin that misbehaves, as a component: with the interface `exchanges`, and without.

use std::env;
use std::path::Path;
use std::process::exit;

#[path = "../host/sandbucket/build/component.rs"]
mod component;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../host/sandbucket/build");
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&here).join("..");
    for (variable, features, name) in [
        ("SANDBUCKET_ROGUE", "simple", "sandbucket-rogue-simple"),
        ("SANDBUCKET_ROGUE_EXCHANGES", "", "sandbucket-rogue"),
    ] {
        match component::build(&root, "sandbucket-rogue", "tests/rogue", features, name) {
            Ok(path) => println!("cargo::rustc-env={variable}={}", path.display()),
            Err(error) => {
                eprintln!("{error}");
                exit(1);
            }
        }
    }
}
