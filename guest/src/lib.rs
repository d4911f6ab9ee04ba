//! S3 as a plugin.
pub mod error;
pub mod model;
pub mod request;
