//! The key `plugin`: a built-in plugin by its name, or the file of a component.

use std::path::Path;
use std::sync::Arc;

use toml::de::DeValue;

use super::interpolate;
use super::reader::{Reader, kind};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::plugins::{BuiltIn, PluginSource};
use crate::sandbox::Plugin;

/// The ending of a component's file.
const ENDING: &str = ".wasm";

/// The plugin that a configuration names, and where.
#[derive(Clone)]
pub(crate) struct NamedPlugin {
    pub(crate) source: PluginSource,
    /// Whether a section's own name names it, and no key `plugin`.
    pub(crate) by_section: bool,
    path: Option<Arc<Path>>,
    line: Option<usize>,
    key: String,
}

impl NamedPlugin {
    /// Reads the value of `key`, which is on this line. None if it is blank.
    pub(crate) fn read(
        reader: &Reader<'_>,
        value: &DeValue<'_>,
        line: usize,
        key: String,
    ) -> Result<Option<NamedPlugin>> {
        let wrong = |message: String| reader.error(Some(line), Some(key.clone()), message);
        let DeValue::String(text) = value else {
            return Err(wrong(format!("expected {}, not {}", expected(), kind(value))));
        };
        let text = interpolate::interpolate(text, reader.environment).map_err(wrong)?;
        let text = text.trim();
        let source = match BuiltIn::named(text) {
            _ if text.is_empty() => return Ok(None),
            Some(built_in) => PluginSource::BuiltIn(built_in),
            None if text.ends_with(ENDING) || text.contains(std::path::is_separator) => {
                PluginSource::File(reader.beside(text))
            }
            None => return Err(wrong(format!("expected {}", expected()))),
        };
        Ok(Some(NamedPlugin { source, by_section: false, path: reader.path.clone(), line: Some(line), key }))
    }

    /// The plugin that a section names by its own name.
    pub(crate) fn of_section(
        reader: &Reader<'_>,
        plugin: BuiltIn,
        line: Option<usize>,
        section: String,
    ) -> NamedPlugin {
        let (source, path) = (PluginSource::BuiltIn(plugin), reader.path.clone());
        NamedPlugin { source, by_section: true, path, line, key: section }
    }

    /// Loads the plugin, unless the engine has it.
    ///
    /// # Errors
    /// [`Error::Config`], with the position.
    pub(crate) async fn load(&self, engine: &Engine) -> Result<Plugin> {
        let loaded = match &self.source {
            PluginSource::BuiltIn(built_in) => engine.built_in(*built_in).await,
            PluginSource::File(file) => engine.plugin_file(file).await,
        };
        loaded.map_err(|error| Error::Config {
            path: self.path.as_deref().map(Path::to_owned),
            line: self.line,
            key: Some(self.key.clone()),
            message: error.to_string(),
        })
    }
}

/// What the key may be.
pub(crate) fn expected() -> String {
    let names: String = BuiltIn::ALL.iter().map(|plugin| format!("\"{}\", ", plugin.name())).collect();
    format!("{names}or the path of a component, such as \"plugins/mine{ENDING}\"")
}
