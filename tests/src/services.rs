//! The services that the tests run on: the dev server, or an independent implementation.
//!
//! [`Service::start`] starts the service of `SANDBUCKET_SERVICE`: `dev` (the default), `moto`, `garage`, `ceph` (which
//! `tests/interop/ceph.sh` starts), or the URL of any other service, with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN` and `AWS_REGION` from the environment, on which each test creates and deletes a bucket. The same
//! tests run on each.

use std::env;
use std::hash::{BuildHasher, RandomState};

use anyhow::{Context, Result, bail};
use sandbucket::{Engine, Store};
use sandbucket_dev_server::DevServer;

use crate::azurite;
use crate::garage::{self, Garage};
use crate::python::{self, Boto, External, Moto};
use crate::{ACCESS_KEY, BUCKET, SECRET_KEY, dev_server, engine, keys, plain};

/// The implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The dev server of Sandbucket.
    Dev,
    /// moto with authentication.
    Moto,
    /// A Garage node.
    Garage,
    /// Ceph's RADOS Gateway on one node, already running.
    Ceph,
    /// Any other service, already running.
    Other,
    /// Azurite, with the plugin for Azure Blob Storage.
    Azurite,
}

impl Kind {
    /// All that `make interop` probes.
    pub const ALL: [Kind; 4] = [Kind::Dev, Kind::Moto, Kind::Garage, Kind::Ceph];

    /// The display name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Dev => "dev server",
            Kind::Moto => "moto",
            Kind::Garage => "Garage",
            Kind::Ceph => "Ceph",
            Kind::Other => "another service",
            Kind::Azurite => "Azurite",
        }
    }

    /// The display name and the version in use.
    pub fn version(self) -> String {
        match self {
            Kind::Dev => "dev server".to_owned(),
            Kind::Moto => format!("moto {}", python::moto_version()),
            Kind::Garage => format!("Garage {}", garage::VERSION.trim()),
            Kind::Ceph => ceph_version(),
            Kind::Other => env::var("SANDBUCKET_SERVICE").unwrap_or_default(),
            Kind::Azurite => format!("Azurite {}", azurite::VERSION.trim()),
        }
    }

    /// Whether it can store this key, in path style.
    pub fn takes(self, key: &str) -> bool {
        match self {
            Kind::Dev => true,
            // moto's URL patterns stop at a line feed: it responds 404, to boto3 as well.
            Kind::Moto => !key.contains('\n'),
            // Garage reads leading slashes of a key as the end of the bucket's name: "/a" would be "a".
            Kind::Garage => !key.starts_with('/'),
            Kind::Ceph | Kind::Other => true,
            // The plugin rejects what Azure resolves as a path, and what it does not take.
            Kind::Azurite => {
                !key.chars().any(char::is_control)
                    && !key.contains('\\')
                    && !key.split('/').any(|segment| matches!(segment, "." | ".."))
                    && key.split('/').count() <= 254
            }
        }
    }

    /// The code of its error about a missing key.
    pub fn no_such_key(self) -> &'static str {
        if self == Kind::Azurite { "BlobNotFound" } else { "NoSuchKey" }
    }

    /// A setting with which bodies are sent with a digest that must be known before, and one without.
    pub fn digest_settings(self) -> [(&'static str, &'static str); 2] {
        match self {
            Kind::Azurite => [("checksum", "md5"), ("checksum", "none")],
            _ => [("payload-signing", "signed"), ("payload-signing", "unsigned")],
        }
    }

    /// Keys that its plugin rejects.
    pub fn invalid_keys(self) -> Vec<String> {
        let mut keys = vec![String::new(), "n".repeat(1025)];
        match self {
            // 1,024 characters; and what Azure resolves as a path, or does not take.
            Kind::Azurite => {
                keys.extend(["🪣".repeat(512) + "n", "../a".into(), "a/./b".into(), "a\\..\\b".into(), "a\nb".into()]);
            }
            _ => keys.push("🪣".repeat(256) + "n"),
        }
        keys
    }

    /// The unusual keys that it can store.
    pub fn odd_keys(self) -> Vec<String> {
        keys::odd().into_iter().filter(|key| self.takes(key)).collect()
    }

    /// Parses `SANDBUCKET_SERVICE`.
    fn wanted() -> Result<Kind> {
        let Ok(word) = env::var("SANDBUCKET_SERVICE") else { return Ok(Kind::Dev) };
        match word.as_str() {
            "" | "dev" => Ok(Kind::Dev),
            "moto" => Ok(Kind::Moto),
            "garage" => Ok(Kind::Garage),
            "ceph" => Ok(Kind::Ceph),
            "azurite" => Ok(Kind::Azurite),
            url if url.starts_with("http://") || url.starts_with("https://") => Ok(Kind::Other),
            _ => bail!(
                "SANDBUCKET_SERVICE is {word:?}, which is none of dev, moto, garage, ceph and azurite, and no URL"
            ),
        }
    }
}

