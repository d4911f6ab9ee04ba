//! A worker process, as seen by its parent.

use anyhow::{Result, bail};

use super::{Lap, Said};
use crate::child::Child;
use crate::clients::Kind;
use crate::rows::Row;
use crate::server::Ready;

/// A client that is ready for a lap. Dropping it ends its process.
pub struct Worker {
    process: Child,
    /// Operations per lap.
    operations: u64,
}

impl Worker {
    /// Starts a worker and lets it warm up. A lap takes about `seconds`.
    pub fn start(kind: Kind, row: &Row, server: &Ready, threads: usize, seconds: f64) -> Result<Worker> {
        let mut arguments: Vec<String> = ["worker", "--client", kind.argument(), "--row", &row.name]
            .into_iter()
            .chain(["--endpoint", &server.endpoint, "--threads", &threads.to_string()])
            .map(str::to_owned)
            .collect();
        let mut environment = Vec::new();
        if let Some(file) = &server.ca_file {
            let file = file.display().to_string();
            arguments.extend(["--ca-file".to_owned(), file.clone()]);
            // Some clients have no option for it.
            environment.push(("SSL_CERT_FILE", file));
        }
        let mut process = Child::start(&arguments, &environment)?;
        match process.read()? {
            Said::Warm(rate) => {
                let operations = ((rate * seconds) as u64).max(row.in_flight as u64);
                Ok(Worker { process, operations })
            }
            Said::Failed(why) => bail!(why),
            Said::Lap(_) => bail!("the worker reports a lap without a request"),
        }
    }

    /// Runs one lap.
    pub fn lap(&mut self) -> Result<Lap> {
        self.process.write(&self.operations)?;
        match self.process.read()? {
            Said::Lap(lap) => Ok(lap),
            Said::Failed(why) => bail!(why),
            Said::Warm(_) => bail!("the worker is warm once more"),
        }
    }
}
