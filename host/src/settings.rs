//! A plugin's settings in memory: names and values, wiped when they are dropped.
//!
//! Only the plugin knows which settings are secret, so every value is treated as one: wiped, and never shown by `Debug`.

use std::fmt;
use std::ops::Deref;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Settings that overwrite their values with zeros when they are dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings(Vec<(String, String)>);

impl Settings {
    /// Adds a setting. The strings are moved, not copied.
    pub(crate) fn push(&mut self, name: String, value: String) {
        // The vector itself holds no bytes of a value: it may move them as it grows.
        self.0.push((name, value));
    }
}

impl Deref for Settings {
    type Target = [(String, String)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Settings {
    /// Names only.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_no_values() {
        let mut settings = Settings::default();
        settings.push("secret-key".to_owned(), "hush".to_owned());
        assert_eq!(format!("{settings:?}"), r#"["secret-key"]"#);
        assert_eq!(settings.clone(), settings);
    }
}
