//! The layers of the code, held by its `use` lines: a module names only modules of its own layer and of those below it.
//!
//! Each table has a module, or a folder of them, and what it may name of its crate; see docs/ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, by its path in the crate, and the modules that it may name besides itself.
type Layer = (&'static str, &'static [&'static str]);

/// The SDK of plugins: exports → I/O → state machine → policy, HTTP and documents → contract and runtime.
const SDK: &[Layer] = &[
    ("rt", &[]),
    ("contract", &[]),
    ("contract::error", &[]),
    ("contract::model", &["contract::error"]),
    ("attributes", &["contract::error", "contract::model"]),
    ("checksum", &["contract::model"]),
    ("key", &["contract::error"]),
    ("listing", &["contract::error"]),
    ("multipart", &["contract::error", "contract::model"]),
    ("http", &["contract::error", "contract::model", "rt"]),
    ("xml", &["contract::error", "http"]),
    ("metadata", &["contract::error", "contract::model", "http"]),
    ("presign", &["contract::error", "contract::model", "http"]),
    ("tags", &["contract::error", "contract::model", "http", "xml"]),
    ("content", &["checksum", "contract::error", "contract::model", "http"]),
    ("retry", &["http"]),
    ("reconcile", &["contract::error", "contract::model"]),
    ("settings", &["contract::error", "retry"]),
    ("machine", &["attributes", "contract::error", "contract::model", "http", "key", "reconcile", "retry", "settings"]),
    ("io", &["contract::error", "contract::model", "content", "http", "machine"]),
    ("io::wasi", &["contract::bindings", "contract::error", "http", "io", "machine"]),
    ("testing", &["contract::error", "http", "io", "machine"]),
    ("contract::bindings", &["contract::error", "contract::model", "http"]),
    ("contract::convert", &["contract::bindings", "contract::error", "contract::model", "http", "io::wasi", "machine"]),
    (
        "contract::exports",
        &[
            "attributes",
            "contract::bindings",
            "contract::convert",
            "contract::error",
            "contract::model",
            "io",
            "io::wasi",
            "machine",
            "settings",
        ],
    ),
];

/// The S3 plugin: operations → requests and responses → settings and what S3 names.
const S3: &[Layer] = &[
    ("time", &[]),
    ("headers", &[]),
    ("checksum", &[]),
    ("bucket", &[]),
    ("continuation", &[]),
    ("attributes", &[]),
    ("endpoint", &["bucket"]),
    ("settings", &["attributes", "endpoint"]),
    ("sigv4", &["settings", "time"]),
    ("response", &["checksum", "headers"]),
    ("service_error", &[]),
    ("requests", &["attributes", "bucket", "checksum", "continuation", "headers", "settings"]),
    ("documents", &["continuation", "headers", "requests", "response"]),
    (
        "ops",
        &["attributes", "documents", "headers", "requests", "response", "service_error", "settings", "sigv4", "time"],
    ),
];

/// The plugin for Azure Blob Storage, like the S3 plugin.
const AZURE: &[Layer] = &[
    ("headers", &[]),
    ("key", &[]),
    ("container", &[]),
    ("continuation", &[]),
    ("shared_key", &[]),
    ("endpoint", &[]),
    ("upload_id", &[]),
    ("attributes", &["headers"]),
    ("settings", &["attributes", "container", "endpoint", "key", "shared_key"]),
    ("sas", &["headers", "shared_key"]),
    ("response", &["headers"]),
    ("service_error", &[]),
    (
        "requests",
        &["attributes", "container", "continuation", "headers", "key", "sas", "settings", "shared_key", "upload_id"],
    ),
    ("documents", &["continuation", "key", "requests", "upload_id"]),
    (
        "ops",
        &[
            "attributes",
            "continuation",
            "documents",
            "headers",
            "key",
            "requests",
            "response",
            "service_error",
            "settings",
            "upload_id",
        ],
    ),
];

/// The library: public API → operations → driver → { sandbox, HTTP } → types.
const HOST: &[Layer] = &[
    ("text", &[]),
    ("support", &["text"]),
    ("limits", &[]),
    ("plugins", &[]),
    ("error", &["limits", "text"]),
    ("types", &["error", "text"]),
    ("budget", &["error", "limits", "support"]),
    ("checksum", &["types"]),
    ("credentials", &["error", "support", "text", "types"]),
    ("telemetry", &["error"]),
    ("http", &["budget", "error", "limits", "support", "telemetry", "text", "types"]),
    (
        "sandbox",
        &["budget", "checksum", "credentials", "error", "http", "limits", "support", "telemetry", "text", "types"],
    ),
    ("driver", &["error", "http", "sandbox", "support", "telemetry", "types"]),
    ("ops", &["checksum", "driver", "error", "http", "limits", "sandbox", "support", "types"]),
    ("store", &["credentials", "driver", "error", "limits", "ops", "sandbox", "types"]),
    ("store_options", &["budget", "credentials", "error", "http", "limits", "sandbox", "support", "types"]),
    (
        "engine",
        &[
            "budget",
            "driver",
            "error",
            "http",
            "limits",
            "plugins",
            "sandbox",
            "store",
            "store_options",
            "support",
            "telemetry",
            "types",
        ],
    ),
    (
        "config",
        &[
            "credentials",
            "engine",
            "error",
            "http",
            "limits",
            "plugins",
            "sandbox",
            "store",
            "store_options",
            "support",
            "text",
            "types",
        ],
    ),
    (
        "tenants",
        &[
            "budget",
            "config",
            "engine",
            "error",
            "limits",
            "plugins",
            "sandbox",
            "store",
            "store_options",
            "support",
            "telemetry",
            "text",
            "types",
        ],
    ),
    // Internals for tests/fuzz.
    ("fuzzing", &["config", "driver", "error", "http", "ops", "sandbox", "text", "types"]),
];

#[test]
fn host_layers_point_one_way() {
    check("host/sandbucket/src", HOST);
}

#[test]
fn guest_layers_point_one_way() {
    check("guest/sdk/src", SDK);
    check("guest/s3/src", S3);
    check("guest/azure/src", AZURE);
}

/// The SDK is of no service.
#[test]
fn sdk_names_no_plugin() {
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/sdk/src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        for name in ["sandbucket_s3", "sandbucket_azure", "x-amz-", "x-ms-", "aws"] {
            let named = code(&text).lines().find(|line| line.split("//").next().unwrap_or_default().contains(name));
            assert_eq!(named, None, "{}", file.display());
        }
    }
}

/// Every mention of a module is allowed, every module is in the table, and every entry is needed.
fn check(folder: &str, layers: &[Layer]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let (mut faults, mut used) = (Vec::new(), BTreeSet::new());
    for file in sources(&root) {
        let module = module_of(&root, &file);
        if module.is_empty() {
            continue;
        }
        let Some((layer, allowed)) = layer_of(layers, &module) else {
            faults.push(format!("{module} is in no layer"));
            continue;
        };
        let text = fs::read_to_string(&file).expect("a source file");
        for named in mentions(&module, code(&text)) {
            // What is not a module is an item at the crate's root, which belongs to no layer.
            let Some((target, _)) = layer_of(layers, &named) else { continue };
            if target == layer || allowed.contains(&target) {
                used.insert((layer, target));
            } else if let Some(wider) = allowed.iter().find(|allowed| is_in(target, allowed)) {
                used.insert((layer, *wider));
            } else {
                faults.push(format!("{module}, of {layer}, names {named}, of {target}"));
            }
        }
    }
    for (layer, allowed) in layers {
        for target in allowed.iter().filter(|target| !used.contains(&(*layer, **target))) {
            faults.push(format!("{layer} no longer names {target}: take it out of the table"));
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", root.display(), faults.join("\n"));
}

/// The Rust files of a folder, but for tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if entry.is_dir() && name != "tests" && name != "bin" {
            files.extend(sources(&entry));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && !matches!(name, "lib.rs" | "oracle.rs") {
            files.push(entry);
        }
    }
    files
}

/// The path of a file's module in its crate.
fn module_of(root: &Path, file: &Path) -> String {
    let path = file.strip_prefix(root).expect("a file of the crate").with_extension("");
    let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).filter(|part| *part != "mod").collect();
    parts.join("::")
}

