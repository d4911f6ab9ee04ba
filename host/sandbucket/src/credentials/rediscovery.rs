//! Credentials found outside a store's settings, and their renewal before they expire.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

use super::discovery::complete;
use super::{Credentials, CredentialsProvider};
use crate::error::{Error, Result};
use crate::support::environment::Environment;
use crate::types::settings::Settings;

/// Settings, completed with credentials.
pub(crate) struct Completed {
    pub(crate) settings: Settings,
    pub(crate) ca_file: Option<PathBuf>,
    /// The provider of new credentials before these expire.
    pub(crate) renewal: Option<(Arc<dyn CredentialsProvider>, Option<SystemTime>)>,
}

/// Completes settings from this profile, or like a section without one.
///
/// # Errors
/// [`Error::Config`].
pub(crate) async fn find(settings: Settings, profile: Option<String>) -> Result<Completed> {
    let environment = Environment::of_process();
    let name = profile.clone();
    let found = blocking(move || {
        let mut settings = settings;
        let found = complete(&mut settings, name.as_deref(), &environment)?;
        Ok((settings, found))
    });
    let (settings, found) = found.await.map_err(|message| {
        let key = if profile.is_some() { "profile" } else { "credentials" };
        Error::Config { path: None, line: None, key: Some(key.to_owned()), message }
    })?;
    let renewal =
        found.expires.map(|expires| (Rediscovery::provider(profile, Environment::of_process()), Some(expires)));
    Ok(Completed { settings, ca_file: found.ca_file, renewal })
}

/// Looks for credentials again in the same place.
pub(crate) struct Rediscovery {
    profile: Option<String>,
    environment: Environment,
}

impl Rediscovery {
    pub(crate) fn provider(profile: Option<String>, environment: Environment) -> Arc<dyn CredentialsProvider> {
        Arc::new(Rediscovery { profile, environment })
    }
}

#[async_trait]
impl CredentialsProvider for Rediscovery {
    async fn credentials(&self) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
        let (profile, environment) = (self.profile.clone(), self.environment.clone());
        let found = blocking(move || {
            let mut settings = Settings::default();
            let found = complete(&mut settings, profile.as_deref(), &environment)?;
            Ok(Credentials::of_settings(&settings, found.expires))
        });
        Ok(found.await?.ok_or("the credentials are no longer where they were found")?)
    }
}

/// Reads files and runs programs on a thread that may block.
async fn blocking<T: Send + 'static>(
    find: impl FnOnce() -> std::result::Result<T, String> + Send + 'static,
) -> std::result::Result<T, String> {
    let found = tokio::task::spawn_blocking(find).await;
    found.unwrap_or_else(|_| Err("looking for credentials was broken off".to_owned()))
}
