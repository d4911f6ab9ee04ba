//! Options of embedding programs: address space, credentials, time limits, ranges.

mod address_space;
mod child;
mod credentials;
mod options;
mod ranges;
mod two_keys;
