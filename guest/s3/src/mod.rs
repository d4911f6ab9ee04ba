//! S3: requests, signatures, endpoints, responses, documents and error codes. Pure functions, without I/O or clocks.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html>

pub mod attributes;
pub mod bounds;
pub mod bucket;
pub mod checksum;
pub mod content;
pub mod continuation;
pub mod documents;
pub mod encode;
pub mod encoded_words;
pub mod endpoint;
pub mod headers;
pub mod key;
pub mod requests;
pub mod response;
pub mod service_error;
pub mod sigv4;
pub mod time;
pub mod xml;
