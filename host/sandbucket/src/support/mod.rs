//! What every layer may use: time, and limits on log lines.

pub(crate) mod deadline;
pub(crate) mod rate_limit;
