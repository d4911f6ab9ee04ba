//! x
/// The message of a request body that stalls.
pub(crate) const IDLE_BODY: &str = "the client sent nothing for too long";
