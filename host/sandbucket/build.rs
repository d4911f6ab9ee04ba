//! Builds the plugin that the library has built in, or takes the one that `SANDBUCKET_PLUGIN` names.

use std::env;
use std::path::{Path, PathBuf};
use std::process::exit;

#[path = "build/component.rs"]
mod component;

fn main() {
    println!("cargo::rerun-if-env-changed=SANDBUCKET_PLUGIN");
    println!("cargo::rerun-if-changed=build");
    let given = env::var_os("SANDBUCKET_PLUGIN").map(PathBuf::from);
    let component = match given {
        Some(file) => {
            println!("cargo::rerun-if-changed={}", file.display());
            file.canonicalize().map_err(|error| format!("SANDBUCKET_PLUGIN: {}: {error}", file.display()))
        }
        None => {
            let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
            let root = Path::new(&here).join("../..");
            component::build(&root, "sandbucket-s3", "guest", "", "sandbucket-s3")
        }
    };
    match component {
        Ok(path) => println!("cargo::rustc-env=SANDBUCKET_COMPONENT={}", path.display()),
        Err(error) => {
            eprintln!("{error}");
            exit(1);
        }
    }
}
