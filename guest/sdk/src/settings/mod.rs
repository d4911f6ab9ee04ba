//! Settings of a store: their table, which documents them to hosts and people, and the values that a store is opened with.
//!
//! A plugin has a `const` table of [`Setting`]s. [`SettingValues`] looks up what the host gives, rejects what is unknown or given
//! twice, and parses values with messages that name the setting and never its value where that may be a secret.

pub mod duration;
mod values;

pub use values::{DEFAULT_TIMEOUT, HOST_SETTINGS, Secret, SettingValues, malformed};

/// Syntax of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// As [`duration::parse`] reads it.
    Duration,
    /// One of the choices in the help text.
    Choice,
    /// A host, `host:port`, or an `http` or `https` URL, as [`crate::http::url::Url::parse`] reads it.
    Url,
}

/// A known setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Name in kebab-case.
    pub name: &'static str,
    /// Alternative names.
    pub aliases: &'static [&'static str],
    /// Syntax.
    pub kind: SettingKind,
    /// Default value.
    pub default: Option<&'static str>,
    /// Whether a store cannot be opened without it.
    pub required: bool,
    /// Whether the value must never be displayed or logged.
    pub secret: bool,
    /// Help text of one line: purpose, unit, limits and choices.
    pub help: &'static str,
}

impl Setting {
    /// An optional setting without aliases that is not secret.
    pub const fn new(name: &'static str, kind: SettingKind, default: Option<&'static str>, help: &'static str) -> Self {
        Setting { name, aliases: &[], kind, default, required: false, secret: false, help }
    }
}
