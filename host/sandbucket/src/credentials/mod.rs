//! Credentials of a store: fixed, or supplied by a provider and renewed before they expire.
//!
//! [`StoreOptions::credentials`](crate::StoreOptions::credentials) takes a key pair, and
//! [`StoreOptions::credentials_provider`](crate::StoreOptions::credentials_provider) a [`CredentialsProvider`]: one of this module, or
//! any type or closure that returns [`Credentials`]. The store queries it when it is opened, 5 minutes before the credentials expire,
//! and when the service rejects them, in which case the call is repeated with what it gives.
//!
//! | provider | credentials |
//! |---|---|
//! | [`fixed`] | the ones given |
//! | [`environment`] | `AWS_ACCESS_KEY_ID` and so on |
//! | [`profile`] | a profile's keys or `credential_process` |
//! | [`process`] | the output of a program |
//! | [`chain`] | of the first of several providers that has any |
//! | `aws`, `aws_profile`, `from_sdk` | AWS's own chain, a profile alone, or SDK: roles, SSO, web identity, ECS, EKS, EC2; with the feature `aws-config` |
//!
//! Stores that are given clones of one [`SharedProvider`] share its queries.

#[cfg(feature = "aws-config")]
mod aws;
pub(crate) mod discovery;
mod expiration;
mod process;
pub(crate) mod profiles;
mod providers;
mod rediscovery;
mod renewal;
mod shared;

use std::fmt;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::types::settings::Settings;
#[cfg(feature = "aws-config")]
pub use aws::{aws, aws_profile, from_sdk};
#[cfg(feature = "aws-config")]
pub(crate) use aws::{of_chain, of_profile};
pub use providers::{chain, environment, fixed, process, profile};
pub(crate) use rediscovery::{Rediscovery, find};
pub(crate) use renewal::Renewal;
pub use shared::SharedProvider;
pub(crate) use shared::{Reason, Source};

/// Credentials are renewed this long before they expire, or after half of their lifetime if that is later. Same as AWS's
/// SDKs.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// The settings that hold credentials.
pub(crate) const NAMES: [&str; 4] = ["access-key", "secret-key", TOKENS[0], TOKENS[1]];
/// Those of them that hold a session token.
pub(crate) const TOKENS: [&str; 2] = ["security-token", "session-token"];

/// A key pair, with a session token if it is temporary. Wiped from memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: Zeroizing<String>,
    secret_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
    expires_at: Option<SystemTime>,
}

impl Credentials {
    /// A key pair that does not expire. Text is taken literally.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        let (access_key, secret_key) = (Zeroizing::new(access_key.into()), Zeroizing::new(secret_key.into()));
        Credentials { access_key, secret_key, session_token: None, expires_at: None }
    }

    /// Sets the session token of temporary credentials.
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(Zeroizing::new(token.into()));
        self
    }

    /// Sets the expiration. A store with a [`CredentialsProvider`] renews them 5 minutes before.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// The credentials in these settings.
    pub(crate) fn of_settings(settings: &Settings, expires_at: Option<SystemTime>) -> Option<Credentials> {
        let of = |name: &str| settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let credentials = Credentials::new(of("access-key")?, of("secret-key")?);
        let token = of("security-token").or_else(|| of("session-token"));
        let credentials = match token {
            Some(token) => credentials.session_token(token),
            None => credentials,
        };
        Some(Credentials { expires_at, ..credentials })
    }

    /// Adds the credentials to settings.
    pub(crate) fn add_to(&self, settings: &mut Settings) {
        let mut add = |name: &str, value: &str| settings.push(name.to_owned(), value.to_owned());
        add("access-key", &self.access_key);
        add("secret-key", &self.secret_key);
        if let Some(token) = &self.session_token {
            add("security-token", token);
        }
    }

    /// What is hashed to find a store with the same credentials.
    pub(crate) fn hashed(&self) -> impl Hash + '_ {
        (self.access_key.as_str(), self.secret_key.as_str())
    }

    /// Whether both are the same keys, whenever they expire.
    fn is_same_key(&self, other: &Credentials) -> bool {
        self.access_key == other.access_key
            && self.secret_key == other.secret_key
            && self.session_token == other.session_token
    }

    /// Whether these settings contain the credentials.
    pub(crate) fn is_in(&self, settings: &Settings) -> bool {
        let of = |name: &str| settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        of("access-key") == Some(&self.access_key)
            && of("secret-key") == Some(&self.secret_key)
            && of("security-token").or_else(|| of("session-token"))
                == self.session_token.as_ref().map(|token| token.as_str())
    }

    /// A copy of the settings with these credentials.
    pub(crate) fn put_into(&self, settings: &Settings) -> Settings {
        let mut others = Settings::default();
        for (name, value) in settings.iter().filter(|(name, _)| !NAMES.contains(&name.as_str())) {
            others.push(name.clone(), value.clone());
        }
        self.add_to(&mut others);
        others
    }
}

