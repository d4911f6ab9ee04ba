//! The clients, each in its own file, which documents its configuration and the reasons for it. Suggestions that make one
//! of them faster are welcome.

#[cfg(feature = "native-clients")]
mod aws_sdk;
mod bare_hyper;
pub mod bare_sockets;
#[cfg(feature = "native-clients")]
mod object_store;
#[cfg(feature = "native-clients")]
mod opendal;
mod parts;
#[cfg(feature = "native-clients")]
mod rust_s3;
mod sandbucket;

use std::any::Any;
use std::future::Future;
use std::path::PathBuf;

use anyhow::{Result, bail};
use bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::rows::Payload;

#[cfg(feature = "native-clients")]
pub use aws_sdk::AwsSdk;
pub use bare_hyper::BareHyper;
pub use bare_sockets::BareSockets;
#[cfg(feature = "native-clients")]
pub use object_store::ObjectStore;
#[cfg(feature = "native-clients")]
pub use opendal::OpenDal;
#[cfg(feature = "native-clients")]
pub use rust_s3::RustS3;
pub use sandbucket::Sandbucket;

/// The endpoint and options of a client.
#[derive(Clone, Debug)]
pub struct Target {
    pub endpoint: String,
    pub payload: Payload,
    pub access_key: String,
    /// The certificate authority to trust, if the endpoint speaks TLS.
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// The same with an access key of its own.
    pub fn of_tenant(&self, number: u64) -> Target {
        Target { access_key: format!("{}{number}", self.access_key), ..self.clone() }
    }

    /// TLS that trusts only this authority.
    fn tls(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.ca_file {
            roots.add(CertificateDer::from_pem_file(file)?)?;
        }
        Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }
}

/// Parameters of a large transfer.
#[derive(Clone, Copy, Debug)]
pub struct Large {
    pub size: u64,
    pub part: u64,
    /// Concurrent parts.
    pub at_once: usize,
}

impl Large {
    /// The ranges of its parts.
    pub fn ranges(self) -> impl Iterator<Item = std::ops::Range<u64>> + Send {
        (0..self.size.div_ceil(self.part)).map(move |part| part * self.part..self.size.min((part + 1) * self.part))
    }

    /// The bodies of its parts: all the same bytes, held once.
    pub fn bodies(self) -> impl Iterator<Item = Bytes> + Send {
        let whole = Bytes::from(vec![0x5A; usize::try_from(self.part).unwrap_or(usize::MAX)]);
        self.ranges().map(move |range| whole.slice(..usize::try_from(range.end - range.start).unwrap_or(usize::MAX)))
    }
}

/// An S3 client, reduced to the measured operations.
///
/// Reads return the number of bytes received, counted chunk by chunk, so that nothing is left unread.
pub trait Client: Sized + Send + Sync + 'static {
    /// State that a process has once for all its clients.
    type Shared: Send + Sync;

    fn shared() -> Result<Self::Shared>;

    fn open(shared: &Self::Shared, target: &Target) -> impl Future<Output = Result<Self>> + Send;

    fn put(&self, key: &str, body: Bytes) -> impl Future<Output = Result<()>> + Send;

    fn get(&self, key: &str) -> impl Future<Output = Result<u64>> + Send;

    /// Returns the blob's length.
    fn head(&self, key: &str) -> impl Future<Output = Result<u64>> + Send;

    /// Returns the number of keys.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<u64>> + Send;

    fn upload(&self, key: &str, large: Large) -> impl Future<Output = Result<()>> + Send;

    /// Chunks arrive in the order of the blob.
    fn download(&self, key: &str, large: Large) -> impl Future<Output = Result<u64>> + Send;

    /// Creates the runtime environment of a client without a client; only for clients that have one.
    fn instance(_: &Self::Shared) -> impl Future<Output = Result<Box<dyn Any + Send>>> + Send {
        async { bail!("it has no sandbox") }
    }
}

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Sandbucket,
    #[value(alias = "object_store")]
    ObjectStore,
    #[value(name = "opendal")]
    #[serde(rename = "opendal")]
    OpenDal,
    RustS3,
    AwsSdkS3,
    /// The floor: bare HTTP requests.
    Hyper,
    /// Below the floor: bare bytes.
    Sockets,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Sandbucket, Kind::ObjectStore, Kind::OpenDal, Kind::RustS3, Kind::AwsSdkS3, Kind::Hyper, Kind::Sockets];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sandbucket => "Sandbucket",
            Kind::ObjectStore => "object_store",
            Kind::OpenDal => "opendal",
            Kind::RustS3 => "rust-s3",
            Kind::AwsSdkS3 => "aws-sdk-s3",
            Kind::Hyper => "bare hyper",
            Kind::Sockets => "bare sockets",
        }
    }

    /// The name on the command line.
    pub fn argument(self) -> &'static str {
        match self {
            Kind::Sandbucket => "sandbucket",
            Kind::ObjectStore => "object-store",
            Kind::OpenDal => "opendal",
            Kind::RustS3 => "rust-s3",
            Kind::AwsSdkS3 => "aws-sdk-s3",
            Kind::Hyper => "hyper",
            Kind::Sockets => "sockets",
        }
    }

    /// The version that this program was built with.
    pub fn version(self) -> &'static str {
        match self {
            Kind::Sandbucket => env!("CARGO_PKG_VERSION"),
            Kind::ObjectStore => env!("BENCH_VERSION_OBJECT_STORE"),
            Kind::OpenDal => env!("BENCH_VERSION_OPENDAL"),
            Kind::RustS3 => env!("BENCH_VERSION_RUST_S3"),
            Kind::AwsSdkS3 => env!("BENCH_VERSION_AWS_SDK_S3"),
            Kind::Hyper => env!("BENCH_VERSION_HYPER"),
            Kind::Sockets => env!("BENCH_VERSION_TOKIO"),
        }
    }

    /// Whether it is a native client, to which Sandbucket is compared.
    pub fn is_native(self) -> bool {
        !matches!(self, Kind::Sandbucket | Kind::Hyper | Kind::Sockets)
    }
}
