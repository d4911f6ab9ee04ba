//! Builds `tests/rogue`, the plugin that misbehaves, as a component.

use std::env;
use std::path::Path;
use std::process::exit;

#[path = "../host/build/component.rs"]
mod component;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../host/build");
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    match component::build(&Path::new(&here).join(".."), "sandbucket-rogue", "tests/rogue") {
        Ok(path) => println!("cargo::rustc-env=SANDBUCKET_ROGUE={}", path.display()),
        Err(error) => {
            eprintln!("{error}");
            exit(1);
        }
    }
}
