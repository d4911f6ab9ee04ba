//! What the documents of answers say.

pub mod bucket;
pub mod delete_many;
pub mod listing;
pub mod multipart;
pub mod tags;
