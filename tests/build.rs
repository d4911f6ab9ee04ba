//! Builds the components of the tests: `tests/rogue`, the misbehaving plugin, with and without the interface `sans-io`;
//! `tests/blobstore/guest`, which uses `wasi:blobstore`; `guest/webdav`, the tutorial plugin; and `host/examples/http-service`, which
//! is composed with the S3 plugin.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

#[path = "../host/sandbucket/build/component.rs"]
mod component;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rustc-check-cfg=cfg(node)");
    if has_node() {
        println!("cargo::rustc-cfg=node");
    } else {
        println!(
            "cargo::warning=tests on Azurite and under jco serve: LEFT OUT: Node 20 or newer and npm are not here"
        );
    }
    println!("cargo::rerun-if-changed=../host/sandbucket/build");
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&here).join("..");
    let sources = [
        "tests/rogue/Cargo.toml",
        "tests/rogue/src",
        "tests/blobstore/guest",
        "host/examples/http-service",
        "guest/sdk/Cargo.toml",
        "guest/sdk/src",
        "guest/webdav",
        "host/wasi-blobstore/wit",
        "wit",
        "Cargo.lock",
        "Cargo.toml",
    ];
    for source in sources {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    // OUT_DIR is target/PROFILE/build/PACKAGE-HASH/out: one folder for all profiles avoids a build for each.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR: this is a build script"));
    let target = out.ancestors().nth(4).expect("the target folder around OUT_DIR").join("component");
    for (variable, package, features, name) in [
        ("SANDBUCKET_ROGUE", "sandbucket-rogue", "simple", "sandbucket-rogue-simple"),
        ("SANDBUCKET_ROGUE_SANS_IO", "sandbucket-rogue", "", "sandbucket-rogue"),
        ("SANDBUCKET_BLOBSTORE_GUEST", "sandbucket-blobstore-guest", "", "sandbucket-blobstore-guest"),
        ("SANDBUCKET_HTTP_SERVICE", "sandbucket-http-service-example", "", "sandbucket-http-service-example"),
        ("SANDBUCKET_WEBDAV", "sandbucket-webdav", "", "sandbucket-webdav"),
    ] {
        match component::build(&root, &target, package, features, name) {
            Ok(path) => println!("cargo::rustc-env={variable}={}", path.display()),
            Err(error) => {
                eprintln!("{error}");
                exit(1);
            }
        }
    }
}

/// Whether Node 20 or newer and npm are here: Azurite and jco need them.
fn has_node() -> bool {
    let succeeds = |program: &str, argument: &str, script: &str| {
        let arguments = [argument, script].into_iter().filter(|argument| !argument.is_empty());
        Command::new(program).args(arguments).output().is_ok_and(|ended| ended.status.success())
    };
    succeeds("node", "-e", "process.exit(Number(process.versions.node.split('.')[0]) >= 20 ? 0 : 1)")
        && succeeds("npm", "--version", "")
}
