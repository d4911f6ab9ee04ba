//! Tenants in configuration: a file with a table `[tenants.NAME]` for each, or a directory with a file `NAME.toml` for each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::de::{DeTable, DeValue};

use super::name::check_name;
use super::options::{MAX_WEIGHT, TenantOptions};
use super::value::Value;
use crate::config::{
    DEFAULT_STORE, Inherit, Lines, NamedPlugin, Reader, STORES, SandboxSection, StoreSection, expected, kind,
    listed as listed_stores, names, read_file, section_name,
};
use crate::engine::EngineBuilder;
use crate::error::{Error, Result};
use crate::limits::Budget;
use crate::support::environment::Environment;
use crate::support::input::MAX_CONFIG;
use crate::text::shown;

/// Maximum size of a file with all tenants, in bytes: 1.6 KiB for each of 10,000.
const MAX_FILE: u64 = 16 << 20;

/// Maximum number of tenants.
const MAX_TENANTS: usize = 65_536;

/// Maximum number of entries of a directory, other files included.
const MAX_ENTRIES: usize = 2 * MAX_TENANTS;

/// The parsed configuration of tenants.
///
/// A file has a table for each tenant, and may have others, which are ignored:
///
/// ```toml
/// [tenants.alice]
/// weight = 2                        # share beside other tenants that wait; default 1
/// plugin = "/opt/plugins/s3.wasm"   # or a built-in one by name; default: that of the store's section
///
/// [tenants.alice.store.blob.s3]     # its only store; the keys of [store.blob.NAME], see `Config`
/// bucket = "alice"
/// endpoint = "https://minio.internal:9000"
/// access-key = "alice"
/// secret-key = "%{file:/run/secrets/alice}%"
///
/// [tenants.alice.budget]            # see `Budget`
/// calls-per-second = 200
/// ```
///
/// A directory has one file `NAME.toml` for each tenant, with the same keys and tables without `tenants.NAME`: `weight`, `plugin`,
/// `[store.blob.s3]`, `[budget]`. Hidden files and those with other extensions are ignored.
///
/// A file without any tenants needs an empty `[tenants]` to be [applied](crate::Tenants::apply).
///
/// `[sandbox]` of a file has the limits of the [engine](TenantsConfig::engine), as for [`Config`](crate::Config). Other tables
/// of a tenant belong to the program, which reads them with [`section`](TenantsConfig::section).
///
/// A tenant's name has 1 to 63 of the characters `a-z`, `0-9`, `-`, `_` and `.`, and begins with none of `.` and `-`. All input
/// is bounded: a file may have 16 MiB (in a directory 1 MiB), there may be 65,536 tenants. Secrets are wiped from memory when
/// the configuration is dropped.
///
/// # Trust
/// As of [`Config`](crate::Config): a configuration belongs to the operator, and can read files and variables of this process. A
/// tenant takes nothing from the process by itself. Without keys it has to name their source, or is an error: a `profile`, from
/// which region, endpoint and certificate authorities come as well, or `credentials` with the value `"environment"` (all that
/// [`Config`](crate::Config#credentials) takes from there), `"aws"` or `"anonymous"`. A program that a profile names in
/// `credential_process` runs when the first of its tenants is checked or opened, once for all of them.
pub struct TenantsConfig {
    pub(super) tenants: BTreeMap<String, TenantConfig>,
    sandbox: SandboxSection,
    /// The file without a section `[tenants]`, if that is what was read.
    without: Option<Option<PathBuf>>,
}

/// One tenant's configuration.
pub(super) struct TenantConfig {
    pub(super) store: StoreSection,
    budget: Budget,
    weight: u32,
    /// Tables that the program reads.
    sections: Sections,
}

struct Sections {
    path: Option<Arc<Path>>,
    lines: Lines,
    /// Prepended to the names of the tables in errors.
    prefix: String,
    tables: Vec<(String, Value)>,
}

