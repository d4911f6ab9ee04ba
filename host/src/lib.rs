//! lib

#[cfg(feature = "dev-server")]
pub mod dev_server;
