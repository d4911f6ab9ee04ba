//! S3 as a plugin.
