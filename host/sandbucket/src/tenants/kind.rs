//! Which plugins are for the same service.
//!
//! A component does not name its service, and its name in custom sections is whatever its build left there. What it says of itself, as
//! part of the contract, is its settings. Versions of a plugin keep those that a store cannot do without, which name the place of its
//! blobs (S3's `bucket`, Azure's `container`), and add or drop others.

use crate::engine::Engine;
use crate::error::Result;
use crate::sandbox::Plugin;
use crate::text::shown;
use crate::types::blob::Setting;

/// Settings that a message names.
const MAX_NAMED: usize = 4;

/// What a plugin documents about itself. Two plugins are of one kind if they require the same settings, and all secret settings of
/// one are secret settings of the other. Plugins without either are of one kind if one has all settings of the other. A setting is
/// the same by its name or an alias.
#[derive(Clone)]
pub(super) struct Kind {
    settings: Vec<Setting>,
}

impl Kind {
    /// # Errors
    /// For a plugin of another engine, or one that fails as it lists its settings.
    pub(super) async fn of(engine: &Engine, plugin: &Plugin) -> Result<Kind> {
        Ok(Kind { settings: engine.settings_of(plugin).await? })
    }

    pub(super) fn is_same(&self, other: &Kind) -> bool {
        self.difference(other).is_none()
    }

    /// Why this is the kind of a plugin for another service. None if it is the same kind.
    pub(super) fn difference(&self, new: &Kind) -> Option<String> {
        let (required, secret) = (|setting: &Setting| setting.required, |setting: &Setting| setting.secret);
        let any = |_: &Setting| true;
        let (ours, theirs) = (self.only(required), new.only(required));
        if !(all_among(&ours, &theirs) && all_among(&theirs, &ours)) {
            let (ours, theirs) = (listed(&ours), listed(&theirs));
            return Some(format!("its plugin is for another service: it requires {ours}, the new one {theirs}"));
        }
        let (of, what): (fn(&Setting) -> bool, _) = match self.has_any(new, required) || self.has_any(new, secret) {
            true => (secret, "secret "),
            false => (any, ""),
        };
        let (ours, theirs) = (self.only(of), new.only(of));
        let is_same = all_among(&ours, &theirs) || all_among(&theirs, &ours);
        (!is_same).then(|| {
            let (ours, theirs) = (listed(&ours), listed(&theirs));
            format!("its plugin is for another service: its {what}settings are {ours}, those of the new one {theirs}")
        })
    }

    fn only(&self, is: impl Fn(&Setting) -> bool) -> Vec<&Setting> {
        self.settings.iter().filter(|setting| is(setting)).collect()
    }

    /// Whether one of the two has such settings.
    fn has_any(&self, other: &Kind, is: impl Fn(&Setting) -> bool) -> bool {
        self.settings.iter().chain(&other.settings).any(is)
    }
}

fn all_among(some: &[&Setting], others: &[&Setting]) -> bool {
    some.iter().all(|one| others.iter().any(|other| names(one).any(|name| names(other).any(|known| known == name))))
}

fn names(setting: &Setting) -> impl Iterator<Item = &String> {
    std::iter::once(&setting.name).chain(&setting.aliases)
}

fn listed(settings: &[&Setting]) -> String {
    let names: Vec<_> = settings.iter().take(MAX_NAMED).map(|setting| format!("`{}`", shown(&setting.name))).collect();
    match settings.len() {
        0 => "none".to_owned(),
        count if count > MAX_NAMED => format!("{} and {} more", names.join(", "), count - MAX_NAMED),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::blob::SettingKind;

    /// Settings by their names: `!` marks required ones, `*` secret ones, and an alias follows a slash.
    fn kind(names: &[&str]) -> Kind {
        let setting = |text: &&str| {
            let (name, alias) = text.trim_end_matches(['!', '*']).split_once('/').unwrap_or((text, ""));
            Setting {
                name: name.trim_end_matches(['!', '*']).to_owned(),
                aliases: Some(alias.to_owned()).filter(|alias| !alias.is_empty()).into_iter().collect(),
                kind: SettingKind::Text,
                default: None,
                required: text.ends_with('!'),
                secret: text.ends_with('*'),
                help: String::new(),
            }
        };
        Kind { settings: names.iter().map(setting).collect() }
    }

    #[test]
    fn versions_of_a_plugin_are_of_one_kind() {
        let s3 = kind(&["bucket!", "region", "secret-key*", "security-token*"]);
        let same = [
            kind(&["bucket!", "region", "secret-key*", "security-token*"]),
            // Optional ones are added and dropped, and so are secrets; one was renamed.
            kind(&["bucket!", "secret-key*", "session-token/security-token*", "sse-key*", "newer"]),
            kind(&["bucket!", "region", "secret-key*"]),
            kind(&["bucket!"]),
        ];
        for other in same {
            assert!(s3.is_same(&other) && other.is_same(&s3));
        }
        // A plugin without either: by all of its settings.
        let rogue = kind(&["mode", "target"]);
        assert!(rogue.is_same(&kind(&["mode", "target", "more"])) && rogue.is_same(&kind(&["mode"])));
    }

    #[test]
    fn plugins_of_other_services_are_not() {
        let s3 = kind(&["bucket!", "access-key", "secret-key*", "security-token*"]);
        let cases = [
            (kind(&["container!", "access-key*", "sas-token*"]), "it requires `container`, the new one `bucket`"),
            (kind(&["bucket!", "project!", "secret-key*"]), "it requires `bucket`, `project`, the new one `bucket`"),
            (kind(&["bucket!", "json-key*"]), "its secret settings are `json-key`, those of the new one `secret-key`"),
            (kind(&["mode", "target"]), "it requires none, the new one `bucket`"),
        ];
        for (other, expected) in cases {
            let why = other.difference(&s3).expect("another kind");
            assert!(why.contains(expected), "{why}");
            assert!(!s3.is_same(&other));
        }
        let why = kind(&["a", "b", "c", "d", "e", "f"]).difference(&kind(&["x"])).unwrap();
        assert!(why.contains("its settings are `a`, `b`, `c`, `d` and 2 more, those of the new one `x`"), "{why}");
    }
}
