//! The configuration file: the section `[store.blob.s3]`, and `[sandbox]` for the host's own limits.

mod credentials;
mod document;
mod expiration;
mod found;
mod interpolate;
mod process;
mod profiles;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use crate::engine::{Engine, EngineBuilder};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::types::settings::Settings;

use crate::http::{Egress, Proxy, TlsOptions};
use crate::store::Store;
use crate::store_options::StoreOptions;
use crate::support::environment::Environment;
use crate::support::input::{self, MAX_CONFIG};
use crate::text::shown;
use document::Document;
use found::FoundAgain;
pub(crate) use found::find;

const SECTION: &str = "store.blob.s3";

/// How many keys a section may have. The built-in plugin knows about 30 settings.
const MAX_KEYS: usize = 256;

/// A configuration, with everything found that it refers to: variables, files, credentials.
///
/// ```toml
/// [store.blob.s3]
/// bucket = "photos"
/// endpoint = "https://minio.internal:9000"
/// access-key = "%{env:S3_ACCESS_KEY}%"
/// secret-key = "%{file:/run/secrets/s3}%"
///
/// [sandbox]
/// memory = "128MiB"
/// ```
///
/// In `[store.blob.s3]`, `profile`, `ca-file`, `allow-invalid-certs`, `allow-private` and `proxy` are the host's own; all other
/// keys go to the plugin, which knows and documents them ([`Engine::settings`]). A key left blank counts as absent. In a
/// value, `%{env:NAME}%` stands for a variable and `%{file:PATH}%` for a file's content, without the line ends after it. What
/// was put in is not looked at again. A secret with `%{` in it is written with `%{%}%`, which stands for a `%`: `a%{%}%{b`.
///
/// All of it is bounded, and none of it makes reading wait, but for a profile's `credential_process`: the file may have
/// 1 MiB, a value with all that it refers to 64 KiB, a section 256 keys. Files must be regular ones; symbolic links to such
/// are followed. The values are wiped from memory when the configuration is dropped.
///
/// `timeout` may exceed the limits of `[sandbox]`: it is the operator's, as they are.
///
/// In `[sandbox]` are the [`Limits`], `plugin` (a component to load in place of the built-in one), `cache-dir`, and
/// `allow-networks` (a list such as `["10.20.0.0/24"]`: see [`EngineBuilder::allow_networks`]). Other sections are left to
/// whoever else reads the file.
///
/// `proxy` is the URL of a proxy ([`Proxy::url`]), which may be at a private address, or `none`. Without it the engine's proxy
/// holds, which is that of the environment ([`Proxy::environment`]).
///
/// # Trust
/// A configuration is its operator's: it can have files and variables read, and its endpoint may be on this machine or its
/// network. **Text that a tenant wrote must not be parsed as one**; a tenant's settings go to [`Engine::store`], which reads
/// nothing else and reaches public addresses only.
///
/// # Credentials
/// Where the section has no `access-key`, they are looked for in its `profile`, then in `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, then in the profile that `AWS_DEFAULT_PROFILE` or else `AWS_PROFILE`
/// names, then in the profile `default`, if there is one. Profiles are read from the shared credentials and config files as
/// the AWS CLI and boto3 read them. A profile gives a key pair, or names a program in `credential_process`, which is run
/// without a shell while the configuration is read; it may take 60 s and print 64 KiB. Where credentials have a time at which they
/// expire (`Expiration`, `AWS_CREDENTIAL_EXPIRATION`, or `x_security_token_expires` or `aws_expiration` in a profile), an open store
/// looks for others in the same way 5 minutes before. Roles and SSO are errors.
/// Requests are anonymous only if nothing suggests credentials: a profile that is named but missing, a default profile
/// without a whole key pair, and a file that cannot be understood are errors.
///
/// Where the section has no `region`, that of its `profile` holds, else `AWS_REGION` or `AWS_DEFAULT_REGION`, else that
/// of the profile the credentials came from.
///
/// # Endpoint and certificate authorities
/// Where the section has no `endpoint`, it is the first of `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `endpoint_url` of `s3`
/// in the `[services NAME]` that the profile names, and `endpoint_url` of the profile; none of them if
/// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` or the profile's `ignore_configured_endpoint_urls` is `true`. Where it has no
/// `ca-file`, `AWS_CA_BUNDLE` or the profile's `ca_bundle` names one. The profile is the section's, the variables', or
/// `default`; a section with keys of its own and no `profile` has none.
pub struct Config {
    /// The file, where it came from one.
    path: Option<PathBuf>,
    settings: Settings,
    /// The line that each key of the section is on.
    lines: BTreeMap<String, usize>,
    tls: TlsOptions,
    allow_private: bool,
    /// The section's own.
    proxy: Option<Proxy>,
    limits: Limits,
    networks: Vec<IpNet>,
    plugin: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
    /// Where settings come from that are not in the file.
    origins: BTreeMap<&'static str, String>,
    /// The profile that the section names, and when the credentials expire that were found.
    profile: Option<String>,
    expires: Option<SystemTime>,
    environment: Environment,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and key. The plugin's own settings are looked at when a store is opened.
    pub fn load(path: impl AsRef<Path>) -> Result<Config> {
        let path = path.as_ref();
        let text = input::read_text(path, MAX_CONFIG).map_err(|error| Error::Config {
            path: Some(path.to_owned()),
            line: None,
            key: None,
            message: format!("the file {error}"),
        })?;
        Reader { path: Some(path), text: &text, environment: &Environment::of_process() }.read()
    }

