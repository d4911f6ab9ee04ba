//! Budgets of tenants in effect: what a store's calls, bytes, CPU time, memory and connections are charged to.
//!
//! A tenant has one [`Admission`], which all stores opened for it share. A store without a tenant has none, and pays for none of
//! this. Where each bound takes effect:
//!
//! | bound | where |
//! |---|---|
//! | calls in flight, calls per second, queue | [`Admission::admit`], as the driver begins an operation |
//! | CPU time per second | there as well; and between slices of a guest call, in `sandbox::compute` |
//! | bytes per second | [`Pacer`], in the bodies of requests and responses |
//! | connections | [`Admission::connection`], before each request |
//! | instances, memory | [`caps::Caps`], in the fair queue of instances and in each instance's limiter |

mod admission;
mod caps;
mod pacer;
mod slots;
mod token_bucket;

pub(crate) use admission::{Admission, Usage};
pub(crate) use pacer::Pacer;
pub(crate) use slots::Slot;
