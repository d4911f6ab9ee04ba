//! Server processes, started on first use and stopped with the parent process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::{Context, Result};

use super::Ready;
use crate::child::Child;
use crate::rows::Service;

/// A running server.
pub struct Server {
    pub ready: Ready,
    /// Dropping it ends the process.
    _process: Child,
}

impl Server {
    /// Starts one, with [`ServeOptions::latency`](crate::options::ServeOptions::latency).
    pub fn start(service: Service, latency: Option<u64>) -> Result<Server> {
        let name = clap::ValueEnum::to_possible_value(&service).context("every service has a name")?;
        let mut arguments = vec!["serve".to_owned(), name.get_name().to_owned()];
        arguments.extend(latency.map(|latency| format!("--latency={latency}")));
        let mut process = Child::start(&arguments, &[])?;
        let ready = process.read().context("starting a server")?;
        Ok(Server { ready, _process: process })
    }
}

/// All servers of a run.
#[derive(Default)]
pub struct Servers {
    running: HashMap<Service, Server>,
}

impl Servers {
    pub fn of(&mut self, service: Service) -> Result<&Ready> {
        Ok(match self.running.entry(service) {
            Entry::Occupied(running) => &running.into_mut().ready,
            Entry::Vacant(free) => &free.insert(Server::start(service, None)?).ready,
        })
    }
}
