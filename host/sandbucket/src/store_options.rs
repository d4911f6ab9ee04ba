//! Options for opening a store.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Admission;
use crate::credentials::{self, Credentials, CredentialsProvider, Renewal, SharedProvider};
use crate::error::{Error, Failure, Result};
use crate::http::{Egress, Proxy, TlsOptions};
use crate::limits::{Limits, named};
use crate::sandbox::Plugin;
use crate::support::deadline::timeout;
use crate::types::settings::{SettingValue, Settings};

/// Options for opening a store: the plugin's settings, and options of the host.
///
/// Values are taken literally: `%{` is not interpolated. They are wiped from memory when this is dropped and the store is closed, which
/// is up to 10 s after it is dropped ([`Limits::reopen_within`](crate::Limits::reopen_within)), and with the engine.
/// Values passed as `String` are moved; of a `&str`, the caller must wipe its own copy.
///
/// ```no_run
/// # async fn example(engine: sandbucket::Engine) -> sandbucket::Result<()> {
/// use std::time::Duration;
///
/// use sandbucket::{Credentials, StoreOptions, TlsOptions};
///
/// let tls = TlsOptions { ca_file: Some("/etc/ssl/minio.pem".into()), ..TlsOptions::default() };
/// let options = StoreOptions::new()
///     .setting("bucket", "photos")
///     .setting("endpoint", "https://minio.internal")
///     .setting("max-retries", 5)
///     .credentials(Credentials::new("AKID…", "secret"))
///     .timeout(Duration::from_secs(90))
///     .tls(tls);
/// // It is on a private network.
/// let options = options.allow_private();
/// let store = engine.open(options).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct StoreOptions {
    pub(crate) settings: Settings,
    pub(crate) tls: TlsOptions,
    pub(crate) egress: Option<Egress>,
    pub(crate) allow_private: bool,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) plugin: Option<Plugin>,
    /// The tenant whose budget the store is charged to.
    pub(crate) tenant: Option<Arc<Admission>>,
    source: Source,
    timeouts: Timeouts,
}

/// The source of credentials that are not among the settings.
#[derive(Clone, Default)]
enum Source {
    #[default]
    Settings,
    Given(Credentials),
    Provider(SharedProvider),
    /// A profile, or the environment.
    Found(Option<String>),
    /// They are among the settings, and must be renewed.
    Rediscovered(Rediscovered),
}

/// Credentials among the settings that were found in a profile or the environment, and must be renewed from there.
#[derive(Clone)]
struct Rediscovered {
    provider: SharedProvider,
    /// The version of the provider's credentials when these were found.
    seen: u64,
    profile: Option<String>,
    expires_at: Option<std::time::SystemTime>,
}

/// The store's values for limits of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Timeouts {
    call_time: Option<Duration>,
    timeout: Option<Duration>,
    between_bytes: Option<Duration>,
}

impl StoreOptions {
    /// Options without settings.
    pub fn new() -> Self {
        StoreOptions::default()
    }

    /// Adds a setting: text, a number, `true` or `false`, or a [`Duration`].
    pub fn setting(mut self, name: impl Into<String>, value: impl SettingValue) -> Self {
        self.settings.push(name.into(), value.into_text());
        self
    }

    /// Adds several settings.
    pub fn settings<N: Into<String>, V: Into<String>>(mut self, settings: impl IntoIterator<Item = (N, V)>) -> Self {
        settings.into_iter().for_each(|(name, value)| self.settings.push(name.into(), value.into()));
        self
    }

