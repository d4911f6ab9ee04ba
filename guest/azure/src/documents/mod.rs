//! The XML documents in responses.

pub mod batch;
pub mod block_list;
pub mod container;
pub mod listing;
