//! What the documents of answers say.

pub mod listing;
