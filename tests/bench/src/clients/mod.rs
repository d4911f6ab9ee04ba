//! The clients, each in a file of its own that says how it is set up and why. All of it is open to challenge: whoever
//! knows how to make one of them faster is asked to say so.

mod aws_sdk;
mod bare_hyper;
pub mod bare_sockets;
mod object_store;
mod opendal;
mod parts;
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

pub use aws_sdk::AwsSdk;
pub use bare_hyper::BareHyper;
pub use bare_sockets::BareSockets;
pub use object_store::ObjectStore;
pub use opendal::OpenDal;
pub use rust_s3::RustS3;
pub use sandbucket::Sandbucket;

/// Where a client is to go, and how.
#[derive(Clone, Debug)]
pub struct Target {
    pub endpoint: String,
    pub payload: Payload,
    /// The certificate authority to trust, where the endpoint speaks TLS.
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// TLS that trusts this authority and no other.
    fn tls(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.ca_file {
            roots.add(CertificateDer::from_pem_file(file)?)?;
        }
        Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }
}

/// How a large blob is moved.
#[derive(Clone, Copy, Debug)]
pub struct Large {
    pub size: u64,
    pub part: u64,
    /// Parts under way at once.
    pub at_once: usize,
}

impl Large {
    /// The ranges that its parts take up.
    pub fn ranges(self) -> impl Iterator<Item = std::ops::Range<u64>> + Send {
        (0..self.size.div_ceil(self.part)).map(move |part| part * self.part..self.size.min((part + 1) * self.part))
    }

    /// The bodies of its parts: all the same bytes, held once.
    pub fn bodies(self) -> impl Iterator<Item = Bytes> + Send {
        let whole = Bytes::from(vec![0x5A; usize::try_from(self.part).unwrap_or(usize::MAX)]);
        self.ranges().map(move |range| whole.slice(..usize::try_from(range.end - range.start).unwrap_or(usize::MAX)))
    }
}

/// A client of S3, in the terms of what is measured.
///
/// Reads give the number of bytes that came, counted piece by piece, so that none is left unread.
pub trait Client: Sized + Send + Sync + 'static {
    /// What a process has once for all its clients.
    type Shared: Send + Sync;

    fn shared() -> Result<Self::Shared>;

    fn open(shared: &Self::Shared, target: &Target) -> impl Future<Output = Result<Self>> + Send;

    fn put(&self, key: &str, body: Bytes) -> impl Future<Output = Result<()>> + Send;

    fn get(&self, key: &str) -> impl Future<Output = Result<u64>> + Send;

    /// The blob's length.
    fn head(&self, key: &str) -> impl Future<Output = Result<u64>> + Send;

    /// How many keys there are.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<u64>> + Send;

    fn upload(&self, key: &str, large: Large) -> impl Future<Output = Result<()>> + Send;

    /// The pieces come in the order of the blob.
    fn download(&self, key: &str, large: Large) -> impl Future<Output = Result<u64>> + Send;

    /// What clients run in, with no client in it: those that run in something say so.
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
    /// The floor: requests and no more.
    Hyper,
    /// What lies beneath the floor: bytes and no more.
    Sockets,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Sandbucket, Kind::ObjectStore, Kind::OpenDal, Kind::RustS3, Kind::AwsSdkS3, Kind::Hyper, Kind::Sockets];

    /// What it is called in reports.
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

    /// What it is called on the command line.
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

    /// Whether it is a client that Sandbucket is held against: native, and a client.
    pub fn is_native(self) -> bool {
        !matches!(self, Kind::Sandbucket | Kind::Hyper | Kind::Sockets)
    }
}
