//! The section `[sandbox]`: the limits of the host, and what an engine is built with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue};

use super::reader::{Reader, kind};
use crate::engine::{Engine, EngineBuilder};
use crate::error::Result;
use crate::limits::Limits;
use crate::text::shown;

/// The section `[sandbox]`.
#[derive(Default)]
pub(crate) struct SandboxSection {
    pub(super) limits: Limits,
    pub(super) networks: Vec<IpNet>,
    pub(super) plugin: Option<PathBuf>,
    pub(super) cache_dir: Option<PathBuf>,
}

impl SandboxSection {
    /// Takes the section out of a document.
    pub(crate) fn read(reader: &Reader<'_>, document: &mut DeTable<'_>) -> Result<SandboxSection> {
        let mut section = reader.section(document, &["sandbox"], "sandbox")?.map(std::mem::take).unwrap_or_default();
        let networks = networks(reader, &mut section)?;
        limits(reader, section, networks)
    }

    /// Returns a builder of an engine with the configured limits and plugin.
    pub(crate) fn engine(&self) -> EngineBuilder {
        let mut builder = Engine::builder().limits(self.limits.clone()).allow_networks(self.networks.iter().copied());
        if let Some(file) = &self.plugin {
            builder = builder.plugin_file(file);
        }
        if let Some(folder) = &self.cache_dir {
            builder = builder.cache_dir(folder);
        }
        builder
    }
}

/// Takes `allow-networks` out of the section `[sandbox]`.
fn networks(reader: &Reader<'_>, section: &mut DeTable<'_>) -> Result<Vec<IpNet>> {
    let Some(value) = section.remove("allow-networks") else { return Ok(Vec::new()) };
    let line = reader.line(value.span().start);
    let networks: std::result::Result<Vec<IpNet>, String> = match value.into_inner() {
        DeValue::Array(networks) => networks.iter().map(|value| network(value.get_ref())).collect(),
        other => Err(format!("expected a list of networks such as [\"10.20.0.0/24\"], not {}", kind(&other))),
    };
    networks.map_err(|message| reader.error(Some(line), Some("sandbox.allow-networks".to_owned()), message))
}

/// Parses the rest of the section.
fn limits(reader: &Reader<'_>, mut section: DeTable<'_>, networks: Vec<IpNet>) -> Result<SandboxSection> {
    let mut path = |name: &str| match section.remove(name) {
        None => Ok(None),
        Some(value) => {
            let line = reader.line(value.span().start);
            match value.into_inner() {
                DeValue::String(text) if text.trim().is_empty() => Ok(None),
                DeValue::String(text) => Ok(Some(reader.beside(&text))),
                other => {
                    let message = format!("expected a path, not {}", kind(&other));
                    Err(reader.error(Some(line), Some(format!("sandbox.{name}")), message))
                }
            }
        }
    };
    let (plugin, cache_dir) = (path("plugin")?, path("cache-dir")?);
    let mut table = toml::Table::new();
    let mut lines = BTreeMap::new();
    for (name, value) in section {
        let (name, line) = (name.into_inner().into_owned(), reader.line(value.span().start));
        lines.insert(name.clone(), line);
        // One at a time, so that an error has a line.
        let read = toml::Value::deserialize(value.into_deserializer()).and_then(|value| {
            table.insert(name.clone(), value.clone());
            Limits::deserialize(toml::Table::from_iter([(name.clone(), value)]))
        });
        if let Err(error) = read {
            return Err(reader.error(Some(line), Some(format!("sandbox.{}", shown(&name))), error.message()));
        }
    }
    let limits = Limits::deserialize(table)
        .map_err(|error| reader.error(None, Some("sandbox".to_owned()), error.message().to_owned()))?;
    limits.check().map_err(|at_odds| {
        let line = lines.get(at_odds.name).copied();
        reader.error(line, Some(format!("sandbox.{}", at_odds.name)), at_odds.message)
    })?;
    Ok(SandboxSection { limits, networks, plugin, cache_dir })
}

/// Parses a network in CIDR notation.
fn network(value: &DeValue<'_>) -> std::result::Result<IpNet, String> {
    let text =
        value.as_str().ok_or_else(|| format!("expected a network such as \"10.20.0.0/24\", not {}", kind(value)))?;
    text.parse().map_err(|_| {
        format!("\"{}\" is no network; one is an address and a length, as in \"10.20.0.0/24\"", shown(text))
    })
}
