//! Settings of a store: [`parse`] converts names and values to [`Settings`], and [`TABLE`] documents them.

mod table;

pub use table::TABLE;

use std::time::Duration;

use sandbucket_plugin::checksum::Algorithm;
use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::key::MAX_KEY;
use sandbucket_plugin::settings::{DEFAULT_COMPLETION_TIMEOUT, DEFAULT_TIMEOUT, Secret, SettingValues, malformed};

use crate::attributes;
use crate::endpoint::{AddressingStyle, AwsHosts, Endpoint};

/// Credentials that sign requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Id of the access key. Visible ASCII.
    pub access_key: String,
    /// Secret of the access key.
    pub secret_key: Secret,
    /// Session token of temporary credentials. Visible ASCII and inner spaces.
    pub security_token: Option<Secret>,
}

/// Whether bodies are hashed and signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadSigning {
    /// Signed over http, unsigned over https.
    #[default]
    Auto,
    /// Always.
    Signed,
    /// Never.
    Unsigned,
}

/// Checksum sent with bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// CRC-64/NVME on AWS, none on other services, some of which do not know it.
    #[default]
    Auto,
    /// None.
    None,
    /// This algorithm.
    Of(Algorithm),
}

/// Default attributes of all calls whose operations accept them. Never displayed, as they may include a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults(pub Vec<(&'static str, Secret)>);

impl Defaults {
    fn has(&self, wanted: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == wanted)
    }
}

/// Setting that permits an `sse-customer-key` over plain http.
const ALLOW_INSECURE_CUSTOMER_KEY: &str = "allow-insecure-sse-customer-key";

/// The fault of a customer key over plain http. `what` names the setting, attribute or header.
pub(crate) fn insecure_customer_key(subject: &'static str, what: &str) -> Failure {
    let why = format!(
        "{what} would be sent over plain http, where everybody on the way can read it: use an https endpoint, or set \
         {ALLOW_INSECURE_CUSTOMER_KEY} = true for a service on a trusted network"
    );
    Error::fault(subject, why)
}

/// Settings that are default [attributes] of calls.
const DEFAULTS: [&str; 8] = [
    "storage-class",
    "acl",
    "server-side-encryption",
    "sse-kms-key-id",
    "sse-bucket-key",
    "sse-customer-key",
    "request-payer",
    "expected-bucket-owner",
];

/// Parsed settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the bucket.
    pub bucket: String,
    /// Region of signatures.
    pub region: String,
    /// None for anonymous access.
    pub credentials: Option<Credentials>,
    /// Address of the bucket.
    pub endpoint: Endpoint,
    /// Maximum time without progress, per attempt. Above 0.
    pub timeout: Duration,
    /// Maximum time until the response to a completion or a copy. Above 0.
    pub completion_timeout: Duration,
    /// Maximum number of retries of a request.
    pub max_retries: u32,
    /// Prefix of every key. Shorter than the maximum key.
    pub key_prefix: String,
    /// Whether a HEAD verifies a write before it returns.
    pub verify_after_write: bool,
    /// Whether a HEAD checks the condition of a completion or a copy before, for services that ignore it.
    pub check_conditions: bool,
    /// Whether bodies are signed.
    pub payload_signing: PayloadSigning,
    /// Checksum sent with bodies.
    pub checksum: Checksum,
    /// Default attributes.
    pub defaults: Defaults,
    /// Whether `sse-customer-key` may be sent over plain http.
    pub allow_insecure_customer_key: bool,
    /// Whether the service accepts `if-match` of a write only without quotes. Found out by requests, not set.
    pub bare_if_match: bool,
}

impl Settings {
    /// Algorithm of the checksum sent with bodies.
    pub fn checksum(&self) -> Option<Algorithm> {
        match self.checksum {
            Checksum::Auto => self.endpoint.aws.then_some(Algorithm::Crc64Nvme),
            Checksum::None => None,
            Checksum::Of(algorithm) => Some(algorithm),
        }
    }

    /// Whether a customer key may be sent. Over plain http others on the network can read it.
    pub fn sends_customer_keys(&self) -> bool {
        self.endpoint.https || self.allow_insecure_customer_key
    }

    /// Whether bodies are hashed and signed.
    pub fn signs_payload(&self) -> bool {
        self.credentials.is_some()
            && match self.payload_signing {
                PayloadSigning::Auto => !self.endpoint.https,
                PayloadSigning::Signed => true,
                PayloadSigning::Unsigned => false,
            }
    }

    /// Digests sent with bodies: the signed hash, and the checksum.
    pub fn wanted_digests(&self) -> impl Iterator<Item = Algorithm> + use<> {
        let signed = self.signs_payload().then_some(Algorithm::Sha256);
        signed.into_iter().chain(self.checksum().filter(|&algorithm| Some(algorithm) != signed))
    }
}

/// Parses settings. A blank one counts as absent. Values are trimmed, except `key-prefix`.
///
/// # Errors
/// A fault of a setting that is unknown, duplicate, missing, malformed or contradicts another. The message never contains a
/// secret.
pub fn parse(pairs: &[(String, String)]) -> Result<Settings, Failure> {
    read(&SettingValues::collect(TABLE, pairs)?)
}

