//! An S3 endpoint in front of Sandbucket's tenants, for clients in any language.
//!
//! Each tenant has front-end keys and virtual buckets:
//!
//! ```toml
//! [tenants.alice.store.blob.s3]            # where the gateway stores alice's blobs, and with which keys
//! bucket = "alice-backend"
//! endpoint = "https://minio.internal:9000"
//! access-key = "%{file:/run/secrets/alice-access-key}%"
//! secret-key = "%{file:/run/secrets/alice-secret-key}%"
//!
//! [[tenants.alice.gateway.keys]]           # what alice's clients sign with
//! access-key = "ALICE"
//! secret-key = "%{file:/run/secrets/alice-front}%"
//! access = "read-write"                    # default: read-only
//!
//! [[tenants.alice.gateway.keys]]
//! access-key = "ALICE-REPORTS"
//! secret-key = "%{file:/run/secrets/alice-reports}%"
//! prefixes = ["reports/"]                  # default: all keys
//! buckets = ["photos"]                     # default: all buckets of the tenant
//!
//! [tenants.alice.gateway.buckets.photos]   # what clients see as the bucket `photos`
//! prefix = "photos/"                       # a part of the tenant's store; default: all of it
//! ```
//!
//! The access key of a request selects the tenant; everything that a key does not grant is `AccessDenied`. The gateway verifies
//! the client's signature and checksums, and the tenant's sandbox signs the request to the service: clients never see the
//! tenant's keys, endpoint or bucket. Bodies stream in both directions in bounded memory.
//!
//! [`ServeConfig`] has the table `[serve]` with addresses, TLS and limits; `docs/operating.md` describes how to run it.

mod admin;
mod client;
mod config;
mod directory;
mod error;
mod gateway;
mod record;
mod reload;
mod s3;
mod server;
mod stats;

pub use admin::ADMIN_HEADER;
pub use client::AdminClient;
pub use config::{AdminAddress, RedirectConfig, ServeConfig, ServeLimits, TlsConfig};
pub use directory::{FrontKey, KeyAccess, TenantAccess, VirtualBucket};
pub use error::{Error, Result};
pub use gateway::{Gateway, Running};
pub use stats::RequestCounts;
