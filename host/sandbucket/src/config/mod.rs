//! The configuration file: the section `[store.blob.s3]`, and `[sandbox]` for the host's own limits.

mod credentials;
mod discovery;
mod document;
mod expiration;
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
use discovery::Rediscovery;
pub(crate) use discovery::find;
use document::Document;

const SECTION: &str = "store.blob.s3";

/// Maximum number of keys per section. The built-in plugin has about 30 settings.
const MAX_KEYS: usize = 256;

/// A configuration, with everything that it refers to resolved: variables, files, credentials.
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
/// In `[store.blob.s3]`, the host reads `profile`, `ca-file`, `allow-invalid-certs`, `allow-private` and `proxy`; all other
/// keys go to the plugin, which documents them ([`Engine::settings`]). A blank key counts as absent. In a value,
/// `%{env:NAME}%` stands for a variable and `%{file:PATH}%` for a file's content without trailing line ends. Inserted text
/// is not interpolated again. `%{%}%` stands for a literal `%`: write a secret `a%{b` as `a%{%}%{b`.
///
/// All input is bounded, and reading never blocks, except for a profile's `credential_process`: a file may have 1 MiB, a
/// value with all that it refers to 64 KiB, a section 256 keys. Files must be regular ones; symbolic links to them are
/// followed. The values are wiped from memory when the configuration is dropped.
///
/// `timeout` may exceed the limits of `[sandbox]`: the operator sets both.
///
/// `[sandbox]` contains the [`Limits`], `plugin` (a component to load instead of the built-in one), `cache-dir`, and
/// `allow-networks` (a list such as `["10.20.0.0/24"]`: see [`EngineBuilder::allow_networks`]). Other sections are ignored.
///
/// `proxy` is the URL of a proxy ([`Proxy::url`]), which may be at a private address, or `none`. Default: the engine's
/// proxy, which defaults to that of the environment ([`Proxy::environment`]).
///
/// # Trust
/// A configuration belongs to the operator: it can read files and variables, and its endpoint may be on this machine or its
/// network. **Never parse text that a tenant wrote as a configuration**; pass a tenant's settings to [`Engine::store`],
/// which reads nothing else and reaches public addresses only.
///
/// # Credentials
/// If the section has no `access-key`, credentials are taken from its `profile`, then from `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, then from the profile that `AWS_DEFAULT_PROFILE` or else `AWS_PROFILE`
/// names, then from the profile `default`, if it exists. Profiles are parsed from the shared credentials and config files
/// as the AWS CLI and boto3 parse them. A profile supplies a key pair, or names a program in `credential_process`, which
/// runs without a shell while the configuration is read; it may take 60 s and print 64 KiB. If credentials have an
/// expiration (`Expiration`, `AWS_CREDENTIAL_EXPIRATION`, or `x_security_token_expires` or `aws_expiration` in a profile),
/// an open store repeats the search 5 minutes before it. Roles and SSO are errors. Requests are anonymous only if nothing
/// suggests credentials: a named profile that is missing, a default profile without a complete key pair, and a malformed
/// file are errors.
///
/// If the section has no `region`, that of its `profile` applies, else `AWS_REGION` or `AWS_DEFAULT_REGION`, else that of
/// the profile with the credentials.
///
/// # Endpoint and certificate authorities
/// If the section has no `endpoint`, it is the first of `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `endpoint_url` of `s3`
/// in the `[services NAME]` that the profile names, and `endpoint_url` of the profile; none of them if
/// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` or the profile's `ignore_configured_endpoint_urls` is `true`. If it has no
/// `ca-file`, `AWS_CA_BUNDLE` or the profile's `ca_bundle` applies. The profile is the section's, the one that a variable
/// names, or `default`; a section with its own keys and no `profile` uses none.
pub struct Config {
    /// The path of the file, unless parsed from text.
    path: Option<PathBuf>,
    settings: Settings,
    /// The line of each key of the section.
    lines: BTreeMap<String, usize>,
    tls: TlsOptions,
    allow_private: bool,
    /// The section's own proxy.
    proxy: Option<Proxy>,
    limits: Limits,
    networks: Vec<IpNet>,
    plugin: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
    /// The origin of settings that are not in the file.
    origins: BTreeMap<&'static str, String>,
    /// The profile that the section names, and the expiration of the credentials found.
    profile: Option<String>,
    expires: Option<SystemTime>,
    environment: Environment,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and key. The plugin checks its own settings when a store is opened.
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

    /// Parses a configuration from text.
    pub fn parse(text: &str) -> Result<Config> {
        Reader { path: None, text, environment: &Environment::of_process() }.read()
    }

    /// Like [`parse`](Config::parse), with these variables instead of the process's own.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn parse_in(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
        Reader { path: None, text, environment: &Environment::of(variables) }.read()
    }

    /// The plugin's settings, with all references resolved. Some are secrets.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The certificates to trust.
    pub fn tls(&self) -> &TlsOptions {
        &self.tls
    }

    /// The limits of the sandbox.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns a builder of an engine with the configured limits and plugin.
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

    /// Opens the configured store on an engine.
    ///
    /// The store may reach private addresses if `allow-private` is set, or if the endpoint is evidently private
    /// ([`Egress::allow_private_endpoint`]).
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid setting, with file, line and key. A setting that was not in the file is reported as
    /// [`Error::InvalidSettings`].
    pub async fn open(&self, engine: &Engine) -> Result<Store> {
        self.open_with(engine, &[]).await
    }

    /// The same, with these settings overriding those of the section.
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
            let rediscovery = Rediscovery::provider(self.profile.clone(), self.environment.clone());
            options = options.renewed_by(rediscovery, self.expires);
        }
        match engine.open(options).await {
            Err(error) => Err(self.placed(error, engine).await),
            opened => opened,
        }
    }

    /// Adds the position of a rejected setting to an error.
    async fn placed(&self, error: Error, engine: &Engine) -> Error {
        let (subject, message) = match &error {
            Error::InvalidSettings(failure) => (failure.subject.as_ref(), &failure.message),
            // The host's own settings, such as `ca-file`.
            Error::Config { path: None, key, message, .. } => (key.as_ref(), message),
            _ => return error,
        };
        let Some(subject) = subject else { return error };
        // The file may use an alias, which the plugin knows.
        let mut names = vec![subject.clone()];
        let known = engine.settings().await.unwrap_or_default();
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
        let (key, message) = (Some(format!("{SECTION}.{name}")), message.clone());
        Error::Config { path: self.path.clone(), line, key, message }
    }
}

impl std::fmt::Debug for Config {
    /// Shows names only: only the plugin knows which values are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("settings", &self.settings).field("tls", &self.tls).finish_non_exhaustive()
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

/// The parser of a configuration.
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
        // Not `toml::from_str`, whose errors contain a copy of the text, and show values of the wrong kind.
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
                // Not shown: it may come from a file or a variable.
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

    /// The table of this name, with a limited number of keys; `None` if it does not exist.
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

    /// Parses the section `[sandbox]`.
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

    /// Resolves a path relative to the file.
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

/// Parses a network in CIDR notation.
fn network(value: &DeValue<'_>) -> std::result::Result<IpNet, String> {
    let text =
        value.as_str().ok_or_else(|| format!("expected a network such as \"10.20.0.0/24\", not {}", a(value)))?;
    text.parse().map_err(|_| {
        format!("\"{}\" is no network; one is an address and a length, as in \"10.20.0.0/24\"", shown(text))
    })
}

/// The kind of a value, with its article.
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