    /// Reads a configuration that is at hand.
    pub fn parse(text: &str) -> Result<Config> {
        Reader { path: None, text, environment: &Environment::of_process() }.read()
    }

    /// As [`parse`](Config::parse), with these variables for the process's own.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn parse_in(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
        Reader { path: None, text, environment: &Environment::of(variables) }.read()
    }

    /// The plugin's settings, with everything found that they refer to. Some are secrets.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// Which certificates to trust.
    pub fn tls(&self) -> &TlsOptions {
        &self.tls
    }

    /// The limits of the sandbox.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Begins to make an engine with the configured limits and plugin.
    pub fn engine(&self) -> EngineBuilder {
        let mut builder = Engine::builder().limits(self.limits.clone()).allow_networks(self.networks.iter().copied());
        if let Some(file) = &self.plugin {
            builder = builder.plugin_file(file);
        }
        if let Some(folder) = &self.cache_dir {
            builder = builder.cache_dir(folder);
        }
        builder
    }

    /// Opens the configured store, with any engine.
    ///
    /// It may reach private addresses if `allow-private` is set, or if the endpoint is plainly meant for them
    /// ([`Egress::allow_private_endpoint`]).
    ///
    /// # Errors
    /// [`Error::Config`] for a setting that cannot be used, with file, line and key. One that is not in the file, but
    /// was found elsewhere, is [`Error::InvalidSettings`].
    pub async fn open(&self, engine: &Engine) -> Result<Store> {
        self.open_with(engine, &[]).await
    }

    /// The same with these settings, in place of those of the same names in the section.
    ///
    /// # Errors
    /// As [`open`](Config::open).
    pub async fn open_with(&self, engine: &Engine, further: &[(&str, &str)]) -> Result<Store> {
        let mut settings = self.settings.clone();
        further.iter().for_each(|(name, value)| settings.replace(name, (*value).to_owned()));
        let egress = Egress::from_settings(&settings)?.allow_private_endpoint();
        let egress = if self.allow_private { egress.allow_private() } else { egress };
        let options = StoreOptions::new().settings(settings.iter().cloned()).tls(self.tls.clone()).egress(egress);
        let mut options = options.trust_timeout();
        if let Some(proxy) = &self.proxy {
            options = options.proxy(proxy.clone());
        }
        if self.expires.is_some() {
            let again = FoundAgain::provider(self.profile.clone(), self.environment.clone());
            options = options.renewed_by(again, self.expires);
        }
        match engine.open(options).await {
            Err(error) => Err(self.placed(error, engine).await),
            opened => opened,
        }
    }

    /// Points at the place of a setting that was refused.
    async fn placed(&self, error: Error, engine: &Engine) -> Error {
        let (subject, message) = match &error {
            Error::InvalidSettings(failure) => (failure.subject.as_ref(), &failure.message),
            // The host's own, such as `ca-file`.
            Error::Config { path: None, key, message, .. } => (key.as_ref(), message),
            _ => return error,
        };
        let Some(subject) = subject else { return error };
        // The file may have it by another name, which the plugin knows.
        let mut names = vec![subject.clone()];
        let known = engine.settings().await.unwrap_or_default();
        names.extend(known.into_iter().filter(|known| known.name == *subject).flat_map(|known| known.aliases));
        let found = names.iter().find_map(|name| Some((name, *self.lines.get(name)?)));
        let elsewhere = self.settings.iter().any(|(name, _)| names.contains(name));
        let origin = names.iter().find_map(|name| self.origins.get(name.as_str()));
        let (name, line) = match (found, origin) {
            (Some((name, line)), _) => (name, Some(line)),
            (None, Some(origin)) => return found_in(origin, error),
            (None, None) if elsewhere => return error,
            (None, None) => (subject, None),
        };
        let (key, message) = (Some(format!("{SECTION}.{name}")), message.clone());
        Error::Config { path: self.path.clone(), line, key, message }
    }
}

