//! Credentials found outside a store's settings, and their renewal before they expire.

use std::path::PathBuf;

use async_trait::async_trait;

use super::discovery::{Keys, complete};
use super::{Credentials, CredentialsProvider, Renewal, SharedProvider, Source};
use crate::error::{Error, Result};
use crate::support::environment::Environment;
use crate::types::settings::Settings;

/// Settings, completed with credentials.
pub(crate) struct Completed {
    pub(crate) settings: Settings,
    pub(crate) ca_file: Option<PathBuf>,
    /// The renewal of credentials that were found, from the same place.
    pub(crate) renewal: Option<Renewal>,
}

/// Completes settings from this profile, or like a section without one.
///
/// # Errors
/// [`Error::Config`].
pub(crate) async fn find(settings: Settings, profile: Option<String>) -> Result<Completed> {
    let environment = Environment::of_process();
    let provider = Rediscovery::provider(profile.clone(), &environment);
    let (name, seen) = (profile.clone(), provider.version());
    let found = blocking(move || {
        let mut settings = settings;
        let found = complete(&mut settings, name.as_deref(), &environment, Keys::Wanted)?;
        Ok((settings, found))
    });
    let (settings, found) = found.await.map_err(|message| {
        let key = if profile.is_some() { "profile" } else { "credentials" };
        Error::Config { path: None, line: None, key: Some(key.to_owned()), message }
    })?;
    let renewal = found.has_keys.then(|| Renewal::new(provider, seen, found.expires));
    Ok(Completed { settings, ca_file: found.ca_file, renewal })
}

/// Looks for credentials again in the same place.
pub(crate) struct Rediscovery {
    profile: Option<String>,
    environment: Environment,
}

impl Rediscovery {
    /// The provider of a profile's credentials, or of those that are found without one. In the process's own environment, all
    /// share it.
    pub(crate) fn provider(profile: Option<String>, environment: &Environment) -> SharedProvider {
        let source = environment.is_of_process().then(|| Source::Profile(profile.clone()));
        let make = || SharedProvider::new(Rediscovery { profile, environment: environment.clone() });
        match source {
            Some(source) => SharedProvider::of_source(source, make),
            None => make(),
        }
    }
}

#[async_trait]
impl CredentialsProvider for Rediscovery {
    async fn credentials(&self) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
        let (profile, environment) = (self.profile.clone(), self.environment.clone());
        let found = blocking(move || {
            let mut settings = Settings::default();
            let found = complete(&mut settings, profile.as_deref(), &environment, Keys::Wanted)?;
            Ok(Credentials::of_settings(&settings, found.expires))
        });
        Ok(found.await?.ok_or("the credentials are no longer where they were found")?)
    }
}

/// Reads files and runs programs on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    find: impl FnOnce() -> std::result::Result<T, String> + Send + 'static,
) -> std::result::Result<T, String> {
    let found = tokio::task::spawn_blocking(find).await;
    found.unwrap_or_else(|_| Err("looking for credentials was broken off".to_owned()))
}
