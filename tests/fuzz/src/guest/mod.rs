//! Targets in the plugin, built natively.

pub mod documents;
pub mod exchanges;
pub mod operations;
pub mod responses;
mod service;
pub mod sigv4;
pub mod values;
