//! Names and values shared by requests and responses.

use sandbucket_plugin::metadata::Rules;

/// Azure's rules for user metadata: names are identifiers of C#, in ASCII.
pub const METADATA: Rules = Rules {
    prefix: "x-ms-meta-",
    max_bytes: 8 * 1024,
    is_name: is_identifier,
    names: "on Azure a name takes letters, digits and _, and begins with no digit",
    service: "Azure",
};

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Version of the service whose rules requests follow: `x-ms-version`, and `sv` of the signatures made here.
pub const VERSION: &str = "2023-11-03";

/// User metadata that stores the attribute `write-id`: the names of metadata are identifiers.
pub const WRITE_ID: &str = "sandbucket_write_id";
