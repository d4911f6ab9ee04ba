//! Settings of a store: [`parse`] converts names and values to [`Settings`], and [`TABLE`] documents them.

pub mod duration;
mod table;

pub use table::{Setting, SettingKind, TABLE};

use std::fmt;
use std::time::Duration;

use crate::contract::error::{Error, Failure, tidy};
use crate::s3::attributes;
use crate::s3::checksum::Algorithm;
use crate::s3::endpoint::{AddressingStyle, AwsHosts, Endpoint};
use crate::s3::key::MAX_KEY;

/// Settings in the same section that only the host uses.
const HOST_SETTINGS: [&str; 5] = ["profile", "allow-invalid-certs", "allow-private", "ca-file", "proxy"];

/// Default of `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Default of `completion-timeout`: according to Amazon a completion can take several minutes.
const DEFAULT_COMPLETION_TIMEOUT: Duration = Duration::from_secs(300);

/// Maximum of `timeout` and `completion-timeout`.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Maximum of `max-retries`.
const MAX_RETRIES: u32 = 100;

/// A text that is never displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// Returns the text, for signing or sending.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

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

/// Default of the setting `max-retries`. The backoffs add up to 12.75 s to 25.5 s, longer than an outage of 10 s.
pub const DEFAULT_RETRIES: u32 = 8;

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
    let given = Given::collect(pairs)?;
    let bucket = given.text("bucket").ok_or_else(|| Error::fault("bucket", "the setting bucket is missing"))?;
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
    // The host implements it: an instance does not know the requests of others.
    given.choice("retry-mode", &["standard", "adaptive"])?;
    let hosts = AwsHosts {
        dual_stack: given.flag("dual-stack")?,
        fips: given.flag("fips")?,
        accelerate: given.flag("accelerate")?,
    };
    let endpoint = Endpoint::resolve(given.text("endpoint"), region, bucket, style, hosts)?;
    let (defaults, allow_insecure_customer_key) = (given.defaults()?, given.flag(ALLOW_INSECURE_CUSTOMER_KEY)?);
    if defaults.has("sse-customer-key") && !endpoint.https && !allow_insecure_customer_key {
        return Err(insecure_customer_key("sse-customer-key", "the setting sse-customer-key"));
    }
    Ok(Settings {
        credentials: given.credentials()?,
        timeout: given.timeout("timeout", DEFAULT_TIMEOUT)?,
        completion_timeout: given.timeout("completion-timeout", DEFAULT_COMPLETION_TIMEOUT)?,
        max_retries: given.max_retries()?,
        key_prefix: given.key_prefix()?,
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

/// The settings that are not blank, by their names in the table.
struct Given<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Given<'a> {
    fn collect(pairs: &'a [(String, String)]) -> Result<Self, Failure> {
        let mut given: Vec<(&'static str, &'a str)> = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let known = TABLE.iter().find(|setting| setting.name == name || setting.aliases.contains(&name.as_str()));
            if value.trim().is_empty() && (known.is_some() || HOST_SETTINGS.contains(&name.as_str())) {
                continue;
            }
            let Some(known) = known else {
                return Err(unknown(name));
            };
            if given.iter().any(|(there, _)| *there == known.name) {
                let also = if known.aliases.is_empty() {
                    String::new()
                } else {
                    format!(" ({} is the same setting)", known.aliases.join(", "))
                };
                return Err(Error::fault(known.name, format!("the setting {} is given twice{also}", known.name)));
            }
            given.push((known.name, value));
        }
        Ok(Given(given))
    }

    /// The untrimmed value.
    fn raw_text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(there, _)| *there == name).map(|(_, value)| *value)
    }

    /// The trimmed value.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.raw_text(name).map(str::trim)
    }

    /// Index of the value in a list of choices.
    fn choice(&self, name: &'static str, words: &[&str]) -> Result<Option<usize>, Failure> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        match words.iter().position(|word| word.eq_ignore_ascii_case(value)) {
            None => Err(malformed(name, &format!("must be {}, not \"{}\"", words.join(" or "), tidy(value, 64)))),
            which => Ok(which),
        }
    }

    fn flag(&self, name: &'static str) -> Result<bool, Failure> {
        Ok(self.choice(name, &["true", "false"])? == Some(0))
    }

    fn defaults(&self) -> Result<Defaults, Failure> {
        let mut defaults = Vec::new();
        for name in DEFAULTS {
            if let Some(value) = self.text(name) {
                let sent = attributes::check(name, value)
                    .map_err(|fault| Error::fault(name, format!("the setting {}", fault.message)))?;
                if sent {
                    defaults.push((name, Secret::new(value)));
                }
            }
        }
        let defaults = Defaults(defaults);
        if defaults.has("sse-customer-key")
            && (defaults.has("server-side-encryption") || defaults.has("sse-kms-key-id"))
        {
            return Err(malformed(
                "sse-customer-key",
                "goes with no server-side-encryption and no sse-kms-key-id: a blob is encrypted one way",
            ));
        }
        Ok(defaults)
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let (access_key, secret_key, token) =
            (self.text("access-key"), self.text("secret-key"), self.text("security-token"));
        let (access_key, secret_key) = match (access_key, secret_key) {
            (Some(access_key), Some(secret_key)) => (access_key, secret_key),
            (Some(_), None) => return Err(Error::fault("secret-key", "there is an access-key but no secret-key")),
            (None, Some(_)) => return Err(Error::fault("access-key", "there is a secret-key but no access-key")),
            (None, None) if token.is_some() => {
                return Err(Error::fault(
                    "access-key",
                    "there is a security-token but no access-key and no secret-key",
                ));
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

    fn timeout(&self, name: &'static str, default: Duration) -> Result<Duration, Failure> {
        let timeout = match self.text(name) {
            None => return Ok(default),
            Some(text) => duration::parse(text).map_err(|why| malformed(name, &format!("is wrong: {why}")))?,
        };
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            return Err(malformed(name, "must be above 0 and at most 24h"));
        }
        Ok(timeout)
    }

    fn max_retries(&self) -> Result<u32, Failure> {
        let Some(text) = self.text("max-retries") else {
            return Ok(DEFAULT_RETRIES);
        };
        match text.parse() {
            Ok(count) if count <= MAX_RETRIES => Ok(count),
            _ => Err(malformed(
                "max-retries",
                &format!("must be a number from 0 to {MAX_RETRIES}, not \"{}\"", tidy(text, 64)),
            )),
        }
    }

    fn key_prefix(&self) -> Result<String, Failure> {
        let prefix = self.raw_text("key-prefix").unwrap_or_default();
        if prefix.len() >= MAX_KEY {
            let why = format!("has {} bytes, which leaves none of S3's {MAX_KEY} for a key", prefix.len());
            return Err(malformed("key-prefix", &why));
        }
        Ok(prefix.to_owned())
    }
}

fn malformed(name: &'static str, why: &str) -> Failure {
    Error::fault(name, format!("the setting {name} {why}"))
}

/// The fault of an unknown setting. Omits its value, which may be a secret under a misspelled name.
fn unknown(name: &str) -> Failure {
    let shown = tidy(name, 64);
    let message = match name {
        "profile" => {
            "the setting profile must be resolved by the host: the plugin reads no files, and takes the profile's \
                      access-key, secret-key and security-token instead"
                .to_owned()
        }
        _ if HOST_SETTINGS.contains(&name) => {
            format!("the setting {shown} is for the host: the plugin does not take it")
        }
        _ => match nearest(&shown) {
            Some(near) => format!("there is no setting \"{shown}\"; did you mean {near}?"),
            None => {
                let names: Vec<&str> = TABLE.iter().map(|setting| setting.name).collect();
                format!("there is no setting \"{shown}\"; there are {}", names.join(", "))
            }
        },
    };
    Error::fault(&shown, message)
}

/// The most similar known name, if there is one.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase().replace(['_', ' ', '.'], "-");
    let names = TABLE.iter().flat_map(|setting| std::iter::once(&setting.name).chain(setting.aliases));
    names
        .chain(&HOST_SETTINGS)
        .map(|known| (strsim::jaro_winkler(&name, known), *known))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
