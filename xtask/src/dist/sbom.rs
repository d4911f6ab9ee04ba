//! The bill of materials of a plugin as CycloneDX 1.6: the crates that are compiled into it, and those that compile it, with
//! licences, checksums and edges.
//!
//! Own code: `cargo-cyclonedx` builds some 200 crates, leaves out the checksums, and takes features from the whole workspace. `cargo tree`
//! knows what this target and these features bring, `Cargo.lock` has the checksums.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use wasm_metadata::Licenses;

use super::files;
use super::release::{Plugin, Release, cargo};

/// A crate, as a line of `cargo tree` has it.
#[derive(Debug, PartialEq)]
struct Crate {
    name: String,
    version: String,
    licence: String,
    repository: String,
    /// Names and versions of what it depends on.
    dependencies: BTreeSet<Id>,
}

type Id = (String, String);

/// Makes the bill of a plugin, whose released file has this content.
pub(super) fn cyclonedx(root: &Path, release: &Release, plugin: &Plugin, content: &[u8]) -> Result<String, String> {
    let tree = |edges: &str| -> Result<BTreeMap<Id, Crate>, String> {
        let arguments = [
            "tree",
            "--locked",
            "--target",
            "wasm32-unknown-unknown",
            "--prefix",
            "depth",
            "--format",
            " {p}\t{l}\t{r}\t",
        ];
        let text = cargo(root, &[&arguments[..], &["--package", &plugin.name, "--edges", edges]].concat())?;
        parse(&text).map_err(|error| format!("cargo tree of {}: {error}", plugin.name))
    };
    let compiled = tree("normal,no-proc-macro")?;
    let all = tree("normal,build")?;
    let checksums = checksums(&crate::read_text(&root.join("Cargo.lock"))?);
    let bill = bill(release, plugin, content, &compiled, &all, &checksums)?;
    let text = serde_json::to_string_pretty(&bill).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// Reads lines `DEPTH NAME vVERSION …<tab>LICENCE<tab>REPOSITORY<tab>`. A crate's dependencies follow where it is listed first.
fn parse(text: &str) -> Result<BTreeMap<Id, Crate>, String> {
    let mut crates: BTreeMap<Id, Crate> = BTreeMap::new();
    let mut path: Vec<Id> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let unexpected = || format!("unexpected line {line:?}");
        let (depth, rest) = line.split_once(' ').ok_or_else(unexpected)?;
        let depth: usize = depth.parse().map_err(|_| unexpected())?;
        let mut fields = rest.split('\t');
        let mut field = || fields.next().ok_or_else(unexpected);
        let mut words = field()?.split(' ');
        let name = words.next().ok_or_else(unexpected)?.to_owned();
        let version = words.next().and_then(|word| word.strip_prefix('v')).ok_or_else(unexpected)?.to_owned();
        let (licence, repository) = (field()?.to_owned(), field()?.to_owned());
        if depth > path.len() {
            return Err(unexpected());
        }
        let id = (name.clone(), version.clone());
        path.truncate(depth);
        if let Some(parent) = path.last().and_then(|parent| crates.get_mut(parent)) {
            parent.dependencies.insert(id.clone());
        }
        path.push(id.clone());
        let found = Crate { name, version, licence, repository, dependencies: BTreeSet::new() };
        crates.entry(id).or_insert(found);
    }
    if crates.is_empty() { Err("no crate is listed".to_owned()) } else { Ok(crates) }
}

/// SHA-256 of the archives of a `Cargo.lock`'s packages. Those of the workspace have no source and so none.
fn checksums(lock: &str) -> BTreeMap<Id, Option<String>> {
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let checksum = field(package, "checksum");
            if checksum.is_none() && field(package, "source").is_some() {
                return None;
            }
            Some(((field(package, "name")?, field(package, "version")?), checksum))
        })
        .collect()
}

