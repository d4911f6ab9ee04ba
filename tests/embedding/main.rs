//! Options of embedding programs: address space, credentials, time limits, ranges.

mod address_space;
mod aws;
mod child;
mod credentials;
mod options;
mod ranges;
mod rotation;
mod tokens;
mod two_keys;
