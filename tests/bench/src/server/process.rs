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
    pub fn start(service: Service) -> Result<Server> {
        let name = clap::ValueEnum::to_possible_value(&service).context("every service has a name")?;
        let mut process = Child::start(&["serve".to_owned(), name.get_name().to_owned()], &[])?;
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
            Entry::Vacant(free) => &free.insert(Server::start(service)?).ready,
        })
    }
}