impl TenantsConfig {
    /// Reads a file, or all files of a directory. Blocks while it reads; no program runs.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and key. The plugin checks its own settings when the configuration is applied.
    pub fn load(path: impl AsRef<Path>) -> Result<TenantsConfig> {
        let (path, environment) = (path.as_ref(), Environment::of_process());
        if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            return TenantsConfig::directory(path, &environment);
        }
        let text = read_file(path, MAX_FILE)?;
        TenantsConfig::file(&Reader::new(Some(path), &text, &environment))
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// As [`load`](TenantsConfig::load).
    pub fn parse(text: &str) -> Result<TenantsConfig> {
        TenantsConfig::file(&Reader::new(None, text, &Environment::of_process()))
    }

    pub(super) fn file(reader: &Reader<'_>) -> Result<TenantsConfig> {
        let mut document = reader.document(MAX_FILE)?;
        let sandbox = SandboxSection::read(reader, &mut document.0)?;
        let mut tenants = BTreeMap::new();
        let found = reader.table(&mut document.0, &["tenants"], "tenants")?;
        let without = found.is_none().then(|| reader.path.as_deref().map(Path::to_owned));
        for (name, value) in found.into_iter().flat_map(|table| table.iter_mut()) {
            let (name, line) = (name.get_ref().as_ref(), reader.line(value.span().start));
            let key = if name.contains('.') {
                format!("tenants.\"{}\"", shown(name))
            } else {
                format!("tenants.{}", shown(name))
            };
            let wrong = |message: String| reader.error(Some(line), Some(key.clone()), message);
            check_name(name).map_err(wrong)?;
            check_count(tenants.len()).map_err(wrong)?;
            let tenant = match value.get_mut() {
                DeValue::Table(table) => TenantConfig::read(reader, &format!("{key}."), Some(line), table)?,
                other => return Err(wrong(format!("expected the section [{key}], not {}", kind(other)))),
            };
            tenants.insert(name.to_owned(), tenant);
        }
        Ok(TenantsConfig { tenants, sandbox, without })
    }

    fn directory(folder: &Path, environment: &Environment) -> Result<TenantsConfig> {
        let at = |path: &Path, message: String| Error::Config {
            path: Some(path.to_owned()),
            line: None,
            key: None,
            message,
        };
        let unreadable = |error: std::io::Error| at(folder, format!("the directory cannot be read: {error}"));
        let mut files: Vec<PathBuf> = Vec::new();
        for (index, entry) in fs::read_dir(folder).map_err(unreadable)?.enumerate() {
            if index >= MAX_ENTRIES {
                return Err(at(folder, format!("the directory has more than {MAX_ENTRIES} entries")));
            }
            let path = entry.map_err(unreadable)?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_hidden && path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let mut tenants = BTreeMap::new();
        for path in files {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            check_name(name).and_then(|()| check_count(tenants.len())).map_err(|message| at(&path, message))?;
            let text = read_file(&path, MAX_CONFIG)?;
            let reader = Reader::new(Some(&path), &text, environment);
            let mut document = reader.document(MAX_CONFIG)?;
            let tenant = TenantConfig::read(&reader, "", None, &mut document.0)?;
            tenants.insert(name.to_owned(), tenant);
        }
        Ok(TenantsConfig { tenants, sandbox: SandboxSection::default(), without: None })
    }

    /// Fails if a file has no section `[tenants]`: an empty file, or one that is being written, must not remove all tenants.
    pub(super) fn check(&self) -> Result<()> {
        match &self.without {
            None => Ok(()),
            Some(path) => Err(Error::Config {
                path: path.clone(),
                line: None,
                key: None,
                message: "there is no section [tenants]; an empty one means no tenants".to_owned(),
            }),
        }
    }

    /// The names of the tenants, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tenants.keys().map(String::as_str)
    }

    /// Returns a builder of an engine with the limits and the plugin of `[sandbox]`; of a directory, with the defaults.
    pub fn engine(&self) -> EngineBuilder {
        self.sandbox.engine()
    }

