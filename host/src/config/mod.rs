//! The configuration file: the section `[store.blob.s3]`, and `[sandbox]` for the host's own limits.

mod credentials;
mod environment;
mod interpolate;
mod profiles;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Spanned, Value};

use crate::engine::{Engine, EngineBuilder};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::store::{Store, StoreOptions};
use crate::transport::{Egress, TlsOptions};
use environment::Environment;

const SECTION: &str = "store.blob.s3";

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
/// In `[store.blob.s3]`, `profile`, `ca-file`, `allow-invalid-certs` and `allow-private` are the host's own; all other
/// keys go to the plugin, which knows and documents them ([`Engine::settings`]). A key left blank counts as absent. In a
/// value, `%{env:NAME}%` stands for a variable and `%{file:PATH}%` for a file's content, without the line ends after it.
///
/// In `[sandbox]` are the [`Limits`], `plugin` (a component to load in place of the built-in one) and `cache-dir`. Other
/// sections are left to whoever else reads the file.
///
/// # Credentials
/// Where the section has no `access-key`, they are looked for in its `profile`, then in `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, then in the profile that `AWS_PROFILE` names, then in the profile
/// `default`, if there is one. Profiles are read from the shared credentials and config files as AWS documents them.
/// Where the section has no `region`, that of its `profile` holds, else `AWS_REGION` or `AWS_DEFAULT_REGION`, else that
/// of the profile the credentials came from.
pub struct Config {
    /// The file, where it came from one.
    path: Option<PathBuf>,
    settings: Vec<(String, String)>,
    /// The line that each key of the section is on.
    lines: BTreeMap<String, usize>,
    tls: TlsOptions,
    allow_private: bool,
    limits: Limits,
    plugin: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
}

type Section = BTreeMap<String, Spanned<Value>>;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    store: Stores,
    #[serde(default)]
    sandbox: Section,
}

#[derive(Default, Deserialize)]
struct Stores {
    #[serde(default)]
    blob: Blobs,
}

#[derive(Default, Deserialize)]
struct Blobs {
    s3: Option<Section>,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and key. The plugin's own settings are looked at when a store is opened.
    pub fn load(path: impl AsRef<Path>) -> Result<Config> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| Error::Config {
            path: Some(path.to_owned()),
            line: None,
            key: None,
            message: error.to_string(),
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
        let mut builder = Engine::builder().limits(self.limits.clone());
        if let Some(file) = &self.plugin {
            builder = builder.plugin_file(file);
        }
        if let Some(folder) = &self.cache_dir {
            builder = builder.cache_dir(folder);
        }
        builder
    }

    /// Opens the configured store.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting that cannot be used, with file, line and key. One that is not in the file, but
    /// was found elsewhere, is [`Error::InvalidSettings`].
    pub async fn open(&self, engine: &Engine) -> Result<Store> {
        let egress = Egress::from_settings(&self.settings)?;
        let egress = if self.allow_private { egress.allow_private() } else { egress };
        let options = StoreOptions::new().settings(self.settings.clone()).tls(self.tls.clone()).egress(egress);
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
        let (name, line) = match found {
            Some((name, line)) => (name, Some(line)),
            None if elsewhere => return error,
            None => (subject, None),
        };
        let (key, message) = (Some(format!("{SECTION}.{name}")), message.clone());
        Error::Config { path: self.path.clone(), line, key, message }
    }
}

impl std::fmt::Debug for Config {
    /// Names only: which values are secret is the plugin's to know.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.settings.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Config").field("settings", &names).field("tls", &self.tls).finish_non_exhaustive()
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
        let file: File = toml::from_str(self.text).map_err(|error| {
            let line = error.span().map(|span| self.line(span.start));
            self.error(line, None, error.message())
        })?;
        let Some(section) = file.store.blob.s3 else {
            return Err(self.error(None, None, "there is no section [store.blob.s3]"));
        };
        let (limits, plugin, cache_dir) = self.sandbox(file.sandbox)?;
        let mut config = Config {
            path: self.path.map(Path::to_owned),
            settings: Vec::new(),
            lines: BTreeMap::new(),
            tls: TlsOptions::default(),
            allow_private: false,
            limits,
            plugin,
            cache_dir,
        };
        let mut profile = None;
        for (name, value) in section {
            let line = self.line(value.span().start);
            let wrong = |message: String| self.error(Some(line), Some(format!("{SECTION}.{name}")), message);
            let text = match value.into_inner() {
                Value::String(text) => interpolate::interpolate(&text, self.environment).map_err(wrong)?,
                Value::Integer(number) => number.to_string(),
                Value::Boolean(truth) => truth.to_string(),
                other => return Err(wrong(format!("expected text, a number, true or false, not {}", a(&other)))),
            };
            if text.trim().is_empty() {
                continue;
            }
            config.lines.insert(name.clone(), line);
            let truth = |text: &str| match text {
                "true" => Ok(true),
                "false" => Ok(false),
                // Not shown: a reference to a secret may have been put here.
                _ => Err(wrong("expected true or false".to_owned())),
            };
            match name.as_str() {
                "profile" => profile = Some((text.trim().to_owned(), line)),
                "ca-file" => config.tls.ca_file = Some(self.beside(text.trim())),
                "allow-invalid-certs" => config.tls.allow_invalid_certs = truth(text.trim())?,
                "allow-private" => config.allow_private = truth(text.trim())?,
                _ => config.settings.push((name, text)),
            }
        }
        let named = profile.as_ref().map(|(name, _)| name.as_str());
        credentials::complete(&mut config.settings, named, self.environment).map_err(|message| {
            let at = profile.as_ref().map(|&(_, line)| line);
            self.error(at, at.map(|_| format!("{SECTION}.profile")), message)
        })?;
        Ok(config)
    }

    /// The section `[sandbox]`.
    fn sandbox(&self, mut section: Section) -> Result<(Limits, Option<PathBuf>, Option<PathBuf>)> {
        let mut path = |name: &str| match section.remove(name) {
            None => Ok(None),
            Some(value) => {
                let line = self.line(value.span().start);
                match value.into_inner() {
                    Value::String(text) if text.trim().is_empty() => Ok(None),
                    Value::String(text) => Ok(Some(self.beside(&text))),
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
            let line = self.line(value.span().start);
            lines.insert(name.clone(), line);
            // One at a time, so that an error has a line.
            let alone = toml::Table::from_iter([(name.clone(), value.get_ref().clone())]);
            if let Err(error) = Limits::deserialize(alone) {
                return Err(self.error(Some(line), Some(format!("sandbox.{name}")), error.message()));
            }
            table.insert(name, value.into_inner());
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
        self.text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
    }

    fn error(&self, line: Option<usize>, key: Option<String>, message: impl Into<String>) -> Error {
        Error::Config { path: self.path.map(Path::to_owned), line, key, message: message.into() }
    }
}

/// What kind of value it is, with its article.
fn a(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}

#[cfg(test)]
mod tests;
