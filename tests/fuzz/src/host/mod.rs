//! Targets in the host, reached through `sandbucket::fuzzing`.

pub mod config;
pub mod egress;
pub mod http;
pub mod plugin_results;
pub mod ranges;
pub mod requests;
