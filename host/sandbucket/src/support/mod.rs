//! What every layer may use: time, files and variables of the process, counts, fair queues, and limits on background work and log lines.

pub(crate) mod background;
pub(crate) mod count_guard;
pub(crate) mod deadline;
pub(crate) mod environment;
pub(crate) mod fair_queue;
pub(crate) mod input;
pub(crate) mod rate_limit;
