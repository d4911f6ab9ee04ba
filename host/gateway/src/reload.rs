//! Reload without a restart: the files of the configuration are watched, and `SIGHUP` has them read again.
//!
//! The files are polled rather than watched by the system: it works on every file system, sees the exchange of a symbolic link
//! (as of Kubernetes' volumes), and a file that is still being written is left alone until it rests.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sandbucket::{TenantChanges, TenantsConfig};

use crate::config::ServeConfig;
use crate::error::{Error, Result};
use crate::gateway::Gateway;

/// Interval of the watch.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum number of entries of a directory that are watched.
const MAX_ENTRIES: usize = 131_072;

/// The files of a gateway's configuration.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The file with `[serve]`.
    pub file: PathBuf,
    /// The file or directory with the tenants.
    pub tenants: PathBuf,
    certificate: Vec<PathBuf>,
}

/// The outcome of the last time that the configuration was applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastReload {
    pub at: Option<SystemTime>,
    pub error: Option<String>,
}

impl Source {
    pub(crate) fn new(file: &Path, config: &ServeConfig) -> Source {
        let tenants = config.tenants.clone().unwrap_or_else(|| file.to_owned());
        let tls = config.tls.iter().flat_map(|tls| [tls.cert.clone(), tls.key.clone()]);
        Source { file: file.to_owned(), tenants, certificate: tls.collect() }
    }

    /// Reads the tenants. Blocks.
    pub(crate) fn tenants(&self) -> Result<TenantsConfig> {
        Ok(TenantsConfig::load(&self.tenants)?)
    }

    /// A value that changes with the files. Blocks.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let files = [&self.file, &self.tenants];
        for path in files.into_iter().chain(&self.certificate) {
            note(path, &mut hasher);
        }
        if self.tenants.is_dir() {
            let entries = std::fs::read_dir(&self.tenants).into_iter().flatten().flatten();
            let mut entries: Vec<_> = entries.take(MAX_ENTRIES).map(|entry| entry.path()).collect();
            entries.sort();
            for path in entries {
                note(&path, &mut hasher);
            }
        }
        hasher.finish()
    }
}

/// Notes what a change of a file changes. Links are followed.
fn note(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    if let Ok(metadata) = std::fs::metadata(path) {
        (metadata.len(), metadata.modified().ok(), metadata.is_dir()).hash(hasher);
        #[cfg(unix)]
        std::os::unix::fs::MetadataExt::ino(&metadata).hash(hasher);
    }
}

/// Runs blocking work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(std::io::Error::other).map_err(Error::io("reading the configuration"))
}

impl Gateway {
    /// Reads and applies tenants, front-end keys and the certificate again, from the file that the gateway was
    /// [loaded](Gateway::load) from. Other keys of `[serve]` apply at the next start.
    ///
    /// # Errors
    /// As [`apply`](Gateway::apply): the former state remains.
    pub async fn reload(&self) -> Result<TenantChanges> {
        let outcome = self.reload_files().await;
        match &outcome {
            Ok(changes) => tracing::info!(?changes, "the configuration was applied"),
            Err(error) => tracing::error!(%error, "the configuration was not applied; the former one stays"),
        }
        self.inner().note_reload(outcome.as_ref().err().map(ToString::to_string));
        outcome
    }

    async fn reload_files(&self) -> Result<TenantChanges> {
        let Some(source) = self.inner().source.clone() else {
            return Err(Error::config("the gateway was not loaded from a file"));
        };
        let gateway = self.clone();
        let config = blocking(move || {
            gateway.reload_certificate()?;
            source.tenants()
        });
        self.apply(&config.await??).await
    }

    /// Reloads when a file changes, forever.
    pub(crate) async fn watch(self) {
        let Some(source) = self.inner().source.clone() else { return std::future::pending().await };
        let look = |source: Source| blocking(move || source.fingerprint());
        let Ok(mut applied) = look(source.clone()).await else { return };
        let mut last = applied;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let Ok(now) = look(source.clone()).await else { continue };
            // Changed, and at rest since the last look.
            if now != applied && now == last {
                applied = now;
                // The error is logged and part of the status.
                let _ = self.reload().await;
            }
            last = now;
        }
    }

    /// Reloads at each `SIGHUP`, forever.
    pub(crate) async fn reload_on_hangup(self) {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};

            let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
            while hangups.recv().await.is_some() {
                let _ = self.reload().await;
            }
        }
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_changes_with_files_and_entries() {
        let folder = tempfile::tempdir().unwrap();
        let (file, tenants) = (folder.path().join("serve.toml"), folder.path().join("tenants"));
        std::fs::write(&file, "[serve]").unwrap();
        std::fs::create_dir(&tenants).unwrap();
        let source = Source { file: file.clone(), tenants: tenants.clone(), certificate: Vec::new() };
        let mut seen = vec![source.fingerprint()];
        assert_eq!(seen[0], source.fingerprint());
        std::fs::write(&file, "[serve] # longer").unwrap();
        seen.push(source.fingerprint());
        std::fs::write(tenants.join("a.toml"), "x").unwrap();
        seen.push(source.fingerprint());
        std::fs::remove_file(tenants.join("a.toml")).unwrap();
        std::fs::write(tenants.join("b.toml"), "x").unwrap();
        seen.push(source.fingerprint());
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }
}
