//! Chainable setters of [`Limits`].

use std::time::Duration;

use super::Limits;

macro_rules! setters {
    ($($setter:ident, $field:ident: $type:ty;)*) => {
        impl Limits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Limits#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    with_memory, memory: usize;
    with_retire_memory, retire_memory: usize;
    with_cpu_time, cpu_time: Duration;
    with_call_time, call_time: Duration;
    with_max_call_time, max_call_time: Duration;
    with_instances_per_store, instances_per_store: usize;
    with_instances, instances: usize;
    with_address_space, address_space: usize;
    with_instance_wait, instance_wait: Duration;
    with_compute_per_store, compute_per_store: usize;
    with_header_bytes, header_bytes: usize;
    with_max_put, max_put: usize;
    with_resumes, resumes: u32;
    with_connect_timeout, connect_timeout: Duration;
    with_first_byte_timeout, first_byte_timeout: Duration;
    with_between_bytes_timeout, between_bytes_timeout: Duration;
    with_idle_connections, idle_connections: usize;
    with_max_idle_connections, max_idle_connections: usize;
    with_idle_timeout, idle_timeout: Duration;
}
