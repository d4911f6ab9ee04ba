//! A store's section of a configuration: the keys of the host, and the settings for the plugin.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::interpolate;
use super::plugin::{self, NamedPlugin};
use super::reader::{Reader, kind};
use super::stores::DEFAULT_STORE;
use crate::credentials::discovery::Keys;
use crate::credentials::{self, Rediscovery, SharedProvider, discovery};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::http::{Egress, Proxy, TlsOptions};
use crate::plugins::{BuiltIn, PluginSource};
use crate::sandbox::Plugin;
use crate::store_options::StoreOptions;
use crate::text::shown;
use crate::types::settings::Settings;

/// A store's section with everything that it refers to resolved: variables, files, credentials.
pub(crate) struct StoreSection {
    /// The file, unless parsed from text.
    path: Option<Arc<Path>>,
    /// The store's name, such as `s3`.
    pub(super) store: String,
    /// The section's name, such as `store.blob.s3`.
    name: String,
    /// The plugin; none if it is the engine's.
    pub(crate) plugin: Option<NamedPlugin>,
    pub(super) settings: Settings,
    /// The line of each key of the section.
    pub(super) lines: BTreeMap<String, usize>,
    pub(super) tls: TlsOptions,
    pub(super) allow_private: bool,
    /// The section's own proxy.
    pub(super) proxy: Option<Proxy>,
    /// The origin of settings that are not in the file.
    pub(super) origins: BTreeMap<&'static str, String>,
    /// The profile that the section names, and the expiration of the credentials found in it or elsewhere.
    pub(super) profile: Option<String>,
    pub(super) expires: Option<SystemTime>,
    provider: Provider,
}

/// What supplies credentials when those of the section are to be renewed.
enum Provider {
    /// They are the section's own.
    None,
    /// They were found outside it, when the provider's had this version.
    Found(SharedProvider, u64),
    /// They are not among the settings: the provider is queried when the store opens.
    Queried(SharedProvider),
}

/// What a section without keys of its own takes from the process: variables, and the profile that they name or the default one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inherit {
    /// All that it leaves out: it is the program's only store.
    Silently,
    /// Nothing, unless `credentials` says so: it is one of several tenants, and the process's credentials belong to none of them.
    IfNamed,
}

/// The key `credentials`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// AWS's own chain.
    Aws,
    /// What is found in the environment, as without the key.
    Environment,
    /// None: requests are not signed.
    Anonymous,
}

/// The values of the key `credentials`.
const NAMED: [(&str, Named); 3] =
    [("aws", Named::Aws), ("environment", Named::Environment), ("anonymous", Named::Anonymous)];

/// Advice for a tenant without credentials.
const HOW_NAMED: &str = "there are no keys, and a tenant takes none from the process by itself: set `access-key` and \
                         `secret-key`, or `profile`, or `credentials` to \"environment\" (those of AWS's variables and \
                         default profile), \"aws\" (AWS's own chain) or \"anonymous\" (requests are not signed)";

/// Advice for a section whose `credentials` names a source that is incomplete.
const HOW_OTHERWISE: &str = "; if requests are not to be signed, set this key to \"anonymous\"";

impl StoreSection {
    /// Reads the table of a store, in the section of this name, which begins at this line. `plugin` is the one that the file names
    /// for it outside of the section.
    pub(crate) fn read(
        reader: &Reader<'_>,
        (store, section): (&str, &str),
        plugin: Option<NamedPlugin>,
        table: &mut DeTable<'_>,
        line: Option<usize>,
        inherit: Inherit,
    ) -> Result<StoreSection> {
        let mut read = StoreSection {
            path: reader.path.clone(),
            store: store.to_owned(),
            name: section.to_owned(),
            plugin,
            settings: Settings::default(),
            lines: BTreeMap::new(),
            tls: TlsOptions::default(),
            allow_private: false,
            proxy: None,
            origins: BTreeMap::new(),
            profile: None,
            expires: None,
            provider: Provider::None,
        };
        read.take_plugin(reader, table, line)?;
        let is_aws = read.may_use_aws();
        let (mut profile, mut named) = (None, None);
        for (name, value) in table.iter_mut() {
            let (name, line) = (name.get_ref().as_ref(), reader.line(value.span().start));
            let wrong = |message: String| reader.error(Some(line), Some(format!("{section}.{}", shown(name))), message);
            let mut text = match value.get_mut() {
                DeValue::String(text) => interpolate::interpolate(text, reader.environment).map_err(wrong)?,
                DeValue::Integer(_) => match toml::Value::deserialize(value.clone().into_deserializer()) {
                    Ok(number) => Zeroizing::new(number.to_string()),
                    Err(_) => return Err(wrong("the number is too large".to_owned())),
                },
                DeValue::Boolean(truth) => Zeroizing::new(truth.to_string()),
                other => return Err(wrong(format!("expected text, a number, true or false, not {}", kind(other)))),
            };
            if text.trim().is_empty() {
                continue;
            }
            read.lines.insert(name.to_owned(), line);
            let truth = |text: &str| match text {
                "true" => Ok(true),
                "false" => Ok(false),
                // Not shown: it may come from a file or a variable.
                _ => Err(wrong("expected true or false".to_owned())),
            };
            match name {
                "profile" if is_aws => profile = Some((text.trim().to_owned(), line)),
                "credentials" if is_aws => match NAMED.iter().find(|(known, _)| *known == text.trim()) {
                    Some(&(_, source)) => named = Some((source, line)),
                    None => return Err(wrong("expected \"aws\", \"environment\" or \"anonymous\"".to_owned())),
                },
                "ca-file" => read.tls.ca_file = Some(reader.beside(text.trim())),
                "allow-invalid-certs" => read.tls.allow_invalid_certs = truth(text.trim())?,
                "proxy" => read.proxy = Some(Proxy::from_setting(&text).map_err(wrong)?.allow_private()),
                "allow-private" => read.allow_private = truth(text.trim())?,
                _ => read.settings.push(name.to_owned(), std::mem::take(&mut *text)),
            }
        }
        if let Some((source, line)) = named {
            read.check_source(source, profile.is_some())
                .map_err(|message| reader.error(Some(line), Some(format!("{section}.credentials")), message))?;
        }
        if named.is_none() && profile.is_none() && !read.is_s3() {
            return Ok(read);
        }
        if inherit == Inherit::IfNamed && named.is_none() && profile.is_none() && read.own_key().is_none() {
            return Err(reader.error(line, Some(section.to_owned()), HOW_NAMED));
        }
        read.discover(reader, profile, named, inherit)?;
        Ok(read)
    }

