//! Credentials through the crate `aws-config`: SSO, web identity, roles, ECS and EKS, EC2.

use std::error::Error as StdError;

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::OnceCell;

use super::{Credentials, CredentialsProvider, SharedProvider, Source};

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
    of_chain(None, None)
}

/// The same, with this profile instead of the one that `AWS_PROFILE` names.
pub fn aws_profile(name: impl Into<String>) -> SharedProvider {
    of_chain(Some(name.into()), None)
}

/// The chain with this profile, for which STS is asked in this region. Default: that of `AWS_REGION` or of the profile.
pub(crate) fn of_chain(profile: Option<String>, region: Option<String>) -> SharedProvider {
    let source = Source::Aws(profile.clone(), region.clone());
    SharedProvider::of_source(source, || {
        SharedProvider::new(Sdk(Provider::Chain { profile, region, loaded: OnceCell::new() }))
    })
}

/// A provider of AWS's SDK for Rust, such as an `AssumeRoleProvider` with a session policy for one tenant. Needs the feature
/// `aws-config`.
pub fn from_sdk(provider: impl ProvideCredentials + 'static) -> SharedProvider {
    SharedProvider::new(Sdk(Provider::Given(SharedCredentialsProvider::new(provider))))
}

struct Sdk(Provider);

enum Provider {
    Given(SharedCredentialsProvider),
    Chain { profile: Option<String>, region: Option<String>, loaded: OnceCell<SharedCredentialsProvider> },
}

impl Provider {
    async fn get(&self) -> Result<&SharedCredentialsProvider, &'static str> {
        match self {
            Provider::Given(provider) => Ok(provider),
            Provider::Chain { profile, region, loaded } => {
                loaded.get_or_try_init(|| load(profile.as_deref(), region.as_deref())).await
            }
        }
    }
}

async fn load(profile: Option<&str>, region: Option<&str>) -> Result<SharedCredentialsProvider, &'static str> {
    let mut of_profile = ProfileFileRegionProvider::builder();
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = profile {
        of_profile = of_profile.profile_name(profile);
        loader = loader.profile_name(profile);
    }
    // Not from the metadata service, which is slow to be absent.
    let region = RegionProviderChain::first_try(region.map(|region| aws_config::Region::new(region.to_owned())))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(of_profile.build())
        .or_else(DEFAULT_REGION);
    let loaded = loader.region(region).load().await;
    loaded.credentials_provider().ok_or("the chain has no provider")
}

#[async_trait]
impl CredentialsProvider for Sdk {
    async fn credentials(&self) -> Result<Credentials, Box<dyn StdError + Send + Sync>> {
        let given = self.0.get().await?.provide_credentials().await.map_err(|error| explained(&error))?;
        let mut credentials = Credentials::new(given.access_key_id(), given.secret_access_key());
        if let Some(token) = given.session_token() {
            credentials = credentials.session_token(token);
        }
        Ok(match given.expiry() {
            Some(expiry) => credentials.expires_at(expiry),
            None => credentials,
        })
    }
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
