//! Settings of a store: [`parse`] converts names and values to [`Settings`], and [`TABLE`] documents them.

mod table;

pub use table::TABLE;

use std::fmt;
use std::time::Duration;

use sandbucket_plugin::checksum::Algorithm;
use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::settings::{DEFAULT_COMPLETION_TIMEOUT, DEFAULT_TIMEOUT, Secret, SettingValues, malformed};

use crate::attributes;
use crate::container;
use crate::endpoint::Endpoint;
use crate::key::MAX_KEY;
use crate::shared_key::{self, Key};

/// Maximum length of a shared access signature in bytes.
const MAX_TOKEN: usize = 4096;

/// Settings that are default [attributes] of calls.
const DEFAULTS: [&str; 2] = ["access-tier", attributes::SCOPE];

/// What authorizes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Each request is signed with a key of the account.
    SharedKey {
        /// Name of the account.
        account: String,
        /// One of its keys.
        key: Key,
    },
    /// A token is added to each request.
    Sas(SasToken),
    /// Nothing: containers with public access.
    Anonymous,
}

/// A shared access signature: names and values of query parameters, which are never displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct SasToken(Vec<(String, Secret)>);

impl SasToken {
    /// Parses a query, with or without a question mark before it.
    fn parse(text: &str) -> Result<SasToken, Failure> {
        let wrong = |why: &str| Err(malformed("sas-token", why));
        if text.len() > MAX_TOKEN || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return wrong("must be visible ASCII without spaces, at most 4 KiB");
        }
        let pairs = shared_key::parameters(text.trim_start_matches('?'));
        if !pairs.iter().any(|(name, value)| name == "sig" && !value.is_empty()) {
            return wrong("has no signature: it is the query of a URL, such as sv=…&sp=r&sig=…");
        }
        // Parameters of operations would change requests.
        if pairs
            .iter()
            .any(|(name, _)| matches!(name.as_str(), "comp" | "restype" | "blockid" | "versionid" | "snapshot"))
        {
            return wrong("has parameters that are no part of a signature");
        }
        Ok(SasToken(pairs.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()))
    }

    /// Names and values, not encoded.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }
}

impl fmt::Debug for SasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SasToken(…)")
    }
}

/// Parsed settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the container.
    pub container: String,
    /// Address of the account.
    pub endpoint: Endpoint,
    /// What authorizes requests.
    pub credentials: Credentials,
    /// Maximum time without progress, per attempt. Above 0.
    pub timeout: Duration,
    /// Maximum time until the response to a completion or a copy. Above 0.
    pub completion_timeout: Duration,
    /// Maximum number of retries of a request.
    pub max_retries: u32,
    /// Prefix of every key.
    pub key_prefix: String,
    /// Whether bodies are sent with their MD5, and MD5s in responses are verified.
    pub sends_md5: bool,
    /// Default attributes.
    pub defaults: Vec<(&'static str, String)>,
}

impl Settings {
    /// Whether requests are not authorized.
    pub fn is_anonymous(&self) -> bool {
        self.credentials == Credentials::Anonymous
    }

    /// Digests that bodies are sent with.
    pub fn wanted_digests(&self) -> impl Iterator<Item = Algorithm> + use<> {
        self.sends_md5.then_some(Algorithm::Md5).into_iter()
    }
}

/// Parses settings. Values are trimmed, except `key-prefix`.
///
/// # Errors
/// A fault of a setting that is missing, malformed or contradicts another. The message never contains a secret.
pub fn parse(given: &SettingValues<'_>) -> Result<Settings, Failure> {
    let name = given.required("container")?;
    container::check("container", name)?;
    let endpoint = Endpoint::resolve(given.text("endpoint"), given.text("account"))?;
    given.retry_mode()?;
    let mut defaults = Vec::new();
    for name in DEFAULTS {
        if let Some(value) = given.text(name) {
            attributes::check(name, value)
                .map_err(|fault| Error::fault(name, format!("the setting {}", fault.message)))?;
            defaults.push((name, value.to_owned()));
        }
    }
    Ok(Settings {
        credentials: credentials(given, &endpoint)?,
        timeout: given.timeout("timeout", DEFAULT_TIMEOUT)?,
        completion_timeout: given.timeout("completion-timeout", DEFAULT_COMPLETION_TIMEOUT)?,
        max_retries: given.max_retries()?,
        key_prefix: key_prefix(given)?,
        sends_md5: given.choice("checksum", &["none", "md5"])? == Some(1),
        defaults,
        container: name.to_owned(),
        endpoint,
    })
}

