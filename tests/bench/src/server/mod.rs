//! The servers that clients are measured against, each in its own process.

mod certificates;
mod content;
mod listing;
mod memory;
mod process;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use sandbucket_dev_server::DevServer;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::options::ServeOptions;
use crate::rows::Service;
use crate::{child, measure};

pub use process::{Server, Servers};

/// The bucket on every server.
pub const BUCKET: &str = "bench";
/// The access key of every server.
pub const ACCESS_KEY: &str = "AKIDBENCHMARK";
pub const SECRET_KEY: &str = "the-benchmark-has-no-secrets";

/// What a server prints on its standard output once it is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Its URL: `http://127.0.0.1:40123`.
    pub endpoint: String,
    /// Its certificate authority, if it speaks TLS.
    pub ca_file: Option<PathBuf>,
}

/// Runs a server until its standard input closes.
pub fn serve(options: &ServeOptions) -> Result<()> {
    let (service, latency) = (options.service, options.latency.map(Duration::from_millis));
    measure::allow_many_files()?;
    let parent = child::parent_gone();
    // One thread, so that the server does not compete with the client on other processors.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("sandbucket-bench-").tempdir()?;
    LocalSet::new().block_on(&runtime, async {
        let serving = async {
            match service {
                Service::Memory | Service::MemoryTls => {
                    let listener = TcpListener::bind("127.0.0.1:0").await?;
                    let address = listener.local_addr()?;
                    if service == Service::Memory {
                        ready(Ready { endpoint: format!("http://{address}"), ca_file: None })?;
                        return memory::serve(listener, None, latency).await;
                    }
                    let (acceptor, ca_file) = certificates::make(folder.path(), &address.ip().to_string())?;
                    ready(Ready { endpoint: format!("https://{address}"), ca_file: Some(ca_file) })?;
                    memory::serve(listener, Some(acceptor), latency).await
                }
                Service::Files => {
                    let server = DevServer::builder()
                        .folder(folder.path())
                        .credentials(ACCESS_KEY, SECRET_KEY)
                        // The floor sends no signatures.
                        .anonymous(true)
                        .buckets([BUCKET])
                        .start()
                        .await?;
                    ready(Ready { endpoint: server.endpoint(), ca_file: None })?;
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            served = serving => served,
            _ = parent => Ok(()),
        }
    })
}

fn ready(ready: Ready) -> Result<()> {
    let mut line = serde_json::to_string(&ready)?;
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes()).context("telling that the server is ready")
}
