//! Settings of a store: their table, which documents them to hosts and people, and the values that a store is opened with.
//!
//! A plugin has a `const` table of [`Setting`]s. [`SettingValues`] looks up what the host gives, rejects what is unknown or given
//! twice, and parses values with messages that name the setting and never its value where that may be a secret.

pub mod duration;
mod values;

pub use values::{DEFAULT_COMPLETION_TIMEOUT, DEFAULT_TIMEOUT, HOST_SETTINGS, Secret, SettingValues, malformed};

/// Syntax of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// A known setting: a row of [`Service::SETTINGS`](crate::Service::SETTINGS).
///
/// ```
/// use sandbucket_plugin::{Setting, SettingKind};
///
/// const SETTINGS: &[Setting] = &[
///     Setting::new("endpoint", SettingKind::Url, None, "The service.").required(),
///     Setting::new("password", SettingKind::Text, None, "The user's password.").secret().aliases(&["secret-key"]),
///     Setting::TIMEOUT,
///     Setting::MAX_RETRIES,
/// ];
/// assert!(SETTINGS[0].required && SETTINGS[1].secret);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
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

    /// One without which a store cannot be opened.
    pub const fn required(self) -> Self {
        Setting { required: true, ..self }
    }

    /// One whose value must never be displayed or logged.
    pub const fn secret(self) -> Self {
        Setting { secret: true, ..self }
    }

    /// One with these alternative names.
    pub const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Setting { aliases, ..self }
    }

    /// The setting `timeout`, which [`SettingValues::timeout`] parses, for [`Config::timeout`](crate::Config::timeout).
    pub const TIMEOUT: Setting = Setting::new(
        "timeout",
        SettingKind::Duration,
        Some("30s"),
        "Maximum time without progress, per attempt: above 0, at most 24h. A call without a time limit of its own takes at \
         most 10m.",
    );

    /// The setting `max-retries`, which [`SettingValues::max_retries`] parses, for
    /// [`Config::max_retries`](crate::Config::max_retries).
    pub const MAX_RETRIES: Setting = Setting::new(
        "max-retries",
        SettingKind::Integer,
        Some("8"),
        "Maximum number of retries of a failed request that can be repeated safely, from 0 to 100. The backoff is 0.1 s, 0.2 s, \
         0.4 s and so on up to 20 s, the upper half of each as jitter: 8 retries outlast an outage of 12 s.",
    );

    /// The setting `retry-mode`, which the host implements: an instance does not know the requests of others.
    /// [`SettingValues::retry_mode`] validates it.
    pub const RETRY_MODE: Setting = Setting::new(
        "retry-mode",
        SettingKind::Choice,
        Some("standard"),
        "Whether the host also limits the request rate of a store that the service throttles: standard (no) or adaptive.",
    );
}
