//! An S3 server for this process: to try things out with, and to test against.
//!
//! It listens on loopback, keeps its blobs as files in a folder, verifies the signature of every request, and answers
//! as S3 does where a client can tell the difference: any key up to 1,024 bytes, the four preconditions of a read,
//! conditional writes and copies without a race, ranges, metadata, tags, listings, uploads in parts, checksums, presigned
//! URLs, and S3's own error codes. The protocol is `s3s`; the files are this module's, reached through `cap-std`.
//!
//! It does not leave its folder: no symbolic link in it is followed, for a bucket, a blob or what is kept beside it. What is
//! neither a regular file nor a folder is no blob: not listed, not found, not deleted, and replaced itself by a write.
//!
//! It is not made for production: one folder, one pair of keys, no versions (each blob is its one version, `null`), no
//! TLS. Storage classes, ACLs and encryption are taken and told, and change nothing; uploads in parts end with the server.
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

/// The access key that holds where none is given.
pub const DEFAULT_ACCESS_KEY: &str = "sandbucket";
/// The secret key that holds where none is given. It guards nothing: the server is on loopback.
pub const DEFAULT_SECRET_KEY: &str = "sandbucket-secret";

/// The largest blob that S3 copies at once.
const COPY_LIMIT: u64 = 5 << 30;
/// The smallest part of an upload on S3, unless it is the last.
const MIN_PART: u64 = 5 << 20;

/// A server at work. Dropping it stops it; [`stop`](DevServer::stop) also waits until it has.
#[derive(Debug)]
pub struct DevServer {
    address: SocketAddr,
    folder: PathBuf,
    running: Running,
    /// Last, so that it is removed once nobody answers any more.
    _temporary: Option<tempfile::TempDir>,
}

impl DevServer {
    /// A server to be set up. Without more it is on a free port of 127.0.0.1, in a temporary folder, without buckets.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it is, as the setting `endpoint` takes it: `http://127.0.0.1:40123`. One that listens on all addresses is at
    /// the loopback address for this machine: no store connects to `0.0.0.0`.
    pub fn endpoint(&self) -> String {
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{address}")
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder that holds its blobs. A temporary one is removed with the server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops: no new connections, those at work finish their answer (for at most five seconds), idle ones are closed.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// What a server is to be like. Made by [`DevServer::builder`].
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
    /// Keeps the blobs here, also after the server has stopped. The folder is made where it is missing, and should
    /// hold nothing else. It may be a symbolic link; what is in it may not, see [above](self).
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The one pair of keys that requests may be signed with.
    pub fn credentials(mut self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.access_key = access_key.into();
        self.secret_key = secret_key.into();
        self
    }

    /// Makes the keys temporary ones: every signed request must carry this session token too.
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Answers unsigned requests as well. A request that is signed must still be signed rightly.
    pub fn anonymous(mut self, allowed: bool) -> Self {
        self.anonymous = allowed;
        self
    }

    /// How many bytes a blob may have to be copied at once: 5 GiB, as on S3, or fewer, to try out what happens then.
    pub fn copy_limit(mut self, bytes: u64) -> Self {
        self.copy_limit = bytes;
        self
    }

    /// How many bytes all parts of an upload but the last must have: 5 MiB, as on S3, or fewer, to try out many.
    pub fn min_part(mut self, bytes: u64) -> Self {
        self.min_part = bytes;
        self
    }

    /// Dates a blob that is written in parts at the initiation of its upload, as Amazon S3 does, and not at its completion.
    pub fn initiation_dates(mut self, enabled: bool) -> Self {
        self.initiation_dates = enabled;
        self
    }

    /// Buckets to make where they are missing. Names are as S3 wants them: 3 to 63 of `a-z`, `0-9`, `-` and `.`.
    pub fn buckets<I, S>(mut self, buckets: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.buckets.extend(buckets.into_iter().map(Into::into));
        self
    }

    /// The address and port to listen on; port 0 is any free one.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// Starts the server on the current tokio runtime.
    ///
    /// # Errors
    /// If the folder cannot be made or written, if a bucket has a name that S3 does not take, or if the address
    /// cannot be listened on. The message says which.
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
