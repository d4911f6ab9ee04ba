//! Tests of the built component: imports, exports and size.

use std::collections::BTreeMap;

use sandbucket_tests::{engine, run};
use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType, ComponentInstanceTypeId};
use wasmparser::{ComponentExternalKind, ComponentTypeRef, Parser, Payload, Validator};

/// In bytes. Every user downloads, compiles and stores it.
const MAX_SIZE: usize = 1024 * 1024;

/// All interfaces that the plugin may import. It need not use each; adding one widens the sandbox.
const MAY_IMPORT: [&str; 7] = [
    "wasi:clocks/monotonic-clock@0.2.0",
    "wasi:clocks/wall-clock@0.2.0",
    "wasi:http/outgoing-handler@0.2.0",
    "wasi:http/types@0.2.0",
    "wasi:io/error@0.2.0",
    "wasi:io/poll@0.2.0",
    "wasi:io/streams@0.2.0",
];

/// Imported or exported interfaces by name, with their functions.
type Interfaces = BTreeMap<String, Vec<String>>;

/// The imports and exports of the component itself, without those of nested components.
fn outside(component: &[u8]) -> (Interfaces, Interfaces) {
    let types = Validator::new().validate_all(component).expect("a valid component");
    let types = types.as_ref();
    let functions = |id: ComponentInstanceTypeId| {
        let exports = types[id].exports.iter();
        let is_function = |entity: &ComponentEntityType| matches!(entity, ComponentEntityType::Func(_));
        exports.filter(|(_, item)| is_function(&item.ty)).map(|(name, _)| name.clone()).collect()
    };
    let (mut imports, mut exports, mut depth) = (Interfaces::new(), Interfaces::new(), 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.expect("a well-formed component") {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.expect("an import");
                    let ComponentTypeRef::Instance(index) = import.ty else { panic!("{import:?} is no interface") };
                    let ComponentAnyTypeId::Instance(id) = types.component_any_type_at(index) else {
                        panic!("{import:?} is no interface")
                    };
                    imports.insert(import.name.name.to_owned(), functions(id));
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.expect("an export");
                    assert_eq!(export.kind, ComponentExternalKind::Instance, "{export:?} is no interface");
                    exports.insert(export.name.name.to_owned(), functions(types.component_instance_at(export.index)));
                }
            }
            _ => {}
        }
    }
    (imports, exports)
}

#[test]
fn imports_are_http_streams_and_clocks() {
    let (imports, _) = outside(sandbucket::PLUGIN);
    for name in imports.keys() {
        assert!(MAY_IMPORT.contains(&name.as_str()), "the component imports {name}");
    }
    // An S3 client imports these; otherwise this test reads the wrong component.
    assert_eq!(imports["wasi:http/outgoing-handler@0.2.0"], ["handle"]);
    assert!(!imports["wasi:clocks/wall-clock@0.2.0"].is_empty());
}

#[test]
fn engine_reports_the_imports() {
    let (imports, _) = outside(sandbucket::PLUGIN);
    assert_eq!(engine().imports(), imports.into_keys().collect::<Vec<_>>());
}

#[test]
fn exports_are_those_of_the_contract() {
    let (_, exports) = outside(sandbucket::PLUGIN);
    assert_eq!(
        exports.keys().collect::<Vec<_>>(),
        [
            "sandbucket:blob/buckets@0.2.0",
            "sandbucket:blob/listing@0.2.0",
            "sandbucket:blob/multipart@0.2.0",
            "sandbucket:blob/sans-io@0.2.0",
            "sandbucket:blob/store@0.2.0",
            "sandbucket:blob/types@0.2.0",
        ]
    );
    let functions = &exports["sandbucket:blob/store@0.2.0"];
    for wanted in [
        "settings",
        "attributes",
        "[static]store.open",
        "[method]store.wanted-digests",
        "[method]store.head",
        "[method]store.get",
        "[method]store.open-get",
        "[method]store.put",
        "[method]store.open-put",
        "[method]store.delete",
        "[method]store.delete-many",
        "[method]store.list",
        "[method]store.list-versions",
        "[method]store.copy",
        "[method]store.presign",
        "[method]store.get-tags",
        "[method]store.set-tags",
        "[method]store.create-upload",
        "[method]store.upload-part",
        "[method]store.open-part",
        "[method]store.copy-part",
        "[method]store.list-parts",
        "[method]store.complete-upload",
        "[method]store.abort-upload",
        "[method]store.list-uploads",
        "[method]store.create-bucket",
        "[method]store.delete-bucket",
        "[method]store.bucket-exists",
        "[method]store.list-buckets",
        "[method]body-reader.head",
        "[method]body-reader.body",
        "[method]body-writer.body",
        "[method]body-writer.finish",
    ] {
        assert!(functions.iter().any(|name| name == wanted), "{wanted} is missing from {functions:?}");
    }
    // These exports show the host that the plugin is sans-I/O.
    assert_eq!(exports["sandbucket:blob/sans-io@0.2.0"], ["begin", "resume"]);
    for types in ["buckets", "listing", "multipart", "types"] {
        assert_eq!(exports[&format!("sandbucket:blob/{types}@0.2.0")], [""; 0], "{types}");
    }
}

#[test]
fn size_is_within_the_limit() {
    let size = sandbucket::PLUGIN.len();
    assert!(size <= MAX_SIZE, "the component has {size} bytes, {} above the limit", size - MAX_SIZE);
}

#[test]
fn settings_are_documented() {
    run(async {
        let settings = engine().settings().await.unwrap();
        let names: Vec<&str> = settings.iter().map(|setting| setting.name.as_str()).collect();
        for wanted in [
            "bucket",
            "region",
            "access-key",
            "secret-key",
            "endpoint",
            "security-token",
            "timeout",
            "max-retries",
            "key-prefix",
            "verify-after-write",
            "addressing-style",
            "payload-signing",
            "checksum",
            "dual-stack",
            "fips",
            "accelerate",
            "storage-class",
            "acl",
            "server-side-encryption",
            "sse-kms-key-id",
            "sse-bucket-key",
            "sse-customer-key",
            "allow-insecure-sse-customer-key",
            "request-payer",
            "expected-bucket-owner",
        ] {
            assert!(names.contains(&wanted), "{wanted} is missing from {names:?}");
        }
        for setting in &settings {
            assert!(setting.help.len() > 10 && !setting.help.contains('\n'), "{setting:?}");
            let hidden = ["secret-key", "security-token", "sse-customer-key"].contains(&setting.name.as_str());
            assert_eq!(setting.secret, hidden, "{setting:?}");
            assert_eq!(setting.required, setting.name == "bucket", "{setting:?}");
        }
        let token = settings.iter().find(|setting| setting.name == "security-token").unwrap();
        assert!(token.aliases.iter().any(|alias| alias == "session-token"), "{token:?}");
    });
}
