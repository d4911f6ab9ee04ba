//! Providers of credentials for programs.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_trait::async_trait;

// The module, not the function of this name.
use super::process::{self};
use super::rediscovery::blocking;
use super::{Credentials, CredentialsProvider, Rediscovery, SharedProvider, discovery};
use crate::support::environment::Environment;

type Error = Box<dyn StdError + Send + Sync>;

/// A provider of these credentials. They are not renewed.
pub fn fixed(credentials: Credentials) -> SharedProvider {
    SharedProvider::new(move || {
        let credentials = credentials.clone();
        async move { Ok::<_, Error>(credentials) }
    })
}

/// A provider of the credentials in `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` and
/// `AWS_CREDENTIAL_EXPIRATION`. Reads the variables for each query.
pub fn environment() -> SharedProvider {
    SharedProvider::new(|| async {
        let found = discovery::of_variables(&Environment::of_process())?;
        found.ok_or_else(|| Error::from("AWS_ACCESS_KEY_ID is not set"))
    })
}

/// A provider of the credentials of this profile of AWS's shared credentials and config files: its keys, or those that its
/// `credential_process` prints. Reads the files for each query, so it finds what a tool writes into them. All who name the same
/// profile share one provider.
///
/// Roles, SSO and web identity need the feature `aws-config`: `aws_profile`.
pub fn profile(name: impl Into<String>) -> SharedProvider {
    Rediscovery::provider(Some(name.into()), &Environment::of_process())
}

/// A provider of the credentials that a program prints, as specified for `credential_process` in AWS's SDKs and Tools Reference
/// Guide. It is run for each query, without a shell; it may take 60 s and print 64 KiB.
///
/// ```no_run
/// let provider = sandbucket::credentials::process("/usr/bin/vault-keys --role 'photo archive'");
/// ```
pub fn process(command: impl Into<String>) -> SharedProvider {
    let command = command.into();
    SharedProvider::new(move || {
        let command = command.clone();
        async move {
            let ran = blocking(move || process::run(&command, process::TIMEOUT));
            Ok::<_, Error>(ran.await.map_err(|message| format!("credential_process: {message}"))?.into())
        }
    })
}

/// A provider of the credentials of the first of these that gives some. It stays with that one: if it fails later, the others are
/// not queried, since theirs may be those of somebody else. At most 16.
///
/// ```no_run
/// use sandbucket::credentials::{chain, environment, profile};
///
/// let provider = chain([environment(), profile("photos")]);
/// ```
pub fn chain(providers: impl IntoIterator<Item = SharedProvider>) -> SharedProvider {
    let providers = providers.into_iter().take(MAX_CHAIN).collect();
    SharedProvider::new(Chain { providers, chosen: AtomicUsize::new(usize::MAX) })
}

/// The time for a query is that of all of them.
const MAX_CHAIN: usize = 16;

struct Chain {
    providers: Vec<SharedProvider>,
    /// The index of the one that gave credentials.
    chosen: AtomicUsize,
}

#[async_trait]
impl CredentialsProvider for Chain {
    async fn credentials(&self) -> Result<Credentials, Error> {
        if let Some(chosen) = self.providers.get(self.chosen.load(Relaxed)) {
            return chosen.credentials().await;
        }
        let mut failures = Vec::new();
        for (index, provider) in self.providers.iter().enumerate() {
            match provider.credentials().await {
                Ok(credentials) => {
                    self.chosen.store(index, Relaxed);
                    return Ok(credentials);
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        Err(format!("no provider of the chain gave credentials: {}", failures.join("; ")).into())
    }
}

impl From<process::Credentials> for Credentials {
    fn from(printed: process::Credentials) -> Credentials {
        let process::Credentials { access_key, secret_key, token, expires } = printed;
        Credentials { access_key, secret_key, session_token: token, expires_at: expires }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    async fn key(provider: &SharedProvider) -> Result<String, String> {
        let given = provider.credentials().await.map_err(|error| error.to_string())?;
        Ok(given.access_key.to_string())
    }

    #[tokio::test]
    async fn chain_stays_with_the_provider_that_gave_credentials() {
        let works = Arc::new(AtomicBool::new(true));
        let state = works.clone();
        let second = SharedProvider::new(move || {
            let works = state.load(Relaxed);
            async move { if works { Ok(Credentials::new("second", "s")) } else { Err(Error::from("sealed")) } }
        });
        let first = || SharedProvider::new(|| async { Err::<Credentials, _>(Error::from("not here")) });
        let third = fixed(Credentials::new("third", "s"));
        let chained = chain([first(), second, third]);
        assert_eq!(key(&chained).await.as_deref(), Ok("second"));
        works.store(false, Relaxed);
        assert_eq!(key(&chained).await, Err("sealed".to_owned()));
        let none = chain([first(), first()]);
        let why = "no provider of the chain gave credentials: not here; not here";
        assert_eq!(key(&none).await.as_ref().map_err(String::as_str), Err(why));
        assert!(key(&chain([])).await.is_err());
    }

    #[tokio::test]
    async fn process_provides_what_it_prints() {
        let printing = process(r#"echo '{"Version":1,"AccessKeyId":"AK","SecretAccessKey":"hush"}'"#);
        assert_eq!(key(&printing).await.as_deref(), Ok("AK"));
        let error = key(&process("echo hush")).await.unwrap_err();
        assert!(error.starts_with("credential_process: echo prints no such JSON"), "{error}");
    }
}
