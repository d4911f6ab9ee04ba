//! Fuzz targets: everything that a service, a plugin and an operator's files can send into plugin and host.
//!
//! A target is a function of bytes that panics on a finding. Three runners exist: `make fuzz` with cargo-fuzz (see
//! `fuzz/`), `make test` with the corpus and a fixed seed (`tests/fixed_seed.rs`), and a debugger with a reproducer. Text
//! formats are read as text, so that seeds can be written by hand; other input is decoded by the crate `arbitrary`.
//!
//! Add a new target to `TARGETS`, to `fuzz/Cargo.toml` with a file beside the others, and add a folder of seeds to
//! `corpus/`.

mod guest;
#[cfg(feature = "host")]
mod host;
mod text;

pub use guest::azure::guest_azure;
pub use guest::documents::guest_documents;
pub use guest::operations::guest_operations;
pub use guest::responses::guest_responses;
pub use guest::sans_io::guest_sans_io;
pub use guest::sigv4::guest_sigv4;
pub use guest::values::guest_values;
#[cfg(feature = "host")]
pub use host::{
    config::host_config, egress::host_egress, http::host_http, plugin_results::host_plugin_results,
    ranges::host_ranges, requests::host_requests,
};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets, by the names of their binaries and of their folders in `corpus/`.
#[cfg(feature = "host")]
pub const TARGETS: [(&str, Target); 13] = [
    ("guest_azure", guest_azure),
    ("guest_documents", guest_documents),
    ("guest_sans_io", guest_sans_io),
    ("guest_operations", guest_operations),
    ("guest_responses", guest_responses),
    ("guest_sigv4", guest_sigv4),
    ("guest_values", guest_values),
    ("host_config", host_config),
    ("host_egress", host_egress),
    ("host_http", host_http),
    ("host_plugin_results", host_plugin_results),
    ("host_ranges", host_ranges),
    ("host_requests", host_requests),
];