    /// Deserializes a table of a tenant that the library does not read itself, such as `[tenants.NAME.gateway]`. In its texts,
    /// `%{env:NAME}%` and `%{file:PATH}%` are interpolated as in a store's settings. `None` if there is no such tenant or
    /// table.
    ///
    /// ```
    /// # fn main() -> sandbucket::Result<()> {
    /// #[derive(serde::Deserialize)]
    /// struct Contact {
    ///     mail: String,
    /// }
    ///
    /// let config = sandbucket::TenantsConfig::parse(
    ///     "[tenants.alice.store.blob.s3]\n\
    ///      bucket = 'alice'\n\
    ///      access-key = 'k'\n\
    ///      secret-key = 's'\n\
    ///      [tenants.alice.contact]\n\
    ///      mail = 'alice@example.com'\n",
    /// )?;
    /// let contact: Option<Contact> = config.section("alice", "contact")?;
    /// assert_eq!(contact.unwrap().mail, "alice@example.com");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and key. Values are not part of it, unless `T`'s own errors contain them.
    pub fn section<T: DeserializeOwned>(&self, tenant: &str, section: &str) -> Result<Option<T>> {
        self.tenants.get(tenant).map_or(Ok(None), |tenant| tenant.sections.deserialize(section))
    }

    /// Checks that no tenant has other tables of its own than these, so that a misspelled one is not ignored.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and key of the first.
    pub fn check_sections(&self, known: &[&str]) -> Result<()> {
        for Sections { path, lines, prefix, tables } in self.tenants.values().map(|tenant| &tenant.sections) {
            if let Some((name, value)) = tables.iter().find(|(name, _)| !known.contains(&name.as_str())) {
                return Err(Error::Config {
                    path: path.as_deref().map(Path::to_owned),
                    line: Some(lines.line(value.offset)),
                    key: Some(format!("{prefix}{}", shown(name))),
                    message: format!("unknown section; expected `store`, `budget`{}", listed(known)),
                });
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for TenantsConfig {
    /// Shows names only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantsConfig").field("tenants", &self.tenants.keys()).finish_non_exhaustive()
    }
}

fn check_count(count: usize) -> std::result::Result<(), String> {
    if count < MAX_TENANTS { Ok(()) } else { Err(format!("more than {MAX_TENANTS} tenants")) }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!(", `{name}`")).collect()
}

impl TenantConfig {
    /// Reads a tenant's table. `prefix` is prepended to its keys in errors.
    fn read(reader: &Reader<'_>, prefix: &str, line: Option<usize>, table: &mut DeTable<'_>) -> Result<TenantConfig> {
        let key = (!prefix.is_empty()).then(|| prefix.trim_end_matches('.').to_owned());
        let plugin = plugin(reader, prefix, table)?;
        let stores = names(reader, table, prefix)?;
        let store = match &stores[..] {
            [] => DEFAULT_STORE,
            [only] => only,
            several => {
                let message = format!("a tenant has one store, and here are several: {}", listed_stores(several));
                return Err(reader.error(line, key, message));
            }
        };
        let (path, name) = ([STORES[0], STORES[1], store], section_name(prefix, store));
        let begins = reader.begins(table, &path).or(line);
        let Some(section) = reader.section(table, &path, &name)? else {
            return Err(reader.error(line, key, format!("there is no section [{name}]")));
        };
        let store = StoreSection::read(reader, (store, &name), plugin, section, begins, Inherit::IfNamed)?;
        let budget = budget(reader, prefix, table)?;
        let weight = weight(reader, prefix, table)?;
        let mut tables = Vec::new();
        for (name, value) in table.iter().filter(|(name, _)| name.get_ref() != STORES[0]) {
            let key = Some(format!("{prefix}{}", shown(name.get_ref())));
            if !value.get_ref().is_table() {
                let line = reader.line(name.span().start);
                return Err(reader.error(Some(line), key, "unknown key; expected `weight`, `plugin`, or a section"));
            }
            let value = Value::of(value)
                .map_err(|error| reader.error(error.offset.map(|at| reader.line(at)), key, error.to_string()))?;
            tables.push((name.get_ref().clone().into_owned(), value));
        }
        let sections =
            Sections { path: reader.path.clone(), lines: reader.lines().clone(), prefix: prefix.to_owned(), tables };
        Ok(TenantConfig { store, budget, weight, sections })
    }

    /// Options for the registry.
    pub(super) fn options(&self) -> Result<TenantOptions> {
        Ok(TenantOptions::new(self.store.options(&[])?).budget(self.budget.clone()).weight(self.weight))
    }
}

/// Takes the table `budget` out of a tenant's table.
fn budget(reader: &Reader<'_>, prefix: &str, table: &mut DeTable<'_>) -> Result<Budget> {
    let name = format!("{prefix}budget");
    let Some(section) = reader.section(table, &["budget"], &name)?.map(std::mem::take) else {
        return Ok(Budget::default());
    };
    table.remove("budget");
    let mut values = toml::Table::new();
    let mut lines = BTreeMap::new();
    for (key, value) in section {
        let (key, line) = (key.into_inner().into_owned(), reader.line(value.span().start));
        lines.insert(key.clone(), line);
        // One at a time, so that an error has a line.
        let read = toml::Value::deserialize(value.into_deserializer()).and_then(|value| {
            values.insert(key.clone(), value.clone());
            Budget::deserialize(toml::Table::from_iter([(key.clone(), value)]))
        });
        if let Err(error) = read {
            return Err(reader.error(Some(line), Some(format!("{name}.{}", shown(&key))), error.message()));
        }
    }
    let budget = Budget::deserialize(values)
        .map_err(|error| reader.error(None, Some(name.clone()), error.message().to_owned()))?;
    budget.check().map_err(|at_odds| {
        let line = lines.get(at_odds.name).copied();
        reader.error(line, Some(format!("{name}.{}", at_odds.name)), at_odds.message)
    })?;
    Ok(budget)
}

/// Takes the weight out of a tenant's table.
fn weight(reader: &Reader<'_>, prefix: &str, table: &mut DeTable<'_>) -> Result<u32> {
    let Some(value) = table.remove("weight") else { return Ok(1) };
    let line = reader.line(value.span().start);
    match toml::Value::deserialize(value.into_deserializer()) {
        Ok(toml::Value::Integer(weight)) if (1..=i64::from(MAX_WEIGHT)).contains(&weight) => Ok(weight as u32),
        _ => {
            let message = format!("expected a number from 1 to {MAX_WEIGHT}");
            Err(reader.error(Some(line), Some(format!("{prefix}weight")), message))
        }
    }
}

/// Takes the plugin out of a tenant's table.
fn plugin(reader: &Reader<'_>, prefix: &str, table: &mut DeTable<'_>) -> Result<Option<NamedPlugin>> {
    let Some(value) = table.remove("plugin") else { return Ok(None) };
    let (line, key) = (reader.line(value.span().start), format!("{prefix}plugin"));
    let named = NamedPlugin::read(reader, value.get_ref(), line, key.clone())?;
    let blank = || reader.error(Some(line), Some(key), format!("it is blank; expected {}", expected()));
    named.map(Some).ok_or_else(blank)
}

impl Sections {
    fn deserialize<T: DeserializeOwned>(&self, section: &str) -> Result<Option<T>> {
        let Some((_, value)) = self.tables.iter().find(|(name, _)| name == section) else { return Ok(None) };
        let mut value = value.clone();
        let interpolated = value.interpolate(&Environment::of_process());
        let read = interpolated.and_then(|()| value.read());
        read.map(Some).map_err(|error| Error::Config {
            path: self.path.as_deref().map(Path::to_owned),
            line: error.offset.map(|offset| self.lines.line(offset)),
            key: Some(error.key(&format!("{}{section}", self.prefix))),
            message: error.to_string(),
        })
    }
}
