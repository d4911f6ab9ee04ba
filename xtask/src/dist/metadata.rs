//! Metadata of a component, in custom sections that registries and `wasm-tools metadata show` read. They follow the component: what
//! a host runs stays as it is, byte for byte.

use std::fmt::Display;

use wasm_metadata::{AddMetadata, AddMetadataField, Description, Licenses, Revision, Source, Version};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use super::release::{Plugin, Release};
use super::wit::Contract;

/// The sections that may follow a component.
const SECTIONS: [&str; 6] = ["component-name", "description", "licenses", "revision", "source", "version"];

/// What a section has.
struct About<'a> {
    name: Option<&'a str>,
    description: &'a str,
    licence: &'a str,
    version: &'a str,
}

/// The plugin with its metadata.
pub(super) fn component(release: &Release, plugin: &Plugin) -> Result<Vec<u8>, String> {
    let Plugin { name, description, licence, version, .. } = plugin;
    let prebuilt = crate::read(&plugin.file)?;
    add(&prebuilt, release, &About { name: Some(name), description, licence, version })
        .map_err(|error| format!("the metadata of {}: {error}", plugin.file.display()))
}

/// The contract with its metadata. Its name is in its exports.
pub(super) fn contract(release: &Release, contract: &Contract) -> Result<Vec<u8>, String> {
    let about = About {
        name: None,
        description: super::wit::DESCRIPTION,
        licence: &release.licence,
        version: &contract.version,
    };
    add(&contract.component, release, &about).map_err(|error| format!("the metadata of the contract: {error}"))
}

fn add(component: &[u8], release: &Release, about: &About<'_>) -> Result<Vec<u8>, String> {
    use AddMetadataField::Set;

    let mut metadata = AddMetadata::default();
    if let Some(name) = about.name {
        metadata.name = Set(name.to_owned());
    }
    metadata.description = Set(Description::new(about.description.to_owned()));
    metadata.licenses = Set(Licenses::new(about.licence).map_err(text)?);
    metadata.version = Set(Version::new(about.version.to_owned()));
    metadata.revision = Set(Revision::new(release.revision.clone()));
    if let Some(source) = &release.source {
        metadata.source = Set(Source::new(source).map_err(text)?);
    }
    let annotated = metadata.to_wasm(component).map_err(text)?;
    is_followed_by_metadata(component, &annotated)?;
    let mut validator = Validator::new_with_features(WasmFeatures::default());
    validator.validate_all(&annotated).map_err(|error| error.to_string())?;
    Ok(annotated)
}

/// Checks that a component begins another one, and that only sections of metadata follow.
fn is_followed_by_metadata(component: &[u8], annotated: &[u8]) -> Result<(), String> {
    if !annotated.starts_with(component) {
        return Err("the component itself was changed".to_owned());
    }
    for payload in Parser::new(0).parse_all(annotated) {
        let payload = payload.map_err(|error| error.to_string())?;
        let Some((id, _)) = payload.as_section().filter(|(_, range)| range.start >= component.len()) else {
            continue;
        };
        match &payload {
            Payload::CustomSection(section) if SECTIONS.contains(&section.name()) => {}
            Payload::CustomSection(section) => return Err(format!("the section {} was added", section.name())),
            _ => return Err(format!("a section of kind {id} was added")),
        }
    }
    Ok(())
}

/// With the causes of the error.
fn text(error: impl Display) -> String {
    format!("{error:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::release::{self, tests::release};
    use wasm_metadata::Payload as Described;

    #[test]
    fn metadata_follows_the_prebuilt_plugin_which_stays_as_it_is() {
        let plugins = [release::tests::s3()];
        let prebuilt = crate::read(&plugins[0].file).unwrap();
        let annotated = component(&release(), &plugins[0]).unwrap();
        assert_eq!(annotated[..prebuilt.len()], prebuilt);

        let Described::Component { metadata, .. } = Described::from_binary(&annotated).unwrap() else {
            panic!("a module")
        };
        let shown = |field: Option<String>| field.expect("a field is missing");
        assert_eq!(metadata.name.as_deref(), Some("sandbucket-s3"));
        assert_eq!(shown(metadata.version.map(|field| field.to_string())), plugins[0].version);
        assert_eq!(shown(metadata.description.map(|field| field.to_string())), plugins[0].description);
        assert_eq!(shown(metadata.licenses.map(|field| field.to_string())), "MIT OR Apache-2.0");
        assert_eq!(shown(metadata.source.map(|field| field.to_string())), "https://git.example/sandbucket");
        assert_eq!(shown(metadata.revision.map(|field| field.to_string())), release().revision);
    }

    #[test]
    fn change_of_the_component_or_another_section_is_an_error() {
        let plugins = [release::tests::s3()];
        let prebuilt = crate::read(&plugins[0].file).unwrap();
        let annotated = component(&release(), &plugins[0]).unwrap();
        assert_eq!(is_followed_by_metadata(&prebuilt, &annotated), Ok(()));

        let mut changed = annotated.clone();
        changed[prebuilt.len() / 2] ^= 1;
        assert!(is_followed_by_metadata(&prebuilt, &changed).unwrap_err().contains("changed"));
        // A custom section with the name `x`, and an empty section of types.
        for section in [&[0, 2, 1, b'x'][..], &[7, 1, 0]] {
            let more = [&annotated[..], section].concat();
            assert!(is_followed_by_metadata(&prebuilt, &more).unwrap_err().contains("added"), "{section:?}");
        }
    }
}
