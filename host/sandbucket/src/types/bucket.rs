//! Buckets, as plain data.

use std::time::SystemTime;

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The time of its creation.
    pub created: Option<SystemTime>,
    /// Its region, if the service reports it.
    pub region: Option<String>,
}

/// A page of a list of buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketPage {
    /// The buckets, by name.
    pub buckets: Vec<Bucket>,
    /// What asks for the next page; none after the last.
    pub next: Option<String>,
}
