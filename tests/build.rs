//! Builds `tests/rogue`, the misbehaving plugin, as a component with and without the interface `sans-io`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::exit;

#[path = "../host/sandbucket/build/component.rs"]
mod component;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../host/sandbucket/build");
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&here).join("..");
    for source in ["tests/rogue/Cargo.toml", "tests/rogue/src", "wit", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    // OUT_DIR is target/PROFILE/build/PACKAGE-HASH/out: one folder for all profiles avoids a build for each.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR: this is a build script"));
    let target = out.ancestors().nth(4).expect("the target folder around OUT_DIR").join("component");
    for (variable, features, name) in [
        ("SANDBUCKET_ROGUE", "simple", "sandbucket-rogue-simple"),
        ("SANDBUCKET_ROGUE_SANS_IO", "", "sandbucket-rogue"),
    ] {
        match component::build(&root, &target, "sandbucket-rogue", features, name) {
            Ok(path) => println!("cargo::rustc-env={variable}={}", path.display()),
            Err(error) => {
                eprintln!("{error}");
                exit(1);
            }
        }
    }
}
