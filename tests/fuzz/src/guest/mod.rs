//! Targets in the plugin, built natively.

pub mod azure;
pub mod documents;
mod operation;
pub mod operations;
pub mod responses;
pub mod sans_io;
mod service;
pub mod sigv4;
pub mod values;