fn bill(
    release: &Release,
    plugin: &Plugin,
    content: &[u8],
    compiled: &BTreeMap<Id, Crate>,
    all: &BTreeMap<Id, Crate>,
    checksums: &BTreeMap<Id, Option<String>>,
) -> Result<Value, String> {
    let root = (plugin.name.clone(), plugin.version.clone());
    let reference = |id: &Id| {
        // No registry has the crates of the workspace.
        let is_own = *id == root || checksums.get(id).is_some_and(Option::is_none);
        let kind = if is_own { "generic" } else { "cargo" };
        format!("pkg:{kind}/{}@{}", id.0, id.1.replace('+', "%2B"))
    };
    let hash = |digest: &str| json!([{ "alg": "SHA-256", "content": digest }]);

    let mut components = vec![standard_library(plugin)?];
    let library = components[0]["bom-ref"].clone();
    for (id, found) in all.iter().filter(|(id, _)| **id != root) {
        let checksum = checksums.get(id).ok_or_else(|| format!("Cargo.lock has no checksum of {} {}", id.0, id.1))?;
        // Older manifests have `MIT/Apache-2.0`.
        let licence = found.licence.replace('/', " OR ");
        Licenses::new(&licence).map_err(|error| format!("{}: the licence {licence:?}: {error:#}", id.0))?;
        let mut component = json!({
            "type": "library",
            "bom-ref": reference(id),
            "name": found.name,
            "version": found.version,
            // Excluded: runs in the compiler only (procedural macros, build scripts and what they depend on).
            "scope": if compiled.contains_key(id) { "required" } else { "excluded" },
            "licenses": [{ "expression": licence }],
            "purl": reference(id),
        });
        if let Some(checksum) = checksum {
            component["hashes"] = hash(checksum);
        }
        if found.repository.starts_with("https://") {
            component["externalReferences"] = json!([{ "type": "vcs", "url": found.repository }]);
        }
        components.push(component);
    }
    let mut dependencies: Vec<Value> = Vec::new();
    for (id, found) in all {
        let mut depends_on: Vec<Value> = found.dependencies.iter().map(|id| reference(id).into()).collect();
        if *id == root {
            depends_on.push(library.clone());
        }
        dependencies.push(json!({ "ref": reference(id), "dependsOn": depends_on }));
    }
    dependencies.push(json!({ "ref": library }));

    let digest = files::sha256(content);
    let mut component = json!({
        "type": "application",
        "bom-ref": reference(&root),
        "name": plugin.name,
        "version": plugin.version,
        "description": plugin.description,
        "hashes": hash(&digest),
        "licenses": [{ "expression": plugin.licence }],
        "purl": reference(&root),
    });
    if let Some(source) = &release.source {
        component["externalReferences"] = json!([{ "type": "vcs", "url": source }]);
    }
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(&digest),
        "version": 1,
        "metadata": {
            "timestamp": release.created,
            "tools": { "components": [{ "type": "application", "name": "sandbucket-xtask", "version": env!("CARGO_PKG_VERSION") }] },
            "component": component,
            "properties": [
                { "name": "sandbucket:revision", "value": release.revision },
                { "name": "sandbucket:compiler", "value": plugin.compiler },
            ],
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// Rust's standard library, which no lock file lists.
fn standard_library(plugin: &Plugin) -> Result<Value, String> {
    let version = plugin
        .compiler
        .split(' ')
        .nth(1)
        .ok_or_else(|| format!("the compiler {:?} has no version", plugin.compiler))?;
    let reference = format!("pkg:generic/rust@{version}");
    Ok(json!({
        "type": "library",
        "bom-ref": reference,
        "name": "rust",
        "version": version,
        "description": "Rust's standard library, compiled for wasm32-unknown-unknown",
        "scope": "required",
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        "purl": reference,
    }))
}

/// A UUID of version 8 (its bits are ours), derived from the file: the same file has the same bill.
fn serial_number(digest: &str) -> String {
    let [a, b, c, d, e] = [&digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32]];
    format!("urn:uuid:{a}-{b}-8{c}-8{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::release;

    #[test]
    fn tree_is_read_with_edges_where_a_crate_is_listed_first() {
        let text = "0 s3 v0.2.0 (/work/guest)\tMIT\t\t\n1 sha2 v0.11.1\tMIT OR Apache-2.0\thttps://a.example\t\n\
                    2 cfg-if v1.0.5\tMIT\t\t\n1 derive v1.0.0 (proc-macro)\tMIT/Apache-2.0\t\t\n2 sha2 v0.11.1\tMIT\t\t (*)\n";
        let crates = parse(text).unwrap();
        let id = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let edges = |of: Id| crates[&of].dependencies.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(edges(id("s3", "0.2.0")), ["derive", "sha2"]);
        assert_eq!(edges(id("sha2", "0.11.1")), ["cfg-if"]);
        assert_eq!(edges(id("derive", "1.0.0")), ["sha2"]);
        assert_eq!(crates[&id("sha2", "0.11.1")].repository, "https://a.example");
        for wrong in ["", "x", "0 s3", "0 s3 0.2.0\t\t\t", "0 s3 v1\tMIT", "0 s3 v1\tMIT\t\t\n2 a v1\tMIT\t\t"] {
            parse(wrong).unwrap_err();
        }
    }

    /// What CycloneDX 1.6 requires of each object, and the rules that JSON Schema cannot state.
    #[test]
    fn bill_of_the_plugin_has_what_the_schema_requires() {
        let release = release::tests::release();
        let plugin = &release::tests::s3();
        let bill: Value = serde_json::from_str(&cyclonedx(crate::root(), &release, plugin, b"wasm").unwrap()).unwrap();
        assert_eq!(
            (&bill["bomFormat"], &bill["specVersion"], &bill["version"]),
            (&json!("CycloneDX"), &json!("1.6"), &json!(1))
        );
        let serial: Vec<&str> =
            bill["serialNumber"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap().split('-').collect();
        assert_eq!(serial.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(
            serial.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))
        );

        let components = bill["components"].as_array().unwrap();
        let mut references = BTreeSet::from([bill["metadata"]["component"]["bom-ref"].as_str().unwrap()]);
        for component in components {
            for required in ["type", "name", "version", "purl"] {
                assert!(!component[required].as_str().unwrap().is_empty(), "{component}");
            }
            assert!(references.insert(component["bom-ref"].as_str().unwrap()), "twice: {component}");
            assert_eq!(
                component["licenses"].as_array().unwrap().len(),
                1,
                "a list with an expression has nothing else"
            );
            assert!(["required", "excluded"].contains(&component["scope"].as_str().unwrap()));
            let is_crate = component["purl"].as_str().unwrap().starts_with("pkg:cargo/");
            assert_eq!(component["hashes"][0]["content"].as_str().map(str::len), is_crate.then_some(64), "{component}");
        }
        let dependencies = bill["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), references.len());
        for dependency in dependencies {
            assert!(references.contains(dependency["ref"].as_str().unwrap()));
            for on in dependency["dependsOn"].as_array().into_iter().flatten() {
                assert!(references.contains(on.as_str().unwrap()), "{dependency}");
            }
        }

        let scope = |name: &str| {
            let found = components.iter().find(|component| component["name"] == name);
            found.and_then(|component| component["scope"].as_str())
        };
        assert_eq!(scope("sha2"), Some("required"));
        assert_eq!(scope("sandbucket-plugin"), Some("required"));
        assert_eq!(scope("rust"), Some("required"));
        assert_eq!(scope("syn"), Some("excluded"));
        // Of the host, and of the plugin's tests.
        assert_eq!((scope("wasmtime"), scope("proptest")), (None, None));
    }
}
