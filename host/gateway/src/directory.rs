//! The directory of front-end access keys: which tenant a key belongs to, and what it may do there.
//!
//! A directory is immutable. A change of the configuration builds another one, and replaces it as a whole, so that a request
//! sees one state from its authentication to its end.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use s3s::auth::SecretKey;
use sandbucket::{Error, Failure, Result, Store, Tenants};
use serde::Deserialize;

/// Maximum number of keys and of virtual buckets of a tenant: the table is read by the operator's hand or program.
const MAX_ENTRIES: usize = 10_000;
/// Maximum number of prefixes of a key, each of which is compared with the key of every request.
const MAX_PREFIXES: usize = 100;
/// Maximum length of an access key in bytes, as at AWS.
const MAX_ACCESS_KEY: usize = 128;
/// Minimum length of a secret key in bytes.
const MIN_SECRET_KEY: usize = 8;

/// The table `[tenants.NAME.gateway]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TenantAccess {
    /// The front-end keys.
    pub keys: Vec<FrontKey>,
    /// The virtual buckets by name.
    pub buckets: BTreeMap<String, VirtualBucket>,
}

/// A front-end key.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FrontKey {
    /// The access key, unique among all tenants: 3 to 128 letters, digits and `-._`.
    pub access_key: String,
    /// The secret key: at least 8 bytes. Never shown.
    secret_key: SecretKey,
    /// Default: read-only.
    #[serde(default)]
    pub access: KeyAccess,
    /// The prefixes of the keys that this key may use, within each bucket. Empty: all keys.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// The virtual buckets that this key may use. Empty: all of the tenant.
    #[serde(default)]
    pub buckets: Vec<String>,
}

impl fmt::Debug for FrontKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrontKey { access_key, access, prefixes, buckets, secret_key: _ } = self;
        let mut text = f.debug_struct("FrontKey");
        text.field("access_key", access_key).field("access", access);
        text.field("prefixes", prefixes).field("buckets", buckets).finish_non_exhaustive()
    }
}

/// What a key may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyAccess {
    /// Reads and lists.
    #[default]
    ReadOnly,
    /// Reads, lists, writes and deletes.
    ReadWrite,
}

/// A virtual bucket: the keys of a tenant's store that begin with a prefix.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct VirtualBucket {
    /// The prefix of its keys in the store, such as `photos/`. Clients do not see it. Empty: the whole store.
    pub prefix: String,
}

/// A fault of a tenant's table: the key in the table, and the message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("tenants.{tenant}.gateway.{key}: {message}")]
pub(crate) struct AccessFault {
    pub tenant: String,
    pub key: String,
    pub message: String,
}

/// A source of a tenant's store.
#[async_trait::async_trait]
pub(crate) trait Backend: Send + Sync + 'static {
    /// The tenant's name.
    fn name(&self) -> &str;

    /// The store, opened if necessary.
    async fn store(&self) -> Result<Store>;
}

/// A tenant of a registry by its name, so that it is found again after it was removed and added.
pub(crate) struct Registered {
    pub tenants: Tenants,
    pub name: String,
}

#[async_trait::async_trait]
impl Backend for Registered {
    fn name(&self) -> &str {
        &self.name
    }

    async fn store(&self) -> Result<Store> {
        match self.tenants.get(&self.name) {
            Some(tenant) => tenant.store().await,
            None => Err(Error::AccessDenied(Box::new(Failure::new("the tenant was removed")))),
        }
    }
}

/// All front-end keys.
#[derive(Default)]
pub(crate) struct Directory {
    grants: HashMap<String, Arc<Grant>>,
}

/// What an access key grants.
pub(crate) struct Grant {
    pub tenant: Arc<dyn Backend>,
    pub secret_key: SecretKey,
    pub access: KeyAccess,
    pub buckets: BTreeMap<String, Arc<VirtualBucket>>,
    /// Of the configuration: virtual buckets have no date of their own.
    pub since: SystemTime,
    prefixes: Vec<String>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("tenant", &self.tenant.name())
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl Directory {
    pub(crate) fn grant(&self, access_key: &str) -> Option<&Arc<Grant>> {
        self.grants.get(access_key)
    }

    pub(crate) fn grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.values()
    }