impl std::fmt::Debug for Config {
    /// Names only: which values are secret is the plugin's to know.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("settings", &self.settings).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// Says of an error where the setting was found that is at fault.
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

/// A configuration being read.
struct Reader<'a> {
    path: Option<&'a Path>,
    text: &'a str,
    environment: &'a Environment,
}

impl Reader<'_> {
    fn read(&self) -> Result<Config> {
        if self.text.len() as u64 > MAX_CONFIG {
            return Err(self.error(None, None, format!("it is longer than {MAX_CONFIG} bytes")));
        }
        // Parsed without `toml::from_str`, whose errors hold a copy of the text, and show values of the wrong kind.
        let parsed = DeTable::parse(self.text).map_err(|error| {
            let line = error.span().map(|span| self.line(span.start));
            self.error(line, None, error.message())
        })?;
        let mut document = Document(parsed.into_inner());
        let mut sandbox = self.section(&mut document.0, "sandbox")?.map(std::mem::take).unwrap_or_default();
        let Some(section) = self.section(&mut document.0, SECTION)? else {
            return Err(self.error(None, None, "there is no section [store.blob.s3]"));
        };
        let networks = self.networks(&mut sandbox)?;
        let (limits, plugin, cache_dir) = self.sandbox(sandbox)?;
        let mut config = Config {
            path: self.path.map(Path::to_owned),
            settings: Settings::default(),
            lines: BTreeMap::new(),
            tls: TlsOptions::default(),
            allow_private: false,
            proxy: None,
            limits,
            networks,
            plugin,
            cache_dir,
            origins: BTreeMap::new(),
            profile: None,
            expires: None,
            environment: self.environment.clone(),
        };
        let mut profile = None;
        for (name, value) in section.iter_mut() {
            let (name, line) = (name.get_ref().as_ref(), self.line(value.span().start));
            let wrong = |message: String| self.error(Some(line), Some(format!("{SECTION}.{}", shown(name))), message);
            let mut text = match value.get_mut() {
                DeValue::String(text) => interpolate::interpolate(text, self.environment).map_err(wrong)?,
                DeValue::Integer(_) => match toml::Value::deserialize(value.clone().into_deserializer()) {
                    Ok(number) => Zeroizing::new(number.to_string()),
                    Err(_) => return Err(wrong("the number is too large".to_owned())),
                },
                DeValue::Boolean(truth) => Zeroizing::new(truth.to_string()),
                other => return Err(wrong(format!("expected text, a number, true or false, not {}", a(other)))),
            };
            if text.trim().is_empty() {
                continue;
            }
            config.lines.insert(name.to_owned(), line);
            let truth = |text: &str| match text {
                "true" => Ok(true),
                "false" => Ok(false),
                // Not shown: it may have been read from a file or a variable.
                _ => Err(wrong("expected true or false".to_owned())),
            };
            match name {
                "profile" => profile = Some((text.trim().to_owned(), line)),
                "ca-file" => config.tls.ca_file = Some(self.beside(text.trim())),
                "allow-invalid-certs" => config.tls.allow_invalid_certs = truth(text.trim())?,
                "proxy" => config.proxy = Some(Proxy::from_setting(&text).map_err(wrong)?.allow_private()),
                "allow-private" => config.allow_private = truth(text.trim())?,
                _ => config.settings.push(name.to_owned(), std::mem::take(&mut *text)),
            }
        }
        let named = profile.as_ref().map(|(name, _)| name.as_str());
        let found = credentials::complete(&mut config.settings, named, self.environment).map_err(|message| {
            let at = profile.as_ref().map(|&(_, line)| line);
            self.error(at, at.map(|_| format!("{SECTION}.profile")), message)
        })?;
        config.origins = found.origins;
        config.expires = found.expires;
        config.profile = profile.map(|(name, _)| name);
        if config.tls.ca_file.is_none() {
            config.tls.ca_file = found.ca_file;
        }
        Ok(config)
    }

    /// Takes `allow-networks` out of the section `[sandbox]`.
    fn networks(&self, section: &mut DeTable<'_>) -> Result<Vec<IpNet>> {
        let Some(value) = section.remove("allow-networks") else { return Ok(Vec::new()) };
        let line = self.line(value.span().start);
        let networks: std::result::Result<Vec<IpNet>, String> = match value.into_inner() {
            DeValue::Array(networks) => networks.iter().map(|value| network(value.get_ref())).collect(),
            other => Err(format!("expected a list of networks such as [\"10.20.0.0/24\"], not {}", a(&other))),
        };
        networks.map_err(|message| self.error(Some(line), Some("sandbox.allow-networks".to_owned()), message))
    }

    /// The table of this name, of no more than so many keys; none where there is none.
    fn section<'t, 'i>(&self, table: &'t mut DeTable<'i>, path: &str) -> Result<Option<&'t mut DeTable<'i>>> {
        let mut table = table;
        for name in path.split('.') {
            let Some(value) = table.get_mut(name) else { return Ok(None) };
            let line = self.line(value.span().start);
            table = match value.get_mut() {
                DeValue::Table(inner) => inner,
                other => {
                    let message = format!("expected the section [{path}], not {}", a(other));
                    return Err(self.error(Some(line), Some(path.to_owned()), message));
                }
            };
        }
        if table.len() > MAX_KEYS {
            let message = format!("{} keys where {MAX_KEYS} are allowed", table.len());
            return Err(self.error(None, Some(path.to_owned()), message));
        }
        Ok(Some(table))
    }

    /// The section `[sandbox]`.
    fn sandbox(&self, mut section: DeTable<'_>) -> Result<(Limits, Option<PathBuf>, Option<PathBuf>)> {
        let mut path = |name: &str| match section.remove(name) {
            None => Ok(None),
            Some(value) => {
                let line = self.line(value.span().start);
                match value.into_inner() {
                    DeValue::String(text) if text.trim().is_empty() => Ok(None),
                    DeValue::String(text) => Ok(Some(self.beside(&text))),
                    other => {
                        let message = format!("expected a path, not {}", a(&other));
                        Err(self.error(Some(line), Some(format!("sandbox.{name}")), message))
                    }
                }
            }
        };
        let (plugin, cache_dir) = (path("plugin")?, path("cache-dir")?);
        let mut table = toml::Table::new();
        let mut lines = BTreeMap::new();
        for (name, value) in section {
            let (name, line) = (name.into_inner().into_owned(), self.line(value.span().start));
            lines.insert(name.clone(), line);
            // One at a time, so that an error has a line.
            let read = toml::Value::deserialize(value.into_deserializer()).and_then(|value| {
                table.insert(name.clone(), value.clone());
                Limits::deserialize(toml::Table::from_iter([(name.clone(), value)]))
            });
            if let Err(error) = read {
                return Err(self.error(Some(line), Some(format!("sandbox.{}", shown(&name))), error.message()));
            }
        }
        let limits = Limits::deserialize(table)
            .map_err(|error| self.error(None, Some("sandbox".to_owned()), error.message().to_owned()))?;
        limits.check().map_err(|at_odds| {
            let line = lines.get(at_odds.name).copied();
            self.error(line, Some(format!("sandbox.{}", at_odds.name)), at_odds.message)
        })?;
        Ok((limits, plugin, cache_dir))
    }

    /// A path as the file means it: seen from where the file is.
    fn beside(&self, path: &str) -> PathBuf {
        match self.path.and_then(Path::parent) {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    fn line(&self, offset: usize) -> usize {
        memchr::memchr_iter(b'\n', &self.text.as_bytes()[..offset.min(self.text.len())]).count() + 1
    }

    fn error(&self, line: Option<usize>, key: Option<String>, message: impl Into<String>) -> Error {
        Error::Config { path: self.path.map(Path::to_owned), line, key, message: message.into() }
    }
}

/// A network in CIDR notation.
fn network(value: &DeValue<'_>) -> std::result::Result<IpNet, String> {
    let text =
        value.as_str().ok_or_else(|| format!("expected a network such as \"10.20.0.0/24\", not {}", a(value)))?;
    text.parse().map_err(|_| {
        format!("\"{}\" is no network; one is an address and a length, as in \"10.20.0.0/24\"", shown(text))
    })
}

/// What kind of value it is, with its article.
fn a(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

#[cfg(test)]
mod input_tests;
#[cfg(test)]
mod tests;