/// Whether settings are equal, credentials disregarded.
pub(crate) fn are_equal_but_for_them(these: &Settings, others: &Settings) -> bool {
    let is_other = |(name, _): &&(String, String)| !NAMES.contains(&name.as_str());
    these.iter().filter(is_other).eq(others.iter().filter(is_other))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Supplies a store's credentials when it is opened, and before they expire.
///
/// An async closure is a provider:
///
/// ```no_run
/// # async fn example(engine: sandbucket::Engine) -> sandbucket::Result<()> {
/// use std::time::{Duration, SystemTime};
///
/// use sandbucket::{Credentials, StoreOptions};
///
/// let provider = || async {
///     // Asks a vault, for example.
///     let credentials = Credentials::new("AKID…", "secret").session_token("token");
///     Ok::<_, std::io::Error>(credentials.expires_at(SystemTime::now() + Duration::from_secs(3600)))
/// };
/// let options = StoreOptions::new().setting("bucket", "photos").setting("region", "eu-west-1");
/// let store = engine.open(options.credentials_provider(provider)).await?;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait CredentialsProvider: Send + Sync + 'static {
    /// Returns credentials within 60 s. It is invoked once at a time, for all stores that share it ([`SharedProvider`]):
    /// 5 minutes before the credentials expire (or after half of their lifetime, if that is later), when a store is next
    /// used, and at once if the service rejects them. Errors are logged and shown, so they must not contain secrets.
    async fn credentials(&self) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>>;
}

#[async_trait]
impl<F, C, E> CredentialsProvider for F
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<Credentials, E>> + Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn credentials(&self) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
        self().await.map_err(Into::into)
    }
}

/// Codes of responses that reject credentials that were valid before: they have expired, were revoked, or were replaced.
const REJECTIONS: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// Whether the service rejected the credentials of a request, so that others may help. `RequestExpired` is no rejection: it
/// is about the clock. To a `head` S3 gives no code: an expired token is a bare 400.
pub(crate) fn is_rejection(error: &Error, has_token: impl FnOnce() -> bool) -> bool {
    let Some(response) = error.failure().and_then(|failure| failure.response.as_ref()) else { return false };
    match &response.code {
        Some(code) => REJECTIONS.contains(&code.as_str()),
        None => response.status == 400 && has_token(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, ServiceResponse};

    #[test]
    fn credentials_override_those_of_settings_and_are_not_shown() {
        let mut settings = Settings::default();
        for (name, value) in [("bucket", "b"), ("access-key", "old"), ("secret-key", "o"), ("session-token", "t")] {
            settings.push(name.to_owned(), value.to_owned());
        }
        let credentials = Credentials::new("new", "hush%{x").session_token("hush");
        let put = credentials.put_into(&settings);
        let put: Vec<_> = put.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [("bucket", "b"), ("access-key", "new"), ("secret-key", "hush%{x"), ("security-token", "hush")];
        assert_eq!(put, expected);
        assert!(!format!("{credentials:?}").contains("hush"));
    }
    #[test]
    fn only_rejected_credentials_are_renewed() {
        let error = |status: u16, code: Option<&str>| {
            let code = code.map(str::to_owned);
            let response = Some(ServiceResponse { status, code, ..ServiceResponse::default() });
            let mut failure = Failure::new("no");
            failure.response = response;
            Error::Service(Box::new(failure))
        };
        assert!(is_rejection(&error(400, Some("ExpiredToken")), || false));
        assert!(is_rejection(&error(403, Some("InvalidAccessKeyId")), || false));
        assert!(is_rejection(&error(400, None), || true));
        assert!(!is_rejection(&error(400, None), || false));
        assert!(!is_rejection(&error(403, None), || true));
        assert!(!is_rejection(&error(403, Some("AccessDenied")), || true));
        assert!(!is_rejection(&error(400, Some("RequestExpired")), || true));
        assert!(!is_rejection(&Error::Timeout(Box::new(Failure::new("late"))), || true));
    }
}
