//! Builds a crate of this workspace as a WebAssembly component: for build scripts and for `make plugin`.
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

/// How much stack a plugin has, in bytes: eight times what this project's tests were seen to get by with.
const STACK: usize = 256 << 10;
/// How much memory it begins with, in bytes.
const MEMORY: usize = 448 << 10;

/// Builds the package with these of its features, and gives the component's path: `NAME.wasm` in the target folder. Beside it,
/// `NAME.compiler` has the output of `rustc --version`: another compiler makes other bytes of the same sources.
pub(crate) fn build(root: &Path, target: &Path, package: &str, features: &str, name: &str) -> Result<PathBuf, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = PathBuf::from(print(&rustc, "sysroot")?);
    let linkers = sysroot.join("lib/rustlib").join(host(&rustc)?).join("bin");
    let (mut cargo, rustc) = if has_target(&sysroot) {
        (Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())), rustc)
    } else if has_debian() {
        let mut cargo = Command::new("/usr/bin/cargo");
        cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        (cargo, "/usr/bin/rustc".into())
    } else {
        return Err(format!("nothing here builds for {TARGET}: run ./toolchain.sh, which installs what is missing"));
    };
    cargo.env("RUSTC", &rustc);
    let compiler = run(&rustc, &["--version"])?;

    // What is meant for the build around this one would spoil this one: clippy's wrapper, flags for the other target.
    for name in ["RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"]
    {
        cargo.env_remove(name);
    }
    // Without its WASI adapter, which nothing here needs: it brings imports of its own versions, and the contract's
    // 0.2.0 would become those, which fewer hosts offer.
    let link_arg = |argument: &str| format!("-Clink-arg={argument}");
    let mut flags = vec!["-Clinker=wasm-component-ld".to_owned(), link_arg("--wasi-adapter=none")];
    // A memory that an operation need not grow. The stack is at its beginning, and running over it is a trap.
    flags.extend(["-z", &format!("stack-size={STACK}"), &format!("--initial-memory={MEMORY}")].map(link_arg));
    // With the vector instructions that all hosts have had for years: SHA-256 is smaller and quicker with them.
    flags.push("-Ctarget-feature=+simd128".to_owned());
    // Panics name source files, which are not to tell where this machine keeps them.
    if let Some(home) =
        env::var_os("CARGO_HOME").or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo").into()))
    {
        flags.push(format!("--remap-path-prefix={}=", Path::new(&home).join("registry/src").display()));
    }
    let made = cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_TARGET_DIR", target)
        .env("PATH", search_path(&linkers)?)
        .current_dir(root)
        .args(["build", "--locked", "--package", package, "--profile", "component", "--target", TARGET])
        .args(["--features", features])
        .output()
        .map_err(|error| format!("starting cargo for {package}: {error}"))?;
    if !made.status.success() {
        return Err(format!("building {package} for {TARGET}:\n{}", String::from_utf8_lossy(&made.stderr)));
    }

    let built = target.join(TARGET).join("component").join(format!("{}.wasm", package.replace('-', "_")));
    let named = target.join(format!("{name}.wasm"));
    let component = fs::read(&built).map_err(|error| format!("reading {}: {error}", built.display()))?;
    let component = without_names(&component).ok_or_else(|| format!("{} is no component", built.display()))?;
    for (file, content) in [(&named, &component[..]), (&named.with_extension("compiler"), compiler.as_bytes())] {
        fs::write(file, content).map_err(|error| format!("writing {}: {error}", file.display()))?;
    }
    Ok(named)
}

/// The component without its section of names for debuggers, 12 KB that `strip` does not reach. A binary is 8 bytes of
/// header, and sections of an id, a length in LEB128 and as many bytes; a custom section (id 0) begins with its name.
fn without_names(component: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = component.split_at_checked(8)?;
    let mut kept = header.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (length, contents) = leb128(after)?;
        let (contents, next) = contents.split_at_checked(length)?;
        let name = if id == 0 { leb128(contents).and_then(|(length, name)| name.get(..length)) } else { None };
        if name != Some(b"component-name") {
            kept.extend_from_slice(&rest[..rest.len() - next.len()]);
        }
        rest = next;
    }
    Some(kept)
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)? + 1;
    let value = bytes[..end].iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    Some((value, &bytes[end..]))
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
