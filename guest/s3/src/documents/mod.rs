//! Parsers of XML documents in responses.

pub mod bucket;
pub mod delete_many;
pub mod listing;
pub mod multipart;
pub mod tags;
