//! Header names that requests and answers have in common.

/// What the names of user metadata begin with in HTTP.
pub const METADATA_PREFIX: &str = "x-amz-meta-";

/// The named attributes that a write takes and a read gives back, each the HTTP header of the same name.
pub const ATTRIBUTES: [&str; 5] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "expires"];
