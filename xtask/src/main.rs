//! `xtask plugin` builds the plugins of [`PLUGINS`] and puts them into `host/sandbucket/plugin`, from where the library takes them.
//! `xtask plugin --check` builds them and compares them with those that are there.
//! `xtask dist` makes the files of a release, and `xtask push` pushes those of registries: see the module `dist`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[path = "../../host/sandbucket/build/component.rs"]
mod component;
mod dist;
#[path = "../../host/sandbucket/build/sources.rs"]
mod sources;

/// The packages of the plugins that the library contains: each is in `guest/NAME`, by the name `sandbucket-NAME`.
const PLUGINS: [&str; 2] = ["sandbucket-s3", "sandbucket-azure"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["plugin"] => plugins(false),
        ["plugin", "--check"] => plugins(true),
        ["dist"] => dist::build(root(), &target().join("dist"), &target().join("tools")),
        ["dist", "--check"] => dist::check(root(), &target()),
        ["push", registry] => dist::push(&target().join("dist"), registry, false),
        ["push", "--plain-http", registry] => dist::push(&target().join("dist"), registry, true),
        _ => Err("usage: xtask plugin [--check] | dist [--check] | push [--plain-http] REGISTRY[/PREFIX]".to_owned()),
    };
    match outcome {
        Ok(message) => {
            println!("{message}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Cargo's target folder, as commands in other folders can use it.
fn target() -> PathBuf {
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    std::path::absolute(&folder).unwrap_or(folder)
}

fn plugins(check: bool) -> Result<String, String> {
    let lines: Result<Vec<String>, String> = PLUGINS.into_iter().map(|package| plugin(package, check)).collect();
    Ok(lines?.join("\n"))
}

fn plugin(package: &str, check: bool) -> Result<String, String> {
    let root = root();
    let built = component::build(root, &target().join("component"), package, "", package)?;
    let fingerprint = sources::fingerprint(root, package).map_err(|error| format!("the plugin's sources: {error}"))?;
    let component = read(&built)?;
    let compiler = read_text(&built.with_extension("compiler"))?;

    let folder = root.join("host/sandbucket/plugin");
    let (file, record_file) = (folder.join(format!("{package}.wasm")), folder.join(format!("{package}.built")));
    if !check {
        let record = format!(
            "# What {package}.wasm was built from, and with: written by `make plugin`, compared by `make plugin-check`.\n\
             sources = {fingerprint}\ncompiler = {compiler}\n"
        );
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for (file, content) in [(&file, &component[..]), (&record_file, record.as_bytes())] {
            fs::write(file, content).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        return Ok(format!("{}: {} bytes, by {compiler}", file.display(), component.len()));
    }

    let record = read_text(&record_file)?;
    if sources::field(&record, "sources") != Some(&fingerprint) {
        return Err(format!("{} is not built from these sources: run `make plugin`", file.display()));
    }
    let recorded = sources::field(&record, "compiler").unwrap_or("an unknown compiler");
    let is_equal = read(&file)? == component;
    match (is_equal, recorded == compiler) {
        (true, _) => Ok(format!("{} is what its sources make, byte for byte", file.display())),
        (false, true) => Err(format!("{} differs from what its sources make: run `make plugin`", file.display())),
        (false, false) => Ok(format!(
            "NOT COMPARED: {} was built by {recorded}, and this is {compiler}; its sources are the same",
            file.display()
        )),
    }
}

fn read_text(file: &Path) -> Result<String, String> {
    String::from_utf8(read(file)?).map_err(|error| format!("{}: {error}", file.display()))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = PLUGINS[0];

    const SOURCES: [&str; 8] = [
        "Cargo.lock",
        "Cargo.toml",
        "guest/s3/Cargo.toml",
        "guest/s3/src",
        "guest/sdk/Cargo.toml",
        "guest/sdk/src",
        "host/sandbucket/build/component.rs",
        "wit",
    ];

    fn copy(from: &Path, to: &Path) {
        if from.is_dir() {
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        } else {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }

    /// Replaces a text in a file of the copy, and returns whether the fingerprint differs from `before`.
    fn changes(root: &Path, before: &str, file: &str, from: &str, to: &str) -> bool {
        let path = root.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let after = sources::fingerprint(root, PLUGIN).unwrap();
        fs::write(&path, text).unwrap();
        after != before
    }

    #[test]
    fn fingerprint_changes_with_what_the_plugin_is_built_from_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (root, here) = (folder.path(), Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
        SOURCES.iter().for_each(|source| copy(&here.join(source), &root.join(source)));
        let before = sources::fingerprint(root, PLUGIN).unwrap();
        assert_eq!(before, sources::fingerprint(here, PLUGIN).unwrap(), "the folder matters");

        let changes = |file: &str, from: &str, to: &str| changes(root, &before, file, from, to);
        for folder in sources::folders(PLUGIN) {
            assert!(changes(&format!("{folder}/src/lib.rs"), "mod ", "mod  "));
            let manifest = format!("{folder}/Cargo.toml");
            assert!(changes(&manifest, "[dependencies]\n", "[dependencies]\nitoa = \"1\"\n"));
            assert!(!changes(&manifest, "[dev-dependencies]\n", "[dev-dependencies]\nitoa = \"1\"\n"));
        }
        assert!(changes("Cargo.toml", "[profile.component]\n", "[profile.component]\ndebug-assertions = true\n"));
        assert!(changes("Cargo.toml", "wit-bindgen = {", "wit-bindgen = { default-features = true,"));
        assert!(changes("Cargo.toml", "sandbucket-plugin = {", "sandbucket-plugin = { features = [\"testing\"],"));
        assert!(changes("host/sandbucket/build/component.rs", "STACK: usize = ", "STACK: usize = 1 + "));
        // Of the plugin, directly and indirectly; of the host alone.
        for (package, is_covered) in
            [("hmac", true), ("hybrid-array", true), ("wasmtime", false), ("tokio", false), ("quick-xml", false)]
        {
            let version = format!("name = \"{package}\"\nversion = \"");
            assert_eq!(changes("Cargo.lock", &version, &format!("{version}9")), is_covered, "{package}");
        }
        assert!(!changes("Cargo.toml", "[profile.dev]\n", "[profile.dev]\npanic = \"abort\"\n"));

        fs::write(root.join("wit/another.wit"), "package a:b;").unwrap();
        assert_ne!(sources::fingerprint(root, PLUGIN).unwrap(), before);
        fs::remove_file(root.join("wit/another.wit")).unwrap();
        fs::create_dir_all(root.join("guest/sdk/src/tests")).unwrap();
        fs::write(root.join("guest/sdk/src/tests/another.rs"), "").unwrap();
        assert_eq!(sources::fingerprint(root, PLUGIN).unwrap(), before);
    }
}
