//! Builds a crate of this workspace as a WebAssembly component, from a build script.
//!
//! The target is `wasm32-unknown-unknown`, which brings no imports of its own, and `wasm-component-ld` makes the module a
//! component as it links. The standard library comes from rustup where it has the target, else it is built from Debian's
//! `rust-web-src` with Debian's compiler: the two go together, and `toolchain.sh` installs one or the other.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the package and gives the component's path: `NAME.wasm` in `component` in the target folder.
///
/// `folder` is the package's own, seen from the workspace's root.
pub fn build(root: &Path, package: &str, folder: &str) -> Result<PathBuf, String> {
    let watched = ["Cargo.toml", "src"].map(|name| root.join(folder).join(name));
    for path in watched.iter().chain(&[root.join("wit"), root.join("Cargo.lock"), root.join("Cargo.toml")]) {
        println!("cargo::rerun-if-changed={}", path.display());
    }

    // OUT_DIR is target/PROFILE/build/PACKAGE-HASH/out: one folder for all profiles spares building it for each.
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: this is for build scripts")?);
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo puts it")?.join("component");

    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = PathBuf::from(print(&rustc, "sysroot")?);
    let linkers = sysroot.join("lib/rustlib").join(host(&rustc)?).join("bin");
    let mut cargo = if has_target(&sysroot) {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.env("RUSTC", &rustc);
        cargo
    } else if has_debian() {
        let mut cargo = Command::new("/usr/bin/cargo");
        cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        cargo
    } else {
        return Err(format!("nothing here builds for {TARGET}: run ./toolchain.sh, which installs what is missing"));
    };

    // What is meant for the build around this one would spoil this one: clippy's wrapper, flags for the other target.
    for name in ["RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"]
    {
        cargo.env_remove(name);
    }
    // Without its WASI adapter, which nothing here needs: it brings imports of its own versions, and the contract's
    // 0.2.0 would become those, which fewer hosts offer.
    let flags = ["-Clinker=wasm-component-ld", "-Clink-arg=--wasi-adapter=none"].join("\u{1f}");
    let made = cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", &target)
        .env("PATH", search_path(&linkers)?)
        .current_dir(root)
        .args(["build", "--locked", "--package", package, "--profile", "component", "--target", TARGET])
        .output()
        .map_err(|error| format!("starting cargo for {package}: {error}"))?;
    if !made.status.success() {
        return Err(format!("building {package} for {TARGET}:\n{}", String::from_utf8_lossy(&made.stderr)));
    }

    let built = target.join(TARGET).join("component").join(format!("{}.wasm", package.replace('-', "_")));
    let named = target.join(format!("{package}.wasm"));
    fs::copy(&built, &named).map_err(|error| format!("copying {}: {error}", built.display()))?;
    Ok(named)
}

fn has_target(sysroot: &Path) -> bool {
    let libraries = fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib"));
    libraries.is_ok_and(|mut files| {
        files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
    })
}

fn has_debian() -> bool {
    let Ok(sysroot) = print(&"/usr/bin/rustc".into(), "sysroot") else { return false };
    Path::new("/usr/bin/cargo").exists() && Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock").exists()
}

/// The linker is beside rust-lld, and what it calls in `gcc-ld` beside that.
fn search_path(linkers: &Path) -> Result<OsString, String> {
    let mut folders = vec![linkers.to_owned(), linkers.join("gcc-ld")];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    env::join_paths(folders).map_err(|error| error.to_string())
}

fn host(rustc: &OsString) -> Result<String, String> {
    let told = run(rustc, &["-vV"])?;
    let line = told.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| "rustc does not tell its host".to_owned())
}

fn print(rustc: &OsString, what: &str) -> Result<String, String> {
    run(rustc, &["--print", what])
}

fn run(rustc: &OsString, arguments: &[&str]) -> Result<String, String> {
    let told = Command::new(rustc).args(arguments).output().map_err(|error| format!("starting {rustc:?}: {error}"))?;
    if !told.status.success() {
        return Err(format!("{rustc:?}: {}", String::from_utf8_lossy(&told.stderr)));
    }
    Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}
