//! Buckets, as `wit/buckets.wit` documents them.

use serde::{Deserialize, Serialize};

use super::{CallOptions, Datetime};

/// Options of an operation on a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketOptions {
    /// Common options.
    pub call: CallOptions,
}

/// Options of a listing of buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListBucketsOptions {
    /// Only buckets whose names begin with this text.
    pub prefix: String,
    /// `next` of the previous page.
    pub continuation: Option<String>,
    /// Maximum number of buckets in a page.
    pub page_size: Option<u32>,
    /// Common options.
    pub call: CallOptions,
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Name.
    pub name: String,
    /// Time of its creation.
    pub created: Option<Datetime>,
    /// Region, if the service reports it.
    pub region: Option<String>,
}

/// A page of buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketPage {
    /// Buckets.
    pub buckets: Vec<Bucket>,
    /// `continuation` of the next page.
    pub next: Option<String>,
}
