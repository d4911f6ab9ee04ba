//! SDK for plugins of Sandbucket.

pub mod attributes;
pub mod checksum;
pub mod content;
pub mod contract;
pub mod http;
pub mod io;
pub mod key;
pub mod machine;
pub mod reconcile;
pub mod retry;
pub mod rt;
pub mod settings;
#[cfg(feature = "testing")]
pub mod testing;
pub mod xml;

pub use attributes::Attribute;
pub use contract::error::{Error, Failure, Kind, ServiceResponse};
pub use contract::model::{self, Operation, Output};
pub use http::request::{Method, Request};
pub use http::response::{Head, MalformedResponse};
pub use machine::service::{self, AttemptError, Classification, Config, Flow, Outgoing, Refusal, Service, Wait};
pub use machine::{RequestBody, Response, Step, Store};
pub use retry::Decision;
pub use settings::{Secret, Setting, SettingKind, SettingValues};

/// Makes the crate a component: exports the interfaces of the contract for a [`Service`], and sets the allocator.
///
/// Does nothing on targets other than wasm32, where the crate is tested.
#[macro_export]
macro_rules! export {
    ($service:ty) => {
        #[cfg(target_arch = "wasm32")]
        mod sandbucket_plugin_exports {
            use super::*;

            type Exports = $crate::contract::exports::Plugin<$service>;

            $crate::contract::bindings::export!(Exports with_types_in $crate::contract::bindings);

            #[global_allocator]
            static ALLOCATOR: $crate::rt::Allocator = $crate::rt::allocator();
        }
    };
}