fn credentials(given: &SettingValues<'_>, endpoint: &Endpoint) -> Result<Credentials, Failure> {
    match (given.text("access-key"), given.text("sas-token")) {
        (Some(_), Some(_)) => {
            Err(malformed("sas-token", "goes with no access-key: requests are authorized by the one or the other"))
        }
        (Some(key), None) => {
            let key =
                Key::from_base64(key).ok_or_else(|| malformed("access-key", "must be the account's key in base64"))?;
            let Some(account) = endpoint.account.clone() else {
                return Err(Error::fault("account", "there is an access-key, but no account that it belongs to"));
            };
            Ok(Credentials::SharedKey { account, key })
        }
        (None, Some(token)) => SasToken::parse(token).map(Credentials::Sas),
        (None, None) => Ok(Credentials::Anonymous),
    }
}

/// The prefix is the beginning of every key, so keys with it have to follow the rules of keys.
fn key_prefix(given: &SettingValues<'_>) -> Result<String, Failure> {
    let prefix = given.key_prefix(MAX_KEY)?;
    if prefix.is_empty() {
        return Ok(prefix);
    }
    crate::key::check(&format!("{prefix}x"))
        .map_err(|fault| malformed("key-prefix", &format!("is the beginning of every key, and {}", fault.message)))?;
    Ok(prefix)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const KEY: &str = "c2VjcmV0IGtleQ==";

    pub(crate) fn parse(pairs: &[(&str, &str)]) -> Result<Settings, Failure> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        super::parse(&SettingValues::collect(TABLE, &pairs)?)
    }

    fn subject(more: &[(&str, &str)]) -> String {
        let mut pairs = vec![("container", "demo"), ("account", "demo1")];
        pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        pairs.extend(more);
        let fault = parse(&pairs).unwrap_err();
        assert!(!fault.message.contains(KEY) && !fault.message.contains("hidden"), "{fault}");
        fault.subject.unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_table() {
        let settings = parse(&[("container", "demo"), ("account", "demo1")]).unwrap();
        assert_eq!(settings.endpoint.display, "https://demo1.blob.core.windows.net");
        assert!(settings.is_anonymous());
        for (name, is) in [
            ("timeout", settings.timeout == Duration::from_secs(30)),
            ("completion-timeout", settings.completion_timeout == Duration::from_secs(300)),
            ("max-retries", settings.max_retries == 8),
            ("checksum", !settings.sends_md5),
        ] {
            let setting = TABLE.iter().find(|setting| setting.name == name).unwrap();
            let given =
                parse(&[("container", "demo"), ("account", "demo1"), (name, setting.default.unwrap())]).unwrap();
            assert!(is && given == settings, "{name}");
        }
    }

    #[test]
    fn aliases_name_the_same_settings() {
        let one = parse(&[("bucket", "demo"), ("account-name", "demo1"), ("account-key", KEY)]).unwrap();
        let other = parse(&[("container", "demo"), ("account", "demo1"), ("access-key", KEY)]).unwrap();
        assert_eq!(one, other);
        assert_eq!(subject(&[("bucket", "other")]), "container");
    }

    #[test]
    fn credentials_are_a_key_or_a_token() {
        let settings = parse(&[("container", "demo"), ("account", "demo1"), ("access-key", KEY)]).unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("secret") && !shown.contains("115, 101"), "{shown}");
        let settings =
            parse(&[("container", "demo"), ("account", "demo1"), ("sas-token", "?sp=r&sig=hidden%3D")]).unwrap();
        assert!(!format!("{settings:?}").contains("hidden"));
        let Credentials::Sas(token) = &settings.credentials else { panic!("{settings:?}") };
        assert_eq!(token.pairs().collect::<Vec<_>>(), [("sp", "r"), ("sig", "hidden=")]);
    }

    #[test]
    fn invalid_settings_are_faults_that_name_them() {
        assert_eq!(parse(&[("account", "demo1")]).unwrap_err().subject.as_deref(), Some("container"));
        for (more, name) in [
            (&[("container", "No")][..], "container"),
            (&[("account", "")], "account"),
            (&[("account", "a.evil.test")], "account"),
            (&[("endpoint", "ftp://x")], "endpoint"),
            (&[("access-key", "no base64")], "access-key"),
            (&[("access-key", KEY), ("sas-token", "sp=r&sig=hidden")], "sas-token"),
            (&[("sas-token", "sp=r")], "sas-token"),
            (&[("sas-token", "sp=r&sig=hidden\u{e9}")], "sas-token"),
            (&[("sas-token", "sp=r&sig=hidden&comp=list")], "sas-token"),
            (&[("timeout", "0")], "timeout"),
            (&[("max-retries", "101")], "max-retries"),
            (&[("checksum", "crc32")], "checksum"),
            (&[("key-prefix", "a/../b/")], "key-prefix"),
            (&[("key-prefix", "a\n")], "key-prefix"),
            (&[("access-tier", "a\nb")], "access-tier"),
            (&[("retry-mode", "never")], "retry-mode"),
            (&[("acount", "x")], "acount"),
        ] {
            assert_eq!(subject(more), name, "{more:?}");
        }
        let anonymous = [("account", ""), ("endpoint", "https://blobs.example.com"), ("access-key", KEY)];
        assert_eq!(subject(&anonymous), "account");
    }
}