    /// Adds a tenant's keys.
    pub(crate) fn add(
        &mut self,
        tenant: Arc<dyn Backend>,
        table: TenantAccess,
        since: SystemTime,
    ) -> Result<(), AccessFault> {
        let name = tenant.name().to_owned();
        let fault =
            |key: String, message: &str| Err(AccessFault { tenant: name.clone(), key, message: message.to_owned() });
        if table.keys.len() > MAX_ENTRIES || table.buckets.len() > MAX_ENTRIES {
            return fault("keys".to_owned(), &format!("a tenant may have {MAX_ENTRIES} keys and as many buckets"));
        }
        for bucket in table.buckets.keys() {
            if !s3s::path::check_bucket_name(bucket) {
                return fault(format!("buckets.{bucket}"), "this is no name of a bucket: 3 to 63 of a-z, 0-9, - and .");
            }
        }
        let buckets: BTreeMap<_, _> =
            table.buckets.into_iter().map(|(name, bucket)| (name, Arc::new(bucket))).collect();
        for (n, key) in table.keys.into_iter().enumerate() {
            let at = |field: &str| format!("keys[{n}].{field}");
            let valid = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            if !(3..=MAX_ACCESS_KEY).contains(&key.access_key.len()) || !key.access_key.bytes().all(valid) {
                return fault(at("access-key"), "an access key has 3 to 128 letters, digits and -._");
            }
            if key.secret_key.expose().len() < MIN_SECRET_KEY {
                return fault(at("secret-key"), &format!("a secret key has at least {MIN_SECRET_KEY} bytes"));
            }
            if key.prefixes.len() > MAX_PREFIXES {
                return fault(at("prefixes"), &format!("a key may have {MAX_PREFIXES} prefixes"));
            }
            if let Some(other) = key.buckets.iter().find(|bucket| !buckets.contains_key(*bucket)) {
                return fault(at("buckets"), &format!("the tenant has no bucket \"{}\"", other.escape_debug()));
            }
            if let Some(other) = self.grants.get(&key.access_key) {
                let message = format!("the access key is also one of the tenant {}", other.tenant.name());
                return fault(at("access-key"), &message);
            }
            let own = |name: &String| key.buckets.is_empty() || key.buckets.contains(name);
            let granted = buckets.iter().filter(|(name, _)| own(name));
            let grant = Grant {
                tenant: tenant.clone(),
                secret_key: key.secret_key,
                access: key.access,
                buckets: granted.map(|(name, bucket)| (name.clone(), bucket.clone())).collect(),
                since,
                prefixes: key.prefixes,
            };
            self.grants.insert(key.access_key, Arc::new(grant));
        }
        Ok(())
    }
}

impl Grant {
    /// Whether the key may use this key of a bucket.
    pub(crate) fn permits_key(&self, key: &str) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// Whether the key may list a bucket below this prefix.
    pub(crate) fn permits_listing(&self, prefix: &str) -> bool {
        self.permits_key(prefix)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) struct Nobody(pub &'static str);

    #[async_trait::async_trait]
    impl Backend for Nobody {
        fn name(&self) -> &str {
            self.0
        }

        async fn store(&self) -> Result<Store> {
            unreachable!("no test opens it")
        }
    }

    fn add(directory: &mut Directory, tenant: &'static str, text: &str) -> Result<(), String> {
        let table = toml::from_str(text).map_err(|error| error.to_string())?;
        directory.add(Arc::new(Nobody(tenant)), table, SystemTime::UNIX_EPOCH).map_err(|fault| fault.to_string())
    }

    const TABLE: &str = r#"
        keys = [
            { access-key = "AKwriter", secret-key = "longenough", access = "read-write" },
            { access-key = "AKreader", secret-key = "longenough", prefixes = ["a/", "b"], buckets = ["photos"] },
        ]
        buckets = { photos = { prefix = "p/" }, music = {} }
    "#;

    #[test]
    fn key_grants_its_own_buckets_and_prefixes() {
        let mut directory = Directory::default();
        add(&mut directory, "alice", TABLE).unwrap();
        let writer = directory.grant("AKwriter").unwrap();
        assert_eq!(writer.access, KeyAccess::ReadWrite);
        assert_eq!(writer.buckets.keys().collect::<Vec<_>>(), ["music", "photos"]);
        assert!(writer.permits_key("x") && writer.permits_listing(""));
        let reader = directory.grant("AKreader").unwrap();
        assert_eq!(reader.access, KeyAccess::ReadOnly);
        assert_eq!(reader.buckets.keys().collect::<Vec<_>>(), ["photos"]);
        for (key, permitted) in [("a/x", true), ("b", true), ("bc", true), ("a", false), ("", false), ("x/a/", false)] {
            assert_eq!(reader.permits_key(key), permitted, "{key}");
        }
        assert!(directory.grant("AKnobody").is_none());
    }

    #[test]
    fn faults_name_tenant_and_key() {
        let cases = [
            (r#"keys = [{ access-key = "a/b", secret-key = "longenough" }]"#, "keys[0].access-key"),
            (r#"keys = [{ access-key = "AKx", secret-key = "short" }]"#, "keys[0].secret-key"),
            (r#"keys = [{ access-key = "AKx", secret-key = "longenough", buckets = ["no"] }]"#, "keys[0].buckets"),
            ("buckets = { NO = {} }", "buckets.NO"),
            (r#"keys = [{ access-key = "AKwriter", secret-key = "longenough" }]"#, "tenant alice"),
        ];
        for (text, expected) in cases {
            let mut directory = Directory::default();
            add(&mut directory, "alice", TABLE).unwrap();
            let fault = add(&mut directory, "bob", text).unwrap_err();
            assert!(fault.contains("tenants.bob.gateway.") && fault.contains(expected), "{fault}");
            assert!(!fault.contains("short") && !fault.contains("longenough"), "{fault}");
        }
        let unknown = add(&mut Directory::default(), "bob", "keyss = []").unwrap_err();
        assert!(unknown.contains("keyss"), "{unknown}");
    }

    #[test]
    fn debug_output_contains_no_secret() {
        let table: TenantAccess = toml::from_str(TABLE).unwrap();
        assert!(!format!("{table:?}").contains("longenough"));
    }
}