/// A running service with the bucket [`BUCKET`]. Dropping it stops the service.
pub struct Service {
    /// Its implementation.
    pub kind: Kind,
    access_key: String,
    secret_key: String,
    running: Running,
}

enum Running {
    Dev(DevServer),
    Moto(Box<Moto>),
    Garage(Garage),
    Azurite(String),
    External(External, #[expect(dead_code, reason = "it removes the bucket when it is dropped")] Box<Boto>),
}

impl Service {
    /// Starts the service of this run.
    pub async fn start() -> Self {
        Kind::wanted().expect("a service to test on").start().await
    }

    /// The value of the setting `endpoint`.
    pub fn endpoint(&self) -> String {
        match &self.running {
            Running::Dev(server) => server.endpoint(),
            Running::Moto(server) => server.endpoint.clone(),
            Running::Garage(server) => server.endpoint.clone(),
            Running::Azurite(_) => azurite::endpoint().to_owned(),
            Running::External(at, _) => at.endpoint.clone(),
        }
    }

    /// The name of its bucket.
    pub fn bucket(&self) -> &str {
        match &self.running {
            Running::External(at, _) => &at.bucket,
            Running::Azurite(container) => container,
            _ => BUCKET,
        }
    }

    /// The settings for it, followed by `further`: a name that is given again overrides the first.
    pub fn settings(&self, further: &[(&str, &str)]) -> Vec<(String, String)> {
        self.settings_at(&self.endpoint(), further)
    }

    /// The same for another endpoint.
    pub fn settings_at(&self, endpoint: &str, further: &[(&str, &str)]) -> Vec<(String, String)> {
        if let Running::Azurite(container) = &self.running {
            return azurite::settings(endpoint, container, further);
        }
        let mut own = vec![
            ("bucket", self.bucket()),
            ("access-key", self.access_key.as_str()),
            ("secret-key", self.secret_key.as_str()),
        ];
        if let Running::External(at, _) = &self.running {
            own.push(("region", &at.region));
            own.extend(at.session_token.as_deref().map(|token| ("security-token", token)));
        }
        crate::settings(endpoint, &[own.as_slice(), further].concat())
    }

    /// The engine with the plugin for it.
    pub fn engine(&self) -> &'static Engine {
        if self.kind == Kind::Azurite { azurite::engine() } else { engine() }
    }

    /// Opens a store of the plugin for it where nothing listens: a request would end in another error.
    pub async fn open_nowhere(&self) -> Store {
        let settings = self.settings_at("http://127.0.0.1:9", &[]);
        self.engine().store(settings).await.expect("the store opens")
    }

    /// Opens a store of the real plugin on it.
    pub async fn open(&self, further: &[(&str, &str)]) -> Store {
        self.try_open(further).await.expect("the store opens")
    }

    /// The same, for settings that the plugin may reject.
    pub async fn try_open(&self, further: &[(&str, &str)]) -> sandbucket::Result<Store> {
        self.engine().store(self.settings(further)).await
    }

