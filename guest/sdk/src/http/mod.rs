//! Requests, responses, and what is in their header fields, paths and dates.

pub mod bounds;
pub mod encode;
pub mod encoded_words;
pub mod headers;
pub mod ip;
pub mod request;
pub mod response;
pub mod time;
pub mod url;
