//! S3 as a plugin.
pub mod error;