    /// Sets the credentials, instead of the settings `access-key`, `secret-key` and `security-token`.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.source = Source::Given(credentials);
        self
    }

    /// Sets a provider of credentials: one of [`credentials`](mod@crate::credentials), or any other. It is queried when the store
    /// is opened, before credentials expire, and when the service rejects them; the rejected call is then retried, unless its
    /// body is a stream. Stores opened with clones of these options, or of one [`SharedProvider`], share the queries.
    pub fn credentials_provider(mut self, provider: impl CredentialsProvider) -> Self {
        self.source = Source::Provider(SharedProvider::new(provider));
        self
    }

    /// Takes the credentials from this profile of AWS's shared credentials and config files, like
    /// [`Config`](crate::Config#credentials), and also region, endpoint and certificate authorities, if the settings have
    /// none. They are renewed from the profile before they expire, and when the service rejects them. Runs its `credential_process`.
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.source = Source::Found(Some(name.into()));
        self
    }

    /// Takes the credentials from the environment, like [`Config`](crate::Config#credentials) for a section without any:
    /// from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, else from the profile that
    /// `AWS_DEFAULT_PROFILE` or `AWS_PROFILE` names, else from the profile `default`; and also region, endpoint and
    /// certificate authorities, if the settings have none.
    pub fn credentials_from_environment(mut self) -> Self {
        self.source = Source::Found(None);
        self
    }

    /// Sets the certificates to trust.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Sets the egress policy. Default: [`Egress::from_settings`]: the authority in the settings, and the bucket's name
    /// prepended to it, at public addresses.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = Some(egress);
        self
    }

    /// Allows the endpoint to be at a private or loopback address, such as MinIO on this machine or its network. Default:
    /// public addresses only, and [`EngineBuilder::allow_networks`](crate::EngineBuilder::allow_networks).
    ///
    /// Not for settings that a tenant may write: by naming an endpoint a tenant could send requests to anything on this
    /// machine and its network.
    pub fn allow_private(mut self) -> Self {
        self.allow_private = true;
        self
    }

    /// Sets the proxy, or [`Proxy::none`]. Default: the engine's ([`EngineBuilder::proxy`](crate::EngineBuilder::proxy)),
    /// which defaults to that of the environment. The proxy may be at a private address only if the endpoint may, or if
    /// [`Proxy::allow_private`] allows it.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Sets the plugin, which the same engine must have loaded. Default: the engine's.
    pub fn plugin(mut self, plugin: Plugin) -> Self {
        self.plugin = Some(plugin);
        self
    }

    /// Sets the time limit of a call, unless the call sets one (`time_limit`). Default:
    /// [`Limits::call_time`](crate::Limits::call_time). Maximum: [`Limits::max_call_time`](crate::Limits::max_call_time).
    pub fn call_time(mut self, time: Duration) -> Self {
        self.timeouts.call_time = Some(time);
        self
    }

    /// Sets the time limit of waiting for the service in one attempt: for the response head, and for further bytes of a
    /// body. This is the plugin's setting `timeout`, and lets it exceed
    /// [`Limits::first_byte_timeout`](crate::Limits::first_byte_timeout) and
    /// [`Limits::between_bytes_timeout`](crate::Limits::between_bytes_timeout), which cap the setting alone. Connecting is
    /// also limited by [`Limits::connect_timeout`](crate::Limits::connect_timeout). Default: the plugin's, 30 s.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeouts.timeout = Some(time);
        self
    }

    /// Sets the maximum time without a byte in either direction during the transfer of a body, if shorter than `timeout`.
    /// Default: [`Limits::between_bytes_timeout`](crate::Limits::between_bytes_timeout).
    pub fn between_bytes_timeout(mut self, time: Duration) -> Self {
        self.timeouts.between_bytes = Some(time);
        self
    }

    /// Lets the setting `timeout` exceed the engine's limits: for settings of the operator.
    pub(crate) fn trust_timeout(mut self) -> Self {
        let of_setting = self.settings.iter().find(|(name, _)| name == "timeout");
        self.timeouts.timeout = of_setting.and_then(|(_, text)| crate::limits::parse_duration(text));
        self
    }

    /// Sets the provider, its profile and the expiration of the credentials among the settings.
    pub(crate) fn rediscovered_by(
        mut self,
        (provider, seen): (SharedProvider, u64),
        profile: Option<String>,
        expires_at: Option<std::time::SystemTime>,
    ) -> Self {
        self.source = Source::Rediscovered(Rediscovered { provider, seen, profile, expires_at });
        self
    }

    /// Whether a store opened with the others has no need to be opened again with these: they are the same, and credentials that
    /// expire are renewed from the same place.
    pub(crate) fn is_equivalent(&self, other: &StoreOptions) -> bool {
        let same_settings = match (&self.source, &other.source) {
            (Source::Settings, Source::Settings) => self.settings == other.settings,
            (Source::Given(these), Source::Given(others)) => these == others && self.settings == other.settings,
            (Source::Provider(these), Source::Provider(others)) => these.is(others) && self.settings == other.settings,
            (Source::Found(these), Source::Found(others)) => these == others && self.settings == other.settings,
            (Source::Rediscovered(these), Source::Rediscovered(others)) => {
                let same_settings = match (these.expires_at, others.expires_at) {
                    (Some(_), Some(_)) => credentials::are_equal_but_for_them(&self.settings, &other.settings),
                    (None, None) => self.settings == other.settings,
                    _ => false,
                };
                these.profile == others.profile && same_settings
            }
            _ => false,
        };
        same_settings
            && self.tls == other.tls
            && self.egress == other.egress
            && self.allow_private == other.allow_private
            && self.proxy == other.proxy
            && self.plugin == other.plugin
            && self.timeouts == other.timeouts
    }

    /// Whether a store opened with these is the same whenever it is opened: its settings and credentials are given, and no tenant is
    /// charged for it.
    pub(crate) fn is_reopenable(&self) -> bool {
        matches!(self.source, Source::Settings | Source::Given(_)) && self.tenant.is_none()
    }

    /// The part of the options that is hashed to find an equivalent store.
    pub(crate) fn hashed(&self) -> impl Hash + '_ {
        let given = match &self.source {
            Source::Given(credentials) => Some(credentials),
            _ => None,
        };
        (&*self.settings, given.map(Credentials::hashed))
    }

    /// Queries the provider of the credentials, if there is one, for at most this time.
    ///
    /// # Errors
    /// As opening a store, if the provider has none to give.
    pub(crate) async fn query_credentials(&self, time: Duration) -> Result<()> {
        let Source::Provider(provider) = &self.source else { return Ok(()) };
        match timeout(time, provider.current()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(no_credentials(&why)),
            Err(_) => Err(no_credentials("it has not given any in time")),
        }
    }

    /// The same without the provider of credentials, to check the settings while it has none to give.
    pub(crate) fn without_provider(mut self) -> Self {
        self.source = Source::Settings;
        self
    }

    /// The limits of the store.
    pub(crate) fn limits(&self, engine: &Limits) -> Result<Limits> {
        let Timeouts { call_time, timeout, between_bytes } = self.timeouts;
        let wrong = |name: &str, what: String| {
            let message = format!("opening the store: `StoreOptions::{name}` {what}");
            Err(Error::InvalidArgument(Failure::ours(name, message)))
        };
        for (name, time) in [("call_time", call_time), ("timeout", timeout), ("between_bytes_timeout", between_bytes)] {
            if time.is_some_and(|time| time.is_zero()) {
                return wrong(name, "must be above 0".to_owned());
            }
        }
        let longest = engine.longest_call();
        if let Some(time) = call_time
            && time > longest
        {
            let set = named("max-call-time");
            return wrong("call_time", format!("is {time:?}; {set} allows at most {longest:?}"));
        }
        // Nothing lasts longer than a call.
        let bounded = |time: Duration| time.min(longest);
        let mut limits = engine.clone();
        limits.max_call_time = longest;
        limits.call_time = call_time.unwrap_or(limits.call_time);
        if let Some(timeout) = timeout.map(bounded) {
            limits.first_byte_timeout = limits.first_byte_timeout.max(timeout);
            limits.between_bytes_timeout = limits.between_bytes_timeout.max(timeout);
        }
        limits.between_bytes_timeout = between_bytes.map_or(limits.between_bytes_timeout, bounded);
        Ok(limits)
    }

    /// Completes the settings, above all with credentials. Queries the provider, or reads profiles.
    pub(crate) async fn complete(&mut self) -> Result<Option<Renewal>> {
        if let Some(time) = self.timeouts.timeout {
            let text = time.into_text();
            self.settings.replace("timeout", text);
        }
        match std::mem::take(&mut self.source) {
            Source::Settings => Ok(None),
            Source::Given(credentials) => {
                credentials.add_to(&mut self.settings);
                Ok(None)
            }
            Source::Provider(provider) => {
                let known = provider.current().await.map_err(|why| no_credentials(&why))?;
                known.credentials.add_to(&mut self.settings);
                Ok(Some(Renewal::of_known(provider, &known)))
            }
            Source::Found(profile) => {
                let found = credentials::find(std::mem::take(&mut self.settings), profile).await?;
                self.settings = found.settings;
                if self.tls.ca_file.is_none() {
                    self.tls.ca_file = found.ca_file;
                }
                Ok(found.renewal)
            }
            Source::Rediscovered(Rediscovered { provider, seen, expires_at, .. }) => {
                if expires_at.is_none_or(|end| std::time::SystemTime::now() < end) {
                    return Ok(Some(Renewal::new(provider, seen, expires_at)));
                }
                // The configuration was read long ago.
                match provider.current().await {
                    Ok(known) => {
                        self.settings = known.credentials.put_into(&self.settings);
                        Ok(Some(Renewal::of_known(provider, &known)))
                    }
                    Err(why) => {
                        tracing::warn!(why, "credentials of the configuration have expired and could not be renewed");
                        Ok(Some(Renewal::new(provider, seen, expires_at)))
                    }
                }
            }
        }
    }
}

/// The error of a store whose provider of credentials has none to give. It may have some later.
fn no_credentials(why: &str) -> Error {
    let message = format!("opening the store: the credentials provider failed: {why}");
    let mut failure = Failure::ours("access-key", message);
    failure.retryable = true;
    Error::AccessDenied(failure)
}

impl std::fmt::Debug for StoreOptions {
    /// Names only: which values are secret is the plugin's to know.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("StoreOptions");
        shown.field("settings", &self.settings).field("tls", &self.tls).field("egress", &self.egress);
        shown
            .field("allow_private", &self.allow_private)
            .field("proxy", &self.proxy)
            .field("plugin", &self.plugin)
            .field("timeouts", &self.timeouts);
        shown.finish_non_exhaustive()
    }
}