    /// Takes the key `plugin` out of the section's table.
    fn take_plugin(&mut self, reader: &Reader<'_>, table: &mut DeTable<'_>, line: Option<usize>) -> Result<()> {
        if let Some(value) = table.remove("plugin") {
            let (line, key) = (reader.line(value.span().start), format!("{}.plugin", self.name));
            let own = NamedPlugin::read(reader, value.get_ref(), line, key.clone())?;
            if own.is_some() && self.plugin.is_some() {
                let message = "the tenant also has `plugin`: remove one of them";
                return Err(reader.error(Some(line), Some(key), message));
            }
            self.plugin = own.or_else(|| self.plugin.take());
        }
        if self.plugin.is_none() && self.store != DEFAULT_STORE {
            let Some(built_in) = BuiltIn::named(&self.store) else {
                let message = format!("it needs `plugin`: {}", plugin::expected());
                return Err(reader.error(line, Some(self.name.clone()), message));
            };
            self.plugin = Some(NamedPlugin::of_section(reader, built_in, line, self.name.clone()));
        }
        Ok(())
    }

    /// Whether the plugin may be one for S3, so that the host reads the keys that name AWS's credentials.
    fn may_use_aws(&self) -> bool {
        let source = self.plugin.as_ref().map(|named| &named.source);
        !matches!(source, Some(PluginSource::BuiltIn(built_in)) if *built_in != BuiltIn::S3)
    }

    /// Whether the section is one for S3, by its name or its plugin: it is completed from AWS's variables and files.
    fn is_s3(&self) -> bool {
        let source = self.plugin.as_ref().map(|named| &named.source);
        self.may_use_aws() && (self.store == DEFAULT_STORE || source == Some(&PluginSource::BuiltIn(BuiltIn::S3)))
    }

    /// Completes the section from outside of it: credentials, region, endpoint and certificate authorities.
    fn discover(
        &mut self,
        reader: &Reader<'_>,
        profile: Option<(String, usize)>,
        named: Option<(Named, usize)>,
        inherit: Inherit,
    ) -> Result<()> {
        let (named, line) = named.unzip();
        let takes_all = match named {
            Some(Named::Environment) => true,
            // The profile takes the place of the process's variables, which belong to another tenant or none.
            Some(Named::Aws) => inherit == Inherit::Silently || profile.is_none(),
            Some(Named::Anonymous) | None => inherit == Inherit::Silently,
        };
        if !takes_all && profile.is_none() {
            return Ok(());
        }
        let keys = match (named, inherit) {
            (Some(Named::Aws | Named::Anonymous), _) => Keys::Elsewhere,
            // One tenant's program must not keep the others from being read.
            (_, Inherit::IfNamed) => Keys::Later,
            (_, Inherit::Silently) => Keys::Wanted,
        };
        let name = profile.as_ref().map(|(name, _)| name.clone());
        let found_by = Rediscovery::provider(name.clone(), reader.environment);
        let seen = found_by.version();
        let places = (!takes_all).then(|| reader.environment.only_places());
        let environment = places.as_ref().unwrap_or(reader.environment);
        let found = discovery::complete(&mut self.settings, name.as_deref(), environment, keys).map_err(|message| {
            let at = match (&profile, line) {
                (Some((_, line)), _) => Some((*line, "profile")),
                (None, Some(line)) => Some((line, "credentials")),
                (None, None) => None,
            };
            let (at, key) = at.unzip();
            let advice = if key == Some("credentials") { HOW_OTHERWISE } else { "" };
            reader.error(at, key.map(|key| format!("{}.{key}", self.name)), format!("{message}{advice}"))
        })?;
        if found.has_keys {
            self.provider = Provider::Found(found_by, seen);
        } else if found.has_program {
            self.provider = Provider::Queried(found_by);
        } else if named == Some(Named::Environment) {
            let message = "there are no credentials in the environment: neither AWS's variables nor a profile has any";
            return Err(reader.error(line, Some(format!("{}.credentials", self.name)), message));
        }
        #[cfg(feature = "aws-config")]
        if named == Some(Named::Aws) {
            let region = self.settings.iter().find(|(name, _)| name == "region").map(|(_, region)| region.clone());
            self.provider = Provider::Queried(match name.clone() {
                Some(profile) => credentials::of_profile(profile, region, None),
                None => credentials::of_chain(region),
            });
        }
        self.origins = found.origins;
        self.expires = found.expires;
        self.profile = name;
        if self.tls.ca_file.is_none() {
            self.tls.ca_file = found.ca_file;
        }
        Ok(())
    }