    /// A boto3 client for it.
    pub async fn boto(&self) -> Boto {
        Boto::start(&self.endpoint(), &self.access_key, &self.secret_key).await.expect("a boto3 client")
    }

    /// Turns off moto's authentication, and returns whether the service verifies signatures in URLs. With authentication,
    /// moto expects a header that presigned URLs do not have, and fails with 500; on moto the tests show well-formed URLs,
    /// not valid signatures.
    pub async fn prepare_for_presigned(&self) -> bool {
        if self.kind == Kind::Moto {
            let url = format!("{}/moto-api/reset-auth", self.endpoint());
            let response = plain::fetch("POST", &url, &[], "1000").await.expect("a response of moto");
            assert_eq!(response.status, 200, "moto still authenticates");
        }
        self.kind != Kind::Moto
    }

    /// Returns whether this is `kind`, which cannot pass the test, and prints why the test is skipped.
    pub fn cannot(&self, kind: Kind, why: &str) -> bool {
        let cannot = self.kind == kind;
        if cannot {
            eprintln!("left out on {}: {why}", kind.name());
        }
        cannot
    }

    /// Stops it gracefully, if it supports that.
    pub async fn stop(self) {
        if let Running::Dev(server) = self.running {
            server.stop().await;
        }
    }

    /// The secret key, which must not appear in errors.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }
}

impl Kind {
    /// Starts it.
    pub async fn start(self) -> Service {
        self.try_start().await.unwrap_or_else(|error| panic!("{}: {error:#}", self.name()))
    }

    async fn try_start(self) -> Result<Service> {
        let (access_key, secret_key, running) = match self {
            Kind::Dev => (ACCESS_KEY.to_owned(), SECRET_KEY.to_owned(), Running::Dev(dev_server().await)),
            Kind::Moto => {
                let moto = Moto::start(BUCKET).await.context("starting moto")?;
                (moto.access_key.clone(), moto.secret_key.clone(), Running::Moto(Box::new(moto)))
            }
            Kind::Garage => {
                let garage = Garage::start(BUCKET).await.context("starting Garage")?;
                (garage::ACCESS_KEY.to_owned(), garage::SECRET_KEY.to_owned(), Running::Garage(garage))
            }
            Kind::Azurite => {
                let container = azurite::new_container().await;
                (azurite::ACCOUNT.to_owned(), azurite::KEY.to_owned(), Running::Azurite(container))
            }
            Kind::Ceph | Kind::Other => {
                let at = if self == Kind::Ceph { ceph() } else { from_environment()? };
                let boto = Boto::with_bucket(&at).await.with_context(|| format!("a bucket at {}", at.endpoint))?;
                (at.access_key.clone(), at.secret_key.clone(), Running::External(at, Box::new(boto)))
            }
        };
        Ok(Service { kind: self, access_key, secret_key, running })
    }
}

/// A bucket name that no other run uses.
fn new_bucket() -> String {
    format!("{BUCKET}-{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// The service that `tests/interop/ceph.sh` starts.
fn ceph() -> External {
    External {
        endpoint: "http://127.0.0.1:7480".to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "minioadmin".to_owned(),
        secret_key: "minioadmin".to_owned(),
        session_token: None,
        bucket: new_bucket(),
    }
}

/// The installed version, from `ceph version 18.2.7 (...) reef (stable)`.
fn ceph_version() -> String {
    let output = std::process::Command::new("radosgw").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    format!("Ceph {}", text.split(' ').nth(2).unwrap_or("of any version"))
}

fn from_environment() -> Result<External> {
    let needed = |name: &str| env::var(name).with_context(|| format!("{name} is not set"));
    Ok(External {
        endpoint: needed("SANDBUCKET_SERVICE")?,
        region: env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned()),
        access_key: needed("AWS_ACCESS_KEY_ID")?,
        secret_key: needed("AWS_SECRET_ACCESS_KEY")?,
        session_token: env::var("AWS_SESSION_TOKEN").ok().filter(|token| !token.is_empty()),
        bucket: new_bucket(),
    })
}
