//! Options of embedding programs: address space, credentials, time limits, ranges.

mod address_space;
mod credentials;
mod options;
mod ranges;
mod reopening;
mod rotation;
mod two_keys;
