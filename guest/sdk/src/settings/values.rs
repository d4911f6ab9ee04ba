//! The values that a store is opened with: [`SettingValues`].

use std::fmt;
use std::time::Duration;

use crate::contract::error::{Error, Failure, tidy};

use super::{Setting, duration};

/// Settings in the same section that only the host uses.
pub const HOST_SETTINGS: [&str; 5] = ["profile", "allow-invalid-certs", "allow-private", "ca-file", "proxy"];

/// Default of a setting `timeout`.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Default of a setting `completion-timeout`, for [`Config::long_timeout`](crate::Config::long_timeout): services take minutes to
/// complete a large upload or copy.
pub const DEFAULT_COMPLETION_TIMEOUT: Duration = Duration::from_secs(300);

/// Maximum of a timeout.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Maximum of `max-retries`.
const MAX_RETRIES: u32 = 100;

/// A text that is never displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// Returns the text, for signing or sending.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The settings that are not blank, by their names in the table.
pub struct SettingValues<'a> {
    table: &'static [Setting],
    given: Vec<(&'static str, &'a str)>,
}

impl fmt::Debug for SettingValues<'_> {
    /// Omits the values, some of which are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.given.iter().map(|(name, _)| name)).finish()
    }
}

impl<'a> SettingValues<'a> {
    /// Looks the names up in the table. A blank value counts as absent.
    ///
    /// # Errors
    /// A fault of a setting that is unknown, or given twice. The message never contains a value.
    pub fn collect(table: &'static [Setting], pairs: &'a [(String, String)]) -> Result<Self, Failure> {
        let mut given: Vec<(&'static str, &'a str)> = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let known = table.iter().find(|setting| setting.name == name || setting.aliases.contains(&name.as_str()));
            if value.trim().is_empty() && (known.is_some() || HOST_SETTINGS.contains(&name.as_str())) {
                continue;
            }
            let Some(known) = known else {
                return Err(unknown(table, name));
            };
            if given.iter().any(|(there, _)| *there == known.name) {
                let also = if known.aliases.is_empty() {
                    String::new()
                } else {
                    format!(" ({} is the same setting)", known.aliases.join(", "))
                };
                return Err(Error::fault(known.name, format!("the setting {} is given twice{also}", known.name)));
            }
            given.push((known.name, value));
        }
        Ok(SettingValues { table, given })
    }

    /// The untrimmed value.
    pub fn raw_text(&self, name: &str) -> Option<&'a str> {
        debug_assert!(self.table.iter().any(|setting| setting.name == name), "{name} is not in the table");
        self.given.iter().find(|(there, _)| *there == name).map(|(_, value)| *value)
    }

    /// The trimmed value.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.raw_text(name).map(str::trim)
    }

    /// The trimmed value of a setting that must be there.
    ///
    /// # Errors
    /// A fault of the setting.
    pub fn required(&self, name: &'static str) -> Result<&'a str, Failure> {
        self.text(name).ok_or_else(|| Error::fault(name, format!("the setting {name} is missing")))
    }

    /// The index of the value in a list of choices, in any case.
    ///
    /// # Errors
    /// A fault of the setting if it is none of them.
    pub fn choice(&self, name: &'static str, words: &[&str]) -> Result<Option<usize>, Failure> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        match words.iter().position(|word| word.eq_ignore_ascii_case(value)) {
            None => Err(malformed(name, &format!("must be {}, not \"{}\"", words.join(" or "), tidy(value, 64)))),
            which => Ok(which),
        }
    }

    /// `true` or `false`, which is the default.
    ///
    /// # Errors
    /// A fault of the setting if it is neither.
    pub fn flag(&self, name: &'static str) -> Result<bool, Failure> {
        Ok(self.choice(name, &["true", "false"])? == Some(0))
    }

    /// A duration above 0 of at most 24 hours.
    ///
    /// # Errors
    /// A fault of the setting if it is not.
    pub fn timeout(&self, name: &'static str, default: Duration) -> Result<Duration, Failure> {
        let timeout = match self.text(name) {
            None => return Ok(default),
            Some(text) => duration::parse(text).map_err(|why| malformed(name, &format!("is wrong: {why}")))?,
        };
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            return Err(malformed(name, "must be above 0 and at most 24h"));
        }
        Ok(timeout)
    }

    /// The setting `max-retries`: 0 to 100, by default 8.
    ///
    /// # Errors
    /// A fault of the setting if it is not.
    pub fn max_retries(&self) -> Result<u32, Failure> {
        let Some(text) = self.text("max-retries") else {
            return Ok(crate::retry::DEFAULT_RETRIES);
        };
        match text.parse() {
            Ok(count) if count <= MAX_RETRIES => Ok(count),
            _ => Err(malformed(
                "max-retries",
                &format!("must be a number from 0 to {MAX_RETRIES}, not \"{}\"", tidy(text, 64)),
            )),
        }
    }

    /// Validates the setting `retry-mode` ([`Setting::RETRY_MODE`]): `standard` or `adaptive`.
    ///
    /// # Errors
    /// A fault of the setting if it is neither.
    pub fn retry_mode(&self) -> Result<(), Failure> {
        self.choice("retry-mode", &["standard", "adaptive"]).map(drop)
    }

    /// The setting `key-prefix`, untrimmed: shorter than a key of at most `max_key` bytes.
    ///
    /// # Errors
    /// A fault of the setting if it is not.
    pub fn key_prefix(&self, max_key: usize) -> Result<String, Failure> {
        let prefix = self.raw_text("key-prefix").unwrap_or_default();
        if prefix.len() >= max_key {
            let why = format!("has {} bytes, which leaves none of the service's {max_key} for a key", prefix.len());
            return Err(malformed("key-prefix", &why));
        }
        Ok(prefix.to_owned())
    }
}

/// The fault of a setting: `the setting NAME WHY`.
pub fn malformed(name: &'static str, why: &str) -> Failure {
    Error::fault(name, format!("the setting {name} {why}"))
}

/// The fault of an unknown setting. Omits its value, which may be a secret under a misspelled name.
fn unknown(table: &'static [Setting], name: &str) -> Failure {
    let shown = tidy(name, 64);
    let message = match name {
        "profile" => {
            let secrets: Vec<&str> =
                table.iter().filter(|setting| setting.secret).map(|setting| setting.name).collect();
            format!(
                "the setting profile must be resolved by the host: the plugin reads no files, and takes a profile's \
                 credentials as settings of their own ({})",
                secrets.join(", ")
            )
        }
        _ if HOST_SETTINGS.contains(&name) => {
            format!("the setting {shown} is for the host: the plugin does not take it")
        }
        _ => match nearest(table, &shown) {
            Some(near) => format!("there is no setting \"{shown}\"; did you mean {near}?"),
            None => {
                let names: Vec<&str> = table.iter().map(|setting| setting.name).collect();
                format!("there is no setting \"{shown}\"; there are {}", names.join(", "))
            }
        },
    };
    Error::fault(&shown, message)
}

/// The most similar known name, if there is one.
fn nearest(table: &'static [Setting], name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase().replace(['_', ' ', '.'], "-");
    let names = table.iter().flat_map(|setting| std::iter::once(&setting.name).chain(setting.aliases));
    names
        .chain(&HOST_SETTINGS)
        .map(|known| (strsim::jaro_winkler(&name, known), *known))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}
