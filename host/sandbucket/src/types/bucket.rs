//! Buckets, as plain data.

use std::time::SystemTime;

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// The name.
    pub name: String,
    /// The time of its creation.
    pub created: Option<SystemTime>,
    /// Its region, if the service reports it.
    pub region: Option<String>,
}

/// A page of a listing of buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketPage {
    /// The buckets, by name.
    pub buckets: Vec<Bucket>,
    /// The continuation token of the next page; `None` on the last one.
    pub next: Option<String>,
}
