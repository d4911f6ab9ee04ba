//! An S3 endpoint in front of Sandbucket's tenants, for clients in any language.
#![allow(dead_code)]
mod directory;
mod record;
mod s3;
mod server;