fn is_in(module: &str, layer: &str) -> bool {
    module.strip_prefix(layer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The innermost layer that a module is in.
fn layer_of(layers: &[Layer], module: &str) -> Option<Layer> {
    layers.iter().filter(|(layer, _)| is_in(module, layer)).max_by_key(|(layer, _)| layer.len()).copied()
}

/// The code before a file's tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// The paths that the text of a module names with `crate::` or `super::`, comments left out.
fn mentions(module: &str, text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
        for word in words {
            let mut path: Vec<&str> = word.split("::").filter(|part| !part.is_empty()).collect();
            let mut base: Vec<&str> = Vec::new();
            match path.first() {
                Some(&"crate") => drop(path.remove(0)),
                Some(&"super") => {
                    base = module.split("::").collect();
                    while path.first() == Some(&"super") {
                        base.pop();
                        path.remove(0);
                    }
                }
                _ => continue,
            }
            let is_path = !path.is_empty();
            base.extend(path);
            // `pub(super)` names nothing.
            if is_path {
                named.push(base.join("::"));
            }
        }
    }
    named
}

#[test]
fn mentions_are_found_outside_comments() {
    let text = "use crate::a::{B, C};\n// crate::x\nlet y = super::super::d::e(); //! crate::z\n";
    assert_eq!(mentions("m::n::o", text), ["a", "m::d::e"]);
    assert_eq!(layer_of(SDK, "io::wasi::error").map(|(layer, _)| layer), Some("io::wasi"));
    assert_eq!(layer_of(SDK, "iowa").map(|(layer, _)| layer), None);
}

/// Paths of files and folders that the documents for contributors name, `src/` being the library's.
#[test]
fn documented_paths_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut missing = Vec::new();
    for document in ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root.join(document)).expect("a document");
        for path in text.split('`').skip(1).step_by(2) {
            let is_path = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte));
            let of_library = path.starts_with("src/");
            let of_checkout =
                ["guest/", "host/", "tests/", "wit/", "docs/"].iter().any(|folder| path.starts_with(folder));
            if !is_path || !(of_library || of_checkout) {
                continue;
            }
            let found = if of_library { root.join("host/sandbucket").join(path) } else { root.join(path) };
            if !found.exists() {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
