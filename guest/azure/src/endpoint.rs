//! Endpoints: scheme, authority and base path of an account.

use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::http::encode;
use sandbucket_plugin::http::url::{CredentialSettings, Url};

/// Domain of accounts in the public cloud.
const PUBLIC: &str = "blob.core.windows.net";

/// Address of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether requests are sent over TLS.
    pub https: bool,
    /// Host, and port if it is not the scheme's default, in lower case.
    pub authority: String,
    /// Encoded path before `/container`: empty, or `/account` as on Azurite.
    pub base_path: String,
    /// Name of the account. None if it is neither given nor part of the endpoint: anonymous access and SAS need none.
    pub account: Option<String>,
    /// URL of the service for messages.
    pub display: String,
}

impl Endpoint {
    /// Resolves the address of an account.
    ///
    /// `endpoint` is a host, a host and port, or an `http` or `https` URL, optionally with a path that precedes all others. None
    /// means the account's host in the public cloud. The account is part of most endpoints: `account.blob.…`, or the path of
    /// Azurite's.
    ///
    /// # Errors
    /// A fault of `account` or `endpoint`.
    pub fn resolve(endpoint: Option<&str>, account: Option<&str>) -> Result<Endpoint, Failure> {
        if let Some(account) = account {
            check_account(account)?;
        }
        let Some(text) = endpoint else {
            let Some(account) = account else {
                return Err(Error::fault("account", "the setting account is missing: the name of the storage account"));
            };
            let authority = format!("{account}.{PUBLIC}");
            let display = format!("https://{authority}");
            let account = Some(account.to_owned());
            return Ok(Endpoint { https: true, authority, base_path: String::new(), account, display });
        };
        let url = Url::parse(text, CredentialSettings(&["account", "access-key"]))?;
        let account = account.map(str::to_owned).or_else(|| account_of(&url.host, &url.prefix));
        let (authority, display) = (url.authority(), url.to_string());
        Ok(Endpoint { https: url.https, authority, base_path: url.prefix, account, display })
    }

    /// Encoded path of a key, of a container if the key is empty, or of the account if the container is empty too.
    pub fn path(&self, container: &str, key: &str) -> String {
        let mut path = String::with_capacity(self.base_path.len() + container.len() + key.len() + 2);
        path.push_str(&self.base_path);
        path.push('/');
        path.push_str(container);
        if !key.is_empty() {
            path.push('/');
            encode::push_key_path(&mut path, key);
        }
        path
    }

    /// URL of a key, encoded.
    pub fn url(&self, container: &str, key: &str) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path(container, key))
    }
}

/// The account in an endpoint: the label before `.blob.`, without the suffix of the secondary location, or the only segment of the
/// path.
fn account_of(host: &str, prefix: &str) -> Option<String> {
    let account = match host.split_once('.') {
        Some((label, rest)) if rest.starts_with("blob.") => label.strip_suffix("-secondary").unwrap_or(label),
        _ => prefix.strip_prefix('/')?,
    };
    check_account(account).ok().map(|()| account.to_owned())
}

/// Checks the name of an account: 3 to 24 lower-case letters and digits.
fn check_account(account: &str) -> Result<(), Failure> {
    if (3..=24).contains(&account.len()) && account.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Ok(());
    }
    Err(Error::fault("account", "the setting account must be 3 to 24 lower-case letters and digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_of_the_public_cloud_needs_no_endpoint() {
        let endpoint = Endpoint::resolve(None, Some("demo1")).unwrap();
        assert_eq!(endpoint.url("photos", "a b/é"), "https://demo1.blob.core.windows.net/photos/a%20b/%C3%A9");
        assert_eq!(endpoint.account.as_deref(), Some("demo1"));
        assert_eq!(Endpoint::resolve(None, None).unwrap_err().subject.as_deref(), Some("account"));
    }

    #[test]
    fn account_is_found_in_the_endpoint() {
        for (endpoint, account, url) in [
            (
                "http://127.0.0.1:10000/devstoreaccount1",
                Some("devstoreaccount1"),
                "http://127.0.0.1:10000/devstoreaccount1/photos/k",
            ),
            (
                "https://demo1.blob.core.chinacloudapi.cn",
                Some("demo1"),
                "https://demo1.blob.core.chinacloudapi.cn/photos/k",
            ),
            (
                "demo1-secondary.blob.core.windows.net",
                Some("demo1"),
                "https://demo1-secondary.blob.core.windows.net/photos/k",
            ),
            ("https://blobs.example.com", None, "https://blobs.example.com/photos/k"),
        ] {
            let resolved = Endpoint::resolve(Some(endpoint), None).unwrap();
            assert_eq!(
                (resolved.account.as_deref(), resolved.url("photos", "k").as_str()),
                (account, url),
                "{endpoint}"
            );
        }
        let given = Endpoint::resolve(Some("https://blobs.example.com"), Some("demo1")).unwrap();
        assert_eq!(given.account.as_deref(), Some("demo1"));
    }

    #[test]
    fn invalid_account_is_rejected() {
        for account in ["ab", "Abc", "a-b", "a.evil.test", "a/b", "é12", &"n".repeat(25)] {
            let fault = Endpoint::resolve(None, Some(account)).unwrap_err();
            assert_eq!(fault.subject.as_deref(), Some("account"), "{account}");
        }
    }

    #[test]
    fn paths_of_account_and_container() {
        let endpoint = Endpoint::resolve(Some("http://127.0.0.1:10000/devstoreaccount1"), None).unwrap();
        assert_eq!(endpoint.path("", ""), "/devstoreaccount1/");
        assert_eq!(endpoint.path("photos", ""), "/devstoreaccount1/photos");
    }
}
