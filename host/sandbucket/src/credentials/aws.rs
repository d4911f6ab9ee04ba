//! Credentials through the crate `aws-config`: SSO, web identity, roles, ECS and EKS, EC2.

use std::error::Error as StdError;

use async_trait::async_trait;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Mutex;

use super::{Credentials, CredentialsProvider, SharedProvider, Source};
use crate::support::environment::Environment;

/// The region of STS if none is configured: that of AWS's own default endpoint.
const DEFAULT_REGION: &str = "us-east-1";

/// A provider of the credentials that AWS's default chain finds: in variables, in the profile that `AWS_PROFILE` or else
/// `default` names (keys, roles, SSO, `credential_process`), by web identity (EKS's service accounts), from the container's
/// endpoint (ECS, EKS Pod Identity), or from the instance metadata service of EC2, version 2. Needs the feature `aws-config`.
///
/// The chain sends its requests with its own HTTP client, past the sandbox and the egress policy of stores: to STS, SSO, and
/// link-local or loopback addresses. It belongs to the operator, as do the credentials. All who use it share one provider.
///
/// In configuration, it is `credentials = "aws"` in the store's section.
///
/// ```no_run
/// # async fn example(engine: sandbucket::Engine) -> sandbucket::Result<()> {
/// use sandbucket::{StoreOptions, credentials};
///
/// let options = StoreOptions::new().setting("bucket", "photos").setting("region", "eu-west-1");
/// let store = engine.open(options.credentials_provider(credentials::aws())).await?;
/// # Ok(())
/// # }
/// ```
pub fn aws() -> SharedProvider {
    of_chain(None)
}

/// A provider of the credentials of this profile alone, by any of the chain's ways: keys, roles, SSO, web identity,
/// `credential_process`. Unlike [`aws`], it takes none from variables, containers or EC2, unless the profile names them in
/// `credential_source`: a program may give each of its tenants another profile.
pub fn aws_profile(name: impl Into<String>) -> SharedProvider {
    let region = Environment::of_process().variable("AWS_REGION").ok().flatten();
    of_profile(name.into(), None, region.map(|mut region| std::mem::take(&mut *region)))
}

/// The chain, for which STS is asked in this region. Default: that of `AWS_REGION` or of the profile.
pub(crate) fn of_chain(region: Option<String>) -> SharedProvider {
    shared(Source::Aws(region.clone()), Origin::Chain { region })
}

/// The profile, for which STS is asked in this region. Default: the profile's, or else `fallback`.
pub(crate) fn of_profile(profile: String, region: Option<String>, fallback: Option<String>) -> SharedProvider {
    let source = Source::AwsProfile(profile.clone(), region.clone(), fallback.clone());
    shared(source, Origin::Profile { profile, region, fallback })
}

fn shared(source: Source, origin: Origin) -> SharedProvider {
    SharedProvider::of_source(source, || SharedProvider::new(Loaded { origin, provider: Mutex::default() }))
}

/// A provider of AWS's SDK for Rust, such as an `AssumeRoleProvider` with a session policy for one tenant. Needs the feature
/// `aws-config`.
pub fn from_sdk(provider: impl ProvideCredentials + 'static) -> SharedProvider {
    SharedProvider::new(Given(SharedCredentialsProvider::new(provider)))
}

/// A provider of the SDK that the program made.
struct Given(SharedCredentialsProvider);

/// One that is made when it is first queried.
struct Loaded {
    origin: Origin,
    provider: Mutex<Option<SharedCredentialsProvider>>,
}

enum Origin {
    Chain { region: Option<String> },
    Profile { profile: String, region: Option<String>, fallback: Option<String> },
}

impl Origin {
    async fn load(&self) -> Result<SharedCredentialsProvider, &'static str> {
        match self {
            Origin::Chain { region } => {
                // Not from the metadata service, which is slow to be absent.
                let region = RegionProviderChain::first_try(region.clone().map(Region::new))
                    .or_else(EnvironmentVariableRegionProvider::new())
                    .or_else(ProfileFileRegionProvider::builder().build())
                    .or_else(DEFAULT_REGION);
                let loaded = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
                loaded.credentials_provider().ok_or("the chain has no provider")
            }
            Origin::Profile { profile, region, fallback } => {
                let of_profile = ProfileFileRegionProvider::builder().profile_name(profile).build();
                let region = RegionProviderChain::first_try(region.clone().map(Region::new))
                    .or_else(of_profile)
                    .or_else(fallback.clone().map(Region::new))
                    .or_else(DEFAULT_REGION);
                // How STS and SSO are asked: by which endpoints, how often.
                let loader = aws_config::defaults(BehaviorVersion::latest()).profile_name(profile).region(region);
                let loaded = loader.no_credentials().load().await;
                let mut config = ProviderConfig::without_region()
                    .with_behavior_version(Some(BehaviorVersion::latest()))
                    .with_region(loaded.region().cloned())
                    .with_use_fips(loaded.use_fips())
                    .with_use_dual_stack(loaded.use_dual_stack());
                if let Some(retries) = loaded.retry_config() {
                    config = config.with_retry_config(retries.clone());
                }
                if let Some(timeouts) = loaded.timeout_config() {
                    config = config.with_timeout_config(timeouts.clone());
                }
                // Not the chain: it queries variables before any profile.
                let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile);
                Ok(SharedCredentialsProvider::new(provider.build()))
            }
        }
    }
}

#[async_trait]
impl CredentialsProvider for Loaded {
    async fn credentials(&self) -> Result<Credentials, Box<dyn StdError + Send + Sync>> {
        let mut provider = self.provider.lock().await;
        let loaded = match &*provider {
            Some(loaded) => loaded.clone(),
            None => provider.insert(self.origin.load().await?).clone(),
        };
        let given = query(&loaded).await;
        if given.is_err() {
            // It keeps the files that it has read, and a later query is to find them mended.
            *provider = None;
        }
        given
    }
}

#[async_trait]
impl CredentialsProvider for Given {
    async fn credentials(&self) -> Result<Credentials, Box<dyn StdError + Send + Sync>> {
        query(&self.0).await
    }
}

async fn query(provider: &SharedCredentialsProvider) -> Result<Credentials, Box<dyn StdError + Send + Sync>> {
    let given = provider.provide_credentials().await.map_err(|error| explained(&error))?;
    let mut credentials = Credentials::new(given.access_key_id(), given.secret_access_key());
    if let Some(token) = given.session_token() {
        credentials = credentials.session_token(token);
    }
    Ok(match given.expiry() {
        Some(expiry) => credentials.expires_at(expiry),
        None => credentials,
    })
}

/// An error with its causes. Only what they display: their debugging output contains responses.
fn explained(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let of_cause = error.to_string();
        if !text.ends_with(&of_cause) {
            text.push_str(": ");
            text.push_str(&of_cause);
        }
        cause = error.source();
    }
    // The chain's own text has a line for each provider.
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
