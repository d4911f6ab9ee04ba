//! The servers that the tests run on: the embedded one, or a service that other people wrote.
//!
//! [`Service::start`] gives what `SANDBUCKET_SERVICE` names (`dev`, `moto` or `garage`), the embedded one where it names
//! none: so the same tests run on each.

use std::env;

use anyhow::{Context, Result, bail};
use sandbucket::Store;
use sandbucket::dev_server::DevServer;

use crate::garage::{self, Garage};
use crate::python::{self, Boto, Moto};
use crate::{ACCESS_KEY, BUCKET, SECRET_KEY, dev_server, engine, keys, plain};

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The one in `sandbucket` itself.
    Dev,
    /// moto, with authentication on.
    Moto,
    /// Garage, one node.
    Garage,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Dev, Kind::Moto, Kind::Garage];

    /// As people know it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Dev => "dev server",
            Kind::Moto => "moto",
            Kind::Garage => "Garage",
        }
    }

    /// As people know it, with the version that is run.
    pub fn version(self) -> String {
        match self {
            Kind::Dev => "dev server".to_owned(),
            Kind::Moto => format!("moto {}", python::moto_version()),
            Kind::Garage => format!("Garage {}", garage::VERSION.trim()),
        }
    }

    /// Whether it can hold this key, in path style.
    pub fn takes(self, key: &str) -> bool {
        match self {
            Kind::Dev => true,
            // Its URL patterns stop at a line feed: it answers 404, to boto3 as well.
            Kind::Moto => !key.contains('\n'),
            // It takes slashes at a key's beginning for the end of the bucket's name: "/a" would be "a".
            Kind::Garage => !key.starts_with('/'),
        }
    }

    /// The odd keys that it can hold.
    pub fn odd_keys(self) -> Vec<String> {
        keys::odd().into_iter().filter(|key| self.takes(key)).collect()
    }

    /// What `SANDBUCKET_SERVICE` names.
    fn wanted() -> Result<Kind> {
        let Ok(word) = env::var("SANDBUCKET_SERVICE") else { return Ok(Kind::Dev) };
        match word.as_str() {
            "" | "dev" => Ok(Kind::Dev),
            "moto" => Ok(Kind::Moto),
            "garage" => Ok(Kind::Garage),
            _ => bail!("SANDBUCKET_SERVICE is {word:?}, which is none of dev, moto and garage"),
        }
    }
}

/// A server at work, with [`BUCKET`] in it and nobody else's. It ends when this is dropped.
pub struct Service {
    /// Whose it is.
    pub kind: Kind,
    access_key: String,
    secret_key: String,
    running: Running,
}

enum Running {
    Dev(DevServer),
    Moto(Box<Moto>),
    Garage(Garage),
}

impl Service {
    /// Starts the service that this run is about.
    pub async fn start() -> Self {
        Kind::wanted().expect("a service to test on").start().await
    }

    /// As the setting `endpoint` takes it.
    pub fn endpoint(&self) -> String {
        match &self.running {
            Running::Dev(server) => server.endpoint(),
            Running::Moto(server) => server.endpoint.clone(),
            Running::Garage(server) => server.endpoint.clone(),
        }
    }

    /// The settings that suit it, then these: a name that is given again replaces the first one.
    pub fn settings(&self, further: &[(&str, &str)]) -> Vec<(String, String)> {
        let keys = [("access-key", self.access_key.as_str()), ("secret-key", self.secret_key.as_str())];
        crate::settings(&self.endpoint(), &[keys.as_slice(), further].concat())
    }

    /// A store of the real plugin on it.
    pub async fn open(&self, further: &[(&str, &str)]) -> Store {
        self.try_open(further).await.expect("the store opens")
    }

    /// The same, where the plugin may refuse the settings.
    pub async fn try_open(&self, further: &[(&str, &str)]) -> sandbucket::Result<Store> {
        engine().store(self.settings(further)).await
    }

    /// boto3 as a client of it.
    pub async fn boto(&self) -> Boto {
        Boto::start(&self.endpoint(), &self.access_key, &self.secret_key).await.expect("a boto3 client")
    }

    /// Has moto take what is asked next without a look at who asks. With authentication on it looks for a header that
    /// presigned URLs do without, and breaks down (500): on it they are shown to be well formed, not well signed.
    /// Gives whether signatures in URLs are checked.
    pub async fn prepare_for_presigned(&self) -> bool {
        if self.kind == Kind::Moto {
            let url = format!("{}/moto-api/reset-auth", self.endpoint());
            let answer = plain::fetch("POST", &url, &[], "1000").await.expect("moto answers");
            assert_eq!(answer.status, 200, "moto goes on with authentication");
        }
        self.kind != Kind::Moto
    }

    /// Whether it is this one, which cannot do what the test is about, and why: that is said, and the test is over.
    pub fn cannot(&self, kind: Kind, why: &str) -> bool {
        let cannot = self.kind == kind;
        if cannot {
            eprintln!("left out on {}: {why}", kind.name());
        }
        cannot
    }

    /// Ends it in good order, where it knows how.
    pub async fn stop(self) {
        if let Running::Dev(server) = self.running {
            server.stop().await;
        }
    }

    /// The secret key, which must not show anywhere.
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
        };
        Ok(Service { kind: self, access_key, secret_key, running })
    }
}