/// As [`parse`], of values that were looked up in [`TABLE`].
pub(crate) fn read(given: &SettingValues<'_>) -> Result<Settings, Failure> {
    let bucket = given.required("bucket")?;
    let region = given.text("region").unwrap_or("us-east-1");
    if region.len() > 64 || !region.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(malformed("region", "must be at most 64 letters, digits and -._, such as eu-central-1"));
    }
    let style = match given.choice("addressing-style", &["auto", "path", "virtual"])? {
        Some(1) => AddressingStyle::Path,
        Some(2) => AddressingStyle::Virtual,
        _ => AddressingStyle::Auto,
    };
    let payload_signing = match given.choice("payload-signing", &["auto", "signed", "unsigned"])? {
        Some(1) => PayloadSigning::Signed,
        Some(2) => PayloadSigning::Unsigned,
        _ => PayloadSigning::Auto,
    };
    let checksums = ["auto", "none", "crc64nvme", "crc32c", "crc32", "sha256", "md5"];
    let checksum = match given.choice("checksum", &checksums)? {
        Some(1) => Checksum::None,
        Some(2) => Checksum::Of(Algorithm::Crc64Nvme),
        Some(3) => Checksum::Of(Algorithm::Crc32c),
        Some(4) => Checksum::Of(Algorithm::Crc32),
        Some(5) => Checksum::Of(Algorithm::Sha256),
        Some(6) => Checksum::Of(Algorithm::Md5),
        _ => Checksum::Auto,
    };
    given.retry_mode()?;
    let hosts = AwsHosts {
        dual_stack: given.flag("dual-stack")?,
        fips: given.flag("fips")?,
        accelerate: given.flag("accelerate")?,
    };
    let endpoint = Endpoint::resolve(given.text("endpoint"), region, bucket, style, hosts)?;
    let (defaults, allow_insecure_customer_key) = (defaults(given)?, given.flag(ALLOW_INSECURE_CUSTOMER_KEY)?);
    if defaults.has("sse-customer-key") && !endpoint.https && !allow_insecure_customer_key {
        return Err(insecure_customer_key("sse-customer-key", "the setting sse-customer-key"));
    }
    Ok(Settings {
        credentials: credentials(given)?,
        timeout: given.timeout("timeout", DEFAULT_TIMEOUT)?,
        completion_timeout: given.timeout("completion-timeout", DEFAULT_COMPLETION_TIMEOUT)?,
        max_retries: given.max_retries()?,
        key_prefix: given.key_prefix(MAX_KEY)?,
        bare_if_match: false,
        verify_after_write: given.flag("verify-after-write")?,
        check_conditions: given.choice("check-conditions", &["true", "false"])? != Some(1),
        payload_signing,
        checksum,
        defaults,
        allow_insecure_customer_key,
        bucket: bucket.to_owned(),
        // The ARN of an access point contains its region.
        region: endpoint.region.clone().unwrap_or_else(|| region.to_owned()),
        endpoint,
    })
}

/// The default attributes of calls.
fn defaults(given: &SettingValues<'_>) -> Result<Defaults, Failure> {
    let mut defaults = Vec::new();
    for name in DEFAULTS {
        if let Some(value) = given.text(name) {
            let sent = attributes::check(name, value)
                .map_err(|fault| Error::fault(name, format!("the setting {}", fault.message)))?;
            if sent {
                defaults.push((name, Secret::new(value)));
            }
        }
    }
    let defaults = Defaults(defaults);
    if defaults.has("sse-customer-key") && (defaults.has("server-side-encryption") || defaults.has("sse-kms-key-id")) {
        return Err(malformed(
            "sse-customer-key",
            "goes with no server-side-encryption and no sse-kms-key-id: a blob is encrypted one way",
        ));
    }
    Ok(defaults)
}

fn credentials(given: &SettingValues<'_>) -> Result<Option<Credentials>, Failure> {
    let (access_key, secret_key, token) =
        (given.text("access-key"), given.text("secret-key"), given.text("security-token"));
    let (access_key, secret_key) = match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => (access_key, secret_key),
        (Some(_), None) => return Err(Error::fault("secret-key", "there is an access-key but no secret-key")),
        (None, Some(_)) => return Err(Error::fault("access-key", "there is a secret-key but no access-key")),
        (None, None) if token.is_some() => {
            return Err(Error::fault("access-key", "there is a security-token but no access-key and no secret-key"));
        }
        (None, None) => return Ok(None),
    };
    // Both are sent in headers, where a line break begins another header, and a slash or a comma ends the id.
    if access_key.len() > 1024 || !access_key.bytes().all(|b| b.is_ascii_graphic() && !b"/,".contains(&b)) {
        let why =
            "must be visible ASCII without spaces, slashes and commas, at most 1,024 characters; is it the secret?";
        return Err(malformed("access-key", why));
    }
    if token.is_some_and(|token| token.len() > 16_384 || !token.bytes().all(|b| (b' '..=b'~').contains(&b))) {
        return Err(malformed("security-token", "must be visible ASCII on one line, at most 16 KiB"));
    }
    Ok(Some(Credentials {
        access_key: access_key.to_owned(),
        secret_key: Secret::new(secret_key),
        security_token: token.map(Secret::new),
    }))
}

#[cfg(test)]
mod tests;
