//! The configuration file: a section `[store.blob.NAME]` for each store, and `[sandbox]` for the host's own limits.

mod document;
mod interpolate;
mod plugin;
mod reader;
mod sandbox;
mod section;
mod stores;

use std::path::Path;

use crate::engine::{Engine, EngineBuilder};
use crate::error::Result;
use crate::http::TlsOptions;
use crate::limits::Limits;
use crate::sandbox::Plugin;
use crate::store::Store;
use crate::support::environment::Environment;
use crate::support::input::MAX_CONFIG;
pub(crate) use interpolate::interpolate;
pub(crate) use plugin::{NamedPlugin, expected};
pub(crate) use reader::{Lines, Reader, kind, read_file};
pub(crate) use sandbox::SandboxSection;
pub(crate) use section::{Inherit, StoreSection};
pub(crate) use stores::{DEFAULT_STORE, STORES, listed, names, section_name};

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
/// In `[store.blob.s3]`, the host reads `plugin`, `profile`, `credentials`, `ca-file`, `allow-invalid-certs`, `allow-private` and
/// `proxy`; all other keys go to the plugin, which documents them ([`Engine::settings`]). A blank key counts as absent. In a value,
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
/// `proxy` is the URL of a proxy ([`Proxy::url`](crate::Proxy::url)), which may be at a private address, or `none`. Default: the engine's
/// proxy, which defaults to that of the environment ([`Proxy::environment`](crate::Proxy::environment)).
///
/// # Several stores, other plugins
/// A file may have any number of stores, `[store.blob.NAME]`, of the same plugin or different ones. `plugin` is the name of a
/// [built-in plugin](crate::BuiltIn) or the path of a component, relative to the file; a path has a separator or ends in `.wasm`.
/// Default: the built-in plugin of the section's name; of `s3` the one in `[sandbox]`, if there is one. [`load`](Config::load)
/// takes the store `s3`, or else the only one, [`load_store`](Config::load_store) the one of a name. Stores of one engine share
/// its limits and connections, whatever their plugins.
///
/// ```toml
/// [store.blob.s3]
/// bucket = "photos"
///
/// [store.blob.archive]
/// plugin = "plugins/webdav.wasm"
/// endpoint = "https://dav.example.com/archive"
/// ```
///
/// AWS's credentials, region and endpoint (below) are for a section that is named `s3` or has `plugin = "s3"`, and for one of a
/// plugin from a file with `profile` or `credentials`. Others take nothing from AWS's variables and files.
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
/// an open store repeats the search 5 minutes before it; it also does if the service rejects them. Roles, SSO and web
/// identity need `credentials = "aws"`, AWS's own chain in place of this search, or the section's `profile` alone if it has one
/// (feature `aws-config`, see the module [`credentials`](mod@crate::credentials)); `credentials = "environment"` is this search
/// without the section's keys and `profile`, and `"anonymous"` is none. Otherwise requests are anonymous only if nothing
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
    store: StoreSection,
    sandbox: SandboxSection,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with file, line and key. The plugin checks its own settings when a store is opened.
    pub fn load(path: impl AsRef<Path>) -> Result<Config> {
        Config::load_any(path.as_ref(), None)
    }

    /// Reads a configuration file for the store `[store.blob.NAME]`.
    ///
    /// ```no_run
    /// # async fn example() -> sandbucket::Result<()> {
    /// use sandbucket::Config;
    ///
    /// let photos = Config::load_store("sandbucket.toml", "s3")?;
    /// let archive = Config::load_store("sandbucket.toml", "archive")?;
    /// let engine = photos.engine().build_async().await?;
    /// let (photos, archive) = (photos.open(&engine).await?, archive.open(&engine).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`load`](Config::load).
    pub fn load_store(path: impl AsRef<Path>, store: &str) -> Result<Config> {
        Config::load_any(path.as_ref(), Some(store))
    }

    fn load_any(path: &Path, store: Option<&str>) -> Result<Config> {
        let text = read_file(path, MAX_CONFIG)?;
        Config::read(&Reader::new(Some(path), &text, &Environment::of_process()), store)
    }

    /// Parses a configuration from text.
    pub fn parse(text: &str) -> Result<Config> {
        Config::read(&Reader::new(None, text, &Environment::of_process()), None)
    }

    /// Like [`parse`](Config::parse), with these variables instead of the process's own.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn parse_in(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
        Config::read(&Reader::new(None, text, &Environment::of(variables)), None)
    }

    fn read(reader: &Reader<'_>, store: Option<&str>) -> Result<Config> {
        let mut document = reader.document(MAX_CONFIG)?;
        let sandbox = SandboxSection::read(reader, &mut document.0)?;
        let names = names(reader, &mut document.0, "")?;
        let store = match store {
            Some(store) => store,
            None if names.iter().any(|name| name == DEFAULT_STORE) => DEFAULT_STORE,
            None => match &names[..] {
                [] => DEFAULT_STORE,
                [only] => only,
                several => {
                    let message = format!("there are several stores, and none is named `s3`: {}", listed(several));
                    return Err(reader.error(None, Some(STORES.join(".")), message));
                }
            },
        };
        let name = section_name("", store);
        let Some(section) = reader.section(&mut document.0, &[STORES[0], STORES[1], store], &name)? else {
            let others = if names.is_empty() { String::new() } else { format!("; there are: {}", listed(&names)) };
            return Err(reader.error(None, None, format!("there is no section [{name}]{others}")));
        };
        let store = StoreSection::read(reader, (store, &name), None, section, None, Inherit::Silently)?;
        Ok(Config { store, sandbox })
    }

    /// The store's name: that of its section.
    pub fn store_name(&self) -> &str {
        &self.store.store
    }

    /// The plugin's settings, with all references resolved. Some are secrets.
    pub fn settings(&self) -> &[(String, String)] {
        &self.store.settings
    }

    /// The certificates to trust.
    pub fn tls(&self) -> &TlsOptions {
        &self.store.tls
    }

    /// The limits of the sandbox.
    pub fn limits(&self) -> &Limits {
        &self.sandbox.limits
    }

    /// Returns a builder of an engine with the configured limits and the plugin of `[sandbox]`. [`open`](Config::open) loads the
    /// store's own plugin.
    pub fn engine(&self) -> EngineBuilder {
        self.sandbox.engine()
    }

    /// The store's plugin, loaded by this engine if it has not been yet.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if it does not load.
    pub async fn plugin(&self, engine: &Engine) -> Result<Plugin> {
        match &self.store.plugin {
            Some(named) => named.load(engine).await,
            None => engine.s3_plugin().await,
        }
    }

    /// Opens the configured store on an engine, which loads the store's plugin if it has not yet.
    ///
    /// The store may reach private addresses if `allow-private` is set, or if the endpoint is evidently private
    /// ([`Egress::allow_private_endpoint`](crate::Egress::allow_private_endpoint)).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid setting, with file, line and key. A setting that was not in the file is reported as
    /// [`Error::InvalidSettings`](crate::Error::InvalidSettings).
    pub async fn open(&self, engine: &Engine) -> Result<Store> {
        self.open_with(engine, &[]).await
    }

    /// The same, with these settings overriding those of the section.
    ///
    /// # Errors
    /// As [`open`](Config::open).
    pub async fn open_with(&self, engine: &Engine, further: &[(&str, &str)]) -> Result<Store> {
        let plugin = self.plugin(engine).await?;
        let options = self.store.options(further)?.plugin(plugin.clone());
        match engine.open(options).await {
            Err(error) => Err(self.store.placed(error, engine, &plugin).await),
            opened => opened,
        }
    }
}

impl std::fmt::Debug for Config {
    /// Shows names only: only the plugin knows which values are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("settings", &self.store.settings)
            .field("tls", &self.store.tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod input_tests;
#[cfg(test)]
mod tests;
