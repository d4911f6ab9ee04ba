//! Fingerprints the sources that a prebuilt plugin is made of, to tell whether it is up to date.
//!
//! Nothing rests on it but which plugin a build in this repository takes: `make plugin-check` rebuilds the plugin and
//! compares its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folders of a plugin's code: the SDK's, and its own, `guest/NAME` of the package `sandbucket-NAME`.
pub(crate) fn folders(package: &str) -> [String; 2] {
    let name = package.strip_prefix("sandbucket-").unwrap_or(package);
    ["guest/sdk".to_owned(), format!("guest/{name}")]
}

/// The fingerprint of a plugin's code, its unit tests left out, of the contract, of the locked versions of what it depends on,
/// and of how it is compiled.
pub(crate) fn fingerprint(root: &Path, package: &str) -> io::Result<String> {
    let mut hash = Fnv1a::default();
    let folders = folders(package).map(|folder| root.join(folder));
    let workspace = fs::read_to_string(root.join("Cargo.toml"))?;
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    let compiled_as = |name: &str| name == "workspace.package" || name.starts_with("profile.component");
    let used = |name: &str| name == "dependencies" || name.starts_with("target.") && name.ends_with(".dependencies");
    hash.write(&section_lines(&workspace, compiled_as).join("\n"));

    let mut manifests = String::new();
    for folder in &folders {
        manifests.push_str(&fs::read_to_string(folder.join("Cargo.toml"))?);
        manifests.push('\n');
    }
    hash.write(&section_lines(&manifests, |name| !name.starts_with("dev-")).join("\n"));
    // Not the SDK, which the lock file has with its dev-dependencies.
    let own = section_lines(&manifests, |name| name == "package");
    let is_own =
        |name: &str| own.iter().any(|line| line.strip_prefix("name = ").is_some_and(|n| n.trim_matches('"') == name));
    let named = section_lines(&manifests, used).into_iter().filter_map(|line| line.split(['.', ' ', '=']).next());
    let named: BTreeSet<&str> = named.collect();
    let direct: BTreeSet<&str> = named.iter().copied().filter(|name| !is_own(name)).collect();
    for line in section_lines(&workspace, |name| name == "workspace.dependencies") {
        if line.split([' ', '=', '.']).next().is_some_and(|name| named.contains(name)) {
            hash.write(line);
        }
    }
    locked(&lock, direct).iter().for_each(|package| hash.write(package));

    let mut files = vec![root.join("host/sandbucket/build/component.rs")];
    for folder in &folders {
        collect(&folder.join("src"), "rs", &mut files)?;
    }
    collect(&root.join("wit"), "wit", &mut files)?;
    files.sort();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file);
        let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
        hash.write(&parts.join("/"));
        hash.write(&fs::read_to_string(&file)?);
    }
    Ok(format!("{:016x}", hash.0))
}

/// A value in the record of a prebuilt plugin, which has a line `NAME = VALUE` for each.
pub(crate) fn field<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
}

/// The lines, but for blank ones and comments, of the sections of a TOML file whose names match.
fn section_lines(text: &str, matches: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut is_in = false;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter(|line| {
            if let Some(name) = line.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                is_in = matches(name.trim_matches(['[', ']']));
            }
            is_in
        })
        .collect()
}

/// The packages of a `Cargo.lock` that these depend on, and these.
fn locked<'a>(lock: &'a str, direct: BTreeSet<&'a str>) -> Vec<&'a str> {
    let field = |package: &'a str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.unwrap_or_default().trim_matches('"')
    };
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        by_name.entry(field(package, "name")).or_default().push(package.trim());
    }
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = direct.into_iter().collect();
    while let Some(dependency) = open.pop() {
        // `name`, or `name version` where several versions are locked.
        let mut words = dependency.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        for &package in by_name.get(name).into_iter().flatten() {
            if version.is_none_or(|version| field(package, "version") == version) && found.insert(package) {
                let dependencies = package.split("dependencies = [").nth(1).unwrap_or_default();
                open.extend(dependencies.lines().map(|line| line.trim().trim_matches([',', '"', ']'])));
            }
        }
    }
    found.into_iter().collect()
}

/// The files with this ending in a folder and those below; not unit tests, which are no part of the plugin.
fn collect(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            collect(&path, ending, files)?;
        } else if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a with 64 bits: the standard library's hashers may change from release to release, and a build script that needs
/// no crates costs nobody the time to build them.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Fnv1a(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    /// Adds a text and its end. Carriage returns are left out: a checkout may add them.
    fn write(&mut self, text: &str) {
        for byte in text.bytes().filter(|&byte| byte != b'\r').chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