    /// Options for opening the store, with these settings overriding those of the section.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] for an endpoint that is none.
    pub(crate) fn options(&self, further: &[(&str, &str)]) -> Result<StoreOptions> {
        let mut settings = self.settings.clone();
        further.iter().for_each(|(name, value)| settings.replace(name, (*value).to_owned()));
        let egress = Egress::from_settings(&settings)?.allow_private_endpoint();
        let egress = if self.allow_private { egress.allow_private() } else { egress };
        let options = StoreOptions::new().settings(settings.iter().cloned()).tls(self.tls.clone()).egress(egress);
        let mut options = options.trust_timeout();
        if let Some(proxy) = &self.proxy {
            options = options.proxy(proxy.clone());
        }
        Ok(match &self.provider {
            Provider::None => options,
            Provider::Found(provider, seen) => {
                let provider = (provider.clone(), *seen);
                options.rediscovered_by(provider, self.profile.clone(), self.expires)
            }
            Provider::Queried(provider) => options.credentials_provider(provider.clone()),
        })
    }

    /// The name of one of the section's own keys.
    fn own_key(&self) -> Option<&str> {
        self.settings.iter().map(|(name, _)| name.as_str()).find(|name| credentials::NAMES.contains(name))
    }

    /// Checks that the source that the section names can supply its credentials.
    fn check_source(&self, source: Named, has_profile: bool) -> std::result::Result<(), String> {
        let other = self.own_key().or((has_profile && source != Named::Aws).then_some("profile"));
        if let Some(other) = other {
            return Err(format!("the section also has `{other}`: remove one of them"));
        }
        match source == Named::Aws && cfg!(not(feature = "aws-config")) {
            true => Err("this build has no AWS chain: it needs the feature `aws-config`".to_owned()),
            false => Ok(()),
        }
    }

    /// The error for a name that is in use elsewhere.
    pub(crate) fn taken(&self, name: &str) -> Error {
        let message = format!("the program itself has set a tenant \"{name}\"");
        Error::Config {
            path: self.path.as_deref().map(Path::to_owned),
            line: None,
            key: Some(self.name.clone()),
            message,
        }
    }

    /// Adds the position of a rejected setting to an error.
    pub(crate) async fn placed(&self, error: Error, engine: &Engine, plugin: &Plugin) -> Error {
        let (subject, message) = match &error {
            Error::InvalidSettings(failure) => (failure.subject.as_ref(), &failure.message),
            // The host's own settings, such as `ca-file`.
            Error::Config { path: None, key, message, .. } => (key.as_ref(), message),
            _ => return error,
        };
        let Some(subject) = subject else { return error };
        // The file may use an alias, which the plugin knows.
        let mut names = vec![subject.clone()];
        let known = engine.settings_of(plugin).await.unwrap_or_default();
        names.extend(known.into_iter().filter(|known| known.name == *subject).flat_map(|known| known.aliases));
        let found = names.iter().find_map(|name| Some((name, *self.lines.get(name)?)));
        let is_set = self.settings.iter().any(|(name, _)| names.contains(name));
        let origin = names.iter().find_map(|name| self.origins.get(name.as_str()));
        let (name, line) = match (found, origin) {
            (Some((name, line)), _) => (name, Some(line)),
            (None, Some(origin)) => return found_in(origin, error),
            (None, None) if is_set => return error,
            (None, None) => (subject, None),
        };
        let (key, message) = (Some(format!("{}.{name}", self.name)), message.clone());
        Error::Config { path: self.path.as_deref().map(Path::to_owned), line, key, message }
    }
}

/// Adds the origin of the rejected setting to an error.
fn found_in(origin: &str, error: Error) -> Error {
    match error {
        Error::InvalidSettings(mut failure) => {
            failure.message = format!("{origin}: {}", failure.message);
            Error::InvalidSettings(failure)
        }
        Error::Config { path, line, message, .. } => {
            Error::Config { path, line, key: Some(origin.to_owned()), message }
        }
        other => other,
    }
}
