//! Names and values shared by requests and responses.

/// Version of the service whose rules requests follow: `x-ms-version`, and `sv` of the signatures made here.
pub const VERSION: &str = "2023-11-03";

/// User metadata that stores the attribute `write-id`: the names of metadata are identifiers.
pub const WRITE_ID: &str = "sandbucket_write_id";
