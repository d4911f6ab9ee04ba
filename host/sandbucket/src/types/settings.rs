//! A plugin's settings in memory: names and values, wiped on drop.
//!
//! Only the plugin knows which settings are secret, so every value is treated as one: wiped, and never shown by `Debug`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, Failure, Result};
use crate::text::sanitize;

/// Settings of a store, bytes of a setting's name, and of its value.
const MAX_SETTINGS: usize = 256;
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 64 << 10;

/// Settings that overwrite their values with zeros on drop.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings(Vec<(String, String)>);

impl Settings {
    /// Adds a setting. Moves the strings without a copy.
    pub(crate) fn push(&mut self, name: String, value: String) {
        // The vector holds no bytes of a value: it may reallocate as it grows.
        self.0.push((name, value));
    }

    /// Sets a setting, and removes its former values.
    pub(crate) fn replace(&mut self, name: &str, value: String) {
        for (known, old) in &mut self.0 {
            if known == name {
                old.zeroize();
            }
        }
        self.0.retain(|(known, _)| known != name);
        self.push(name.to_owned(), value);
    }
}

/// A value of a setting: text, or a type with a textual form.
pub trait SettingValue {
    /// The text in the plugin's syntax.
    fn into_text(self) -> String;
}

macro_rules! values {
    ($($type:ty => $text:expr;)*) => {
        $(
            impl SettingValue for $type {
                fn into_text(self) -> String {
                    let text: fn($type) -> String = $text;
                    text(self)
                }
            }
        )*
    };
}

values! {
    String => |text| text;
    &str => str::to_owned;
    &String => String::clone;
    Box<str> => String::from;
    Cow<'_, str> => |text| text.into_owned();
    bool => |value| value.to_string();
    i32 => |value| value.to_string();
    i64 => |value| value.to_string();
    u8 => |value| value.to_string();
    u16 => |value| value.to_string();
    u32 => |value| value.to_string();
    u64 => |value| value.to_string();
    usize => |value| value.to_string();
    // Rounded up: a fraction of a millisecond counts as one.
    Duration => |time| format!("{}ms", time.as_nanos().div_ceil(1_000_000));
}

impl Deref for Settings {
    type Target = [(String, String)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Settings {
    /// Shows names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            value.zeroize();
        }
    }
}

impl ZeroizeOnDrop for Settings {}

/// Settings may be a tenant's: they are bounded as those of a configuration file are, before anything is made of them.
pub(crate) fn check_settings(settings: &[(String, String)]) -> Result<()> {
    let wrong = |name: &str, message: String| Err(Error::InvalidSettings(Failure::ours(&sanitize(name, 64), message)));
    if settings.len() > MAX_SETTINGS {
        return wrong("", format!("opening the store: {} settings, and {MAX_SETTINGS} are allowed", settings.len()));
    }
    for (name, value) in settings {
        if name.len() > MAX_NAME {
            return wrong(name, format!("opening the store: a setting's name has {} bytes", name.len()));
        }
        if value.len() > MAX_VALUE {
            let (name, length) = (sanitize(name, 64), value.len());
            return wrong(&name, format!("opening the store: {name} has {length} bytes, and {MAX_VALUE} are allowed"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_convert_to_plugin_text() {
        assert_eq!(Duration::from_micros(1_500).into_text(), "2ms");
        assert_eq!(Duration::from_secs(90).into_text(), "90000ms");
        assert_eq!((5.into_text(), true.into_text(), "%{x".into_text()), ("5".into(), "true".into(), "%{x".into()));
        let mut settings = Settings::default();
        settings.push("timeout".to_owned(), "1s".to_owned());
        settings.replace("timeout", "2s".to_owned());
        assert_eq!(settings[..], [("timeout".to_owned(), "2s".to_owned())]);
    }

    #[test]
    fn debug_output_contains_names_and_no_values() {
        let mut settings = Settings::default();
        settings.push("secret-key".to_owned(), "hush".to_owned());
        assert_eq!(format!("{settings:?}"), r#"["secret-key"]"#);
        assert_eq!(settings.clone(), settings);
    }
}
