//! Chainable setters of [`Limits`] and [`Budget`].

use std::time::Duration;

use super::{Budget, Limits};

macro_rules! setters {
    ($of:ident: $($setter:ident, $field:ident: $type:ty;)*) => {
        impl $of {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](", stringify!($of), "#structfield.", stringify!($field), ").")]
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
    Limits:
    with_memory, memory: usize;
    with_retire_memory, retire_memory: usize;
    with_cpu_time, cpu_time: Duration;
    with_call_time, call_time: Duration;
    with_max_call_time, max_call_time: Duration;
    with_instances_per_store, instances_per_store: usize;
    with_instances, instances: usize;
    with_reopen_within, reopen_within: Duration;
    with_address_space, address_space: usize;
    with_instance_wait, instance_wait: Duration;
    with_compute_per_store, compute_per_store: usize;
    with_header_bytes, header_bytes: usize;
    with_max_put, max_put: usize;
    with_resumes, resumes: u32;
    with_connect_timeout, connect_timeout: Duration;
    with_first_byte_timeout, first_byte_timeout: Duration;
    with_between_bytes_timeout, between_bytes_timeout: Duration;
    with_connections, connections: usize;
    with_idle_connections, idle_connections: usize;
    with_max_idle_connections, max_idle_connections: usize;
    with_idle_timeout, idle_timeout: Duration;
}

setters! {
    Budget:
    with_calls_in_flight, calls_in_flight: usize;
    with_calls_per_second, calls_per_second: u64;
    with_read_bytes_per_second, read_bytes_per_second: u64;
    with_written_bytes_per_second, written_bytes_per_second: u64;
    with_cpu_per_second, cpu_per_second: Duration;
    with_instances, instances: usize;
    with_memory, memory: u64;
    with_queue_length, queue_length: usize;
    with_queue_wait, queue_wait: Duration;
    with_connections, connections: usize;
}
