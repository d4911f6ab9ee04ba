//! Utilities of all layers: deadlines, and rate limits of log messages.

pub(crate) mod deadline;
pub(crate) mod rate_limit;
