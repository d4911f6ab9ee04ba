//! An OCI image layout with the component and the WIT package as the artifacts that `wkg` and wasmtime's embedders pull: media types
//! of the CNCF's Wasm OCI artifact, and the annotations that registries display. The layout is a part of the release, so that
//! the digests are known before it is pushed, by any tool that copies layouts (`skopeo`, `oras`, `crane`).

use std::path::Path;

use serde_json::{Map, Value, json};
use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldKey};

use super::files;
use super::release::{Plugin, Release};
use super::wit::Contract;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";

/// Annotation of a manifest in the layout's index: its repository and tag.
pub(super) const REFERENCE: &str = "org.opencontainers.image.ref.name";
pub(super) const REVISION: &str = "org.opencontainers.image.revision";

/// A file that registries serve.
pub(super) struct Artifact {
    /// Repository below the registry, as `wkg` derives it from a package's name: `NAMESPACE/NAME`.
    repository: String,
    title: String,
    description: String,
    licence: String,
    version: String,
    content: Vec<u8>,
    exports: Vec<String>,
    imports: Vec<String>,
}

impl Artifact {
    pub(super) fn of_component(plugin: &Plugin, content: Vec<u8>) -> Result<Artifact, String> {
        let decoded = wit_component::decode(&content).map_err(|error| format!("{}: {error:#}", plugin.name))?;
        let DecodedWasm::Component(resolve, world) = &decoded else {
            return Err(format!("{} is a WIT package", plugin.name));
        };
        let world = &resolve.worlds[*world];
        Ok(Artifact {
            // `sandbucket-s3` is the package `sandbucket:s3`.
            repository: plugin.name.replacen('-', "/", 1),
            title: plugin.name.clone(),
            description: plugin.description.clone(),
            licence: plugin.licence.clone(),
            version: plugin.version.clone(),
            exports: names(resolve, world.exports.keys()),
            imports: names(resolve, world.imports.keys()),
            content,
        })
    }

    pub(super) fn of_contract(contract: &Contract, release: &Release, content: Vec<u8>) -> Result<Artifact, String> {
        let decoded = wit_component::decode(&content).map_err(|error| format!("the contract: {error:#}"))?;
        let DecodedWasm::WitPackage(resolve, package) = &decoded else {
            return Err("the contract was encoded as a component".to_owned());
        };
        let interfaces = resolve.packages[*package].interfaces.values();
        Ok(Artifact {
            repository: format!("{}/{}", contract.namespace, contract.name),
            title: format!("{}:{}", contract.namespace, contract.name),
            description: super::wit::DESCRIPTION.to_owned(),
            licence: release.licence.clone(),
            version: contract.version.clone(),
            exports: interfaces.filter_map(|&interface| resolve.id_of(interface)).collect(),
            imports: Vec::new(),
            content,
        })
    }
}

/// Names of a world's imports or exports, sorted.
fn names<'a>(resolve: &Resolve, keys: impl Iterator<Item = &'a WorldKey>) -> Vec<String> {
    let mut names: Vec<String> = keys.map(|key| resolve.name_world_key(key)).collect();
    names.sort();
    names
}

/// Writes the layout: blobs by digest, and an index with a manifest for each artifact.
pub(super) fn write_layout(folder: &Path, release: &Release, artifacts: &[Artifact]) -> Result<(), String> {
    let blob = |media_type: &str, content: &[u8]| -> Result<Value, String> {
        let digest = files::sha256(content);
        files::write(&folder.join("blobs/sha256").join(&digest), content)?;
        Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len() }))
    };
    let mut manifests = Vec::new();
    for artifact in artifacts {
        let layer = blob(LAYER, &artifact.content)?;
        let config = json!({
            "created": release.created,
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer["digest"]],
            "component": { "exports": artifact.exports, "imports": artifact.imports, "target": null },
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blob(CONFIG, config.to_string().as_bytes())?,
            "layers": [layer],
            "annotations": annotations(release, artifact),
        });
        let mut descriptor = blob(MANIFEST, manifest.to_string().as_bytes())?;
        descriptor["annotations"] = json!({
            REFERENCE: format!("{}:{}", artifact.repository, tag(&artifact.version)),
            REVISION: release.revision,
        });
        manifests.push(descriptor);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    files::write(&folder.join("index.json"), index.to_string().as_bytes())?;
    files::write(&folder.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string().as_bytes())
}

/// A tag has no `+`; `wkg` writes `_` for it.
fn tag(version: &str) -> String {
    version.replace('+', "_")
}

fn annotations(release: &Release, artifact: &Artifact) -> Value {
    let mut annotations = Map::new();
    let mut add = |name: &str, value: &str| {
        annotations.insert(format!("org.opencontainers.image.{name}"), value.into());
    };
    add("title", &artifact.title);
    add("description", &artifact.description);
    add("version", &artifact.version);
    add("licenses", &artifact.licence);
    add("revision", &release.revision);
    add("created", &release.created);
    if let Some(source) = &release.source {
        add("source", source);
    }
    annotations.into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dist::{metadata, release, wit};

    /// Writes the layout of this checkout's component and contract.
    pub(in crate::dist) fn layout(folder: &Path, release: &Release) {
        let plugins = [release::tests::s3()];
        let contract = wit::package(&crate::root().join("wit")).unwrap();
        let artifacts = [
            Artifact::of_component(&plugins[0], metadata::component(release, &plugins[0]).unwrap()).unwrap(),
            Artifact::of_contract(&contract, release, metadata::contract(release, &contract).unwrap()).unwrap(),
        ];
        write_layout(folder, release, &artifacts).unwrap();
    }

    fn json_of(folder: &Path, digest: &Value) -> Value {
        let digest = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        let content = crate::read(&folder.join("blobs/sha256").join(digest)).unwrap();
        assert_eq!(files::sha256(&content), digest);
        serde_json::from_slice(&content).unwrap()
    }

    #[test]
    fn layout_has_the_media_types_and_annotations_of_wasm_artifacts() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, release) = (folder.path(), release::tests::release());
        layout(folder, &release);
        let index: Value = serde_json::from_slice(&crate::read(&folder.join("index.json")).unwrap()).unwrap();
        let expected = [
            ("sandbucket/s3:", "sandbucket-s3", "sandbucket:blob/sans-io@", "wasi:http/outgoing-handler@0.2.0"),
            ("sandbucket/blob:", "sandbucket:blob", "sandbucket:blob/store@", ""),
        ];
        for (at, (reference, title, export, import)) in expected.into_iter().enumerate() {
            let descriptor = &index["manifests"][at];
            assert!(descriptor["annotations"][REFERENCE].as_str().unwrap().starts_with(reference));
            let manifest = json_of(folder, &descriptor["digest"]);
            let annotation = |name: &str| manifest["annotations"][format!("org.opencontainers.image.{name}")].clone();
            assert_eq!(annotation("title"), title);
            assert_eq!(annotation("revision"), release.revision);
            assert_eq!(annotation("created"), "2026-01-01T00:00:00Z");
            assert_eq!(annotation("licenses"), "MIT OR Apache-2.0");
            assert_eq!(annotation("source"), "https://git.example/sandbucket");
            assert!(annotation("description").as_str().unwrap().len() > 20);

            assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
            assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
            let config = json_of(folder, &manifest["config"]["digest"]);
            assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
            assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
            let has = |list: &str, name: &str| {
                config["component"][list]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|found| found.as_str().unwrap().starts_with(name))
            };
            assert!(has("exports", export), "{config}");
            assert_eq!(has("imports", "wasi:http"), !import.is_empty(), "{config}");
        }
    }
}
