//! The plugins that the library contains ([`BuiltIn`]), and the sources of others: files of components.

use std::path::PathBuf;

// Statics, and no constants: of these each codegen unit that uses one has a copy, 10 MB in all in the command.

/// The built-in plugin for S3, as a component: that of [`BuiltIn::S3`].
pub static PLUGIN: &[u8] = include_bytes!(env!("SANDBUCKET_COMPONENT"));

/// The built-in plugin for Azure Blob Storage, as a component.
static AZURE: &[u8] = include_bytes!(env!("SANDBUCKET_AZURE_COMPONENT"));

/// A plugin that the library contains.
///
/// ```
/// use sandbucket::BuiltIn;
///
/// assert_eq!(BuiltIn::named("s3"), Some(BuiltIn::S3));
/// assert_eq!(BuiltIn::S3.name(), "s3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuiltIn {
    /// Amazon S3 and services that are compatible with it.
    S3,
    /// Azure Blob Storage.
    Azure,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: &[BuiltIn] = &[BuiltIn::S3, BuiltIn::Azure];

    /// The name, as in a configuration: `s3`, `azure`.
    pub fn name(self) -> &'static str {
        match self {
            BuiltIn::S3 => "s3",
            BuiltIn::Azure => "azure",
        }
    }

    /// The plugin of this name.
    pub fn named(name: &str) -> Option<BuiltIn> {
        BuiltIn::ALL.iter().copied().find(|plugin| plugin.name() == name)
    }

    /// The component.
    pub fn component(self) -> &'static [u8] {
        match self {
            BuiltIn::S3 => PLUGIN,
            BuiltIn::Azure => AZURE,
        }
    }
}

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PluginSource {
    BuiltIn(BuiltIn),
    /// The file of a component.
    File(PathBuf),
}

impl Default for PluginSource {
    fn default() -> Self {
        PluginSource::BuiltIn(BuiltIn::S3)
    }
}
