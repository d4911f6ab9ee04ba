//! An in-process S3 server for development and tests.
//!
//! It listens on loopback, stores blobs as files in a folder, verifies the signature of every request, and responds as S3
//! does wherever a client can tell the difference: any key up to 1,024 bytes, the four preconditions of a read, race-free
//! conditional writes and copies, ranges, metadata, tags, listings, multipart uploads, checksums, presigned URLs, and S3's
//! own error codes. The crate `s3s` implements the protocol; this crate implements the storage on top of `cap-std`.
//!
//! It stays in its folder: it follows no symbolic link, neither for buckets and blobs nor for side files. Everything other
//! than regular files and folders is no blob: it is not listed, found or deleted, and a write replaces it.
//!
//! It is not made for production: one folder, one pair of keys, no versions (each blob has the version `null`), no TLS. It
//! stores and returns storage classes, ACLs and encryption without any effect; multipart uploads end with the server.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use sandbucket_dev_server::DevServer;
//!
//! let server = DevServer::builder()
//!     .credentials("an-access-key", "a-secret-key")
//!     .buckets(["photos"])
//!     .start()
//!     .await?;
//! println!("endpoint = \"{}\"", server.endpoint());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod access;
mod conditions;
mod digests;
mod extras;
mod keys;
mod list;
mod locks;
mod objects;
mod serve;
mod storage;
mod stored;
mod uploads;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

use access::Access;
use objects::Objects;
use serve::Running;
use storage::Storage;

/// The default access key.
pub const DEFAULT_ACCESS_KEY: &str = "sandbucket";
/// The default secret key. It protects nothing: the server is on loopback.
pub const DEFAULT_SECRET_KEY: &str = "sandbucket-secret";

/// S3's limit for a copy with one request, in bytes.
const COPY_LIMIT: u64 = 5 << 30;
/// S3's minimum size of a part other than the last, in bytes.
const MIN_PART: u64 = 5 << 20;

/// A running server. Dropping it stops it; [`stop`](DevServer::stop) also waits for the end.
#[derive(Debug)]
pub struct DevServer {
    address: SocketAddr,
    folder: PathBuf,
    running: Running,
    /// Dropped last, so that the folder is deleted after the last response.
    _temporary: Option<tempfile::TempDir>,
}

impl DevServer {
    /// Returns a builder. Default: a free port of 127.0.0.1, a temporary folder, no buckets.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The URL, as the setting `endpoint` expects it: `http://127.0.0.1:40123`. A server on all addresses reports its
    /// loopback address, because clients cannot connect to `0.0.0.0`.
    pub fn endpoint(&self) -> String {
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{address}")
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder with the blobs. A temporary one is deleted with the server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops gracefully: accepts no connections, lets responses in progress finish for at most five seconds, and closes
    /// idle connections.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// Builder of a server, from [`DevServer::builder`].
#[derive(Clone)]
pub struct Builder {
    folder: Option<PathBuf>,
    access_key: String,
    secret_key: String,
    session_token: Option<String>,
    anonymous: bool,
    buckets: Vec<String>,
    listen: String,
    copy_limit: u64,
    min_part: u64,
    initiation_dates: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            folder: None,
            access_key: DEFAULT_ACCESS_KEY.to_owned(),
            secret_key: DEFAULT_SECRET_KEY.to_owned(),
            session_token: None,
            anonymous: false,
            buckets: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
            copy_limit: COPY_LIMIT,
            min_part: MIN_PART,
            initiation_dates: false,
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("folder", &self.folder)
            .field("buckets", &self.buckets)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Keeps the blobs in this folder, also after the server has stopped. Creates it if missing; it should contain nothing
    /// else. The folder may be a symbolic link, its content may not, see [above](self).
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets the key pair that requests must be signed with.
    pub fn credentials(mut self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.access_key = access_key.into();
        self.secret_key = secret_key.into();
        self
    }

    /// Makes the keys temporary: every signed request must also carry this session token.
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Also accepts unsigned requests. The signature of a signed request must still be valid.
    pub fn anonymous(mut self, allowed: bool) -> Self {
        self.anonymous = allowed;
        self
    }

    /// Sets the maximum size of a blob to copy with one request. Default: 5 GiB, as on S3; lower it to test larger copies.
    pub fn copy_limit(mut self, bytes: u64) -> Self {
        self.copy_limit = bytes;
        self
    }

    /// Sets the minimum size of all parts but the last. Default: 5 MiB, as on S3; lower it to test many parts.
    pub fn min_part(mut self, bytes: u64) -> Self {
        self.min_part = bytes;
        self
    }

    /// Dates blobs of multipart uploads at the initiation, as Amazon S3 does, instead of at the completion.
    pub fn initiation_dates(mut self, enabled: bool) -> Self {
        self.initiation_dates = enabled;
        self
    }

    /// Creates these buckets if missing. Names follow S3's rules: 3 to 63 of `a-z`, `0-9`, `-` and `.`.
    pub fn buckets<I, S>(mut self, buckets: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.buckets.extend(buckets.into_iter().map(Into::into));
        self
    }

    /// Sets the address and port to listen on; port 0 selects a free one.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// Starts the server on the current tokio runtime.
    ///
    /// # Errors
    /// If the folder cannot be made or written, if a bucket has a name that S3 does not take, or if the address
    /// If the folder cannot be created or written, a bucket name is invalid, or the address cannot be bound. The message
    /// says which.
    pub async fn start(self) -> io::Result<DevServer> {
        let (folder, temporary) = match self.folder {
            Some(folder) => (folder, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("sandbucket-").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let about_folder = |e: io::Error| io::Error::new(e.kind(), format!("the folder {}: {e}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(about_folder)?;
        let storage = Storage::open(&folder).map_err(about_folder)?;
        for bucket in &self.buckets {
            if !s3s::path::check_bucket_name(bucket) {
                let message = format!("the bucket name \"{bucket}\" is not one that S3 takes");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            storage.make_folder(&[bucket]).map_err(|e| {
                let path = folder.join(bucket);
                io::Error::new(e.kind(), format!("the bucket's folder {} (no link is followed): {e}", path.display()))
            })?;
        }

        let objects = Objects::new(storage, self.copy_limit, self.min_part, self.initiation_dates);
        let access = Arc::new(Access {
            access_key: self.access_key,
            secret_key: self.secret_key.into(),
            session_token: self.session_token,
            anonymous: self.anonymous,
        });
        let mut service = S3ServiceBuilder::new(objects);
        service.set_auth(access::Keys(access.clone()));
        service.set_access(access::Policy(access));
        service.set_host(access::Hosts);

        let about_address = |e: io::Error| io::Error::new(e.kind(), format!("listening on {}: {e}", self.listen));
        let listener = TcpListener::bind(&self.listen).await.map_err(about_address)?;
        let address = listener.local_addr()?;
        let running = Running::start(listener, service.build());
        Ok(DevServer { address, folder, running, _temporary: temporary })
    }
}

#[cfg(test)]
mod tests;
