//! `wasi:http/outgoing-handler` for plugins without the interface `sans-io`: wasmtime's own, with the requests that
//! [`Hooks`](crate::http::Hooks) sends.
//!
//! wasmtime 48 reads the request's options, which the function is given to own, and leaves them in the instance's table. Each call
//! would add one, and an instance that holds a resource between calls is not used again: here they are removed.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{RequestOptions, WasiHttpView};

use crate::sandbox::host_state::State;

/// The contract's version. The linker takes any later 0.2 for it, too.
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.0";

type Arguments = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Handled = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// Links the interface. `wasi:http/types` must have been linked before.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(HANDLER)?.func_wrap("handle", handle)
}

fn handle(mut store: StoreContextMut<'_, State>, (request, options): Arguments) -> wasmtime::Result<(Handled,)> {
    let mut http = store.data_mut().http();
    // wasmtime takes none for an error.
    http.table.get_mut(&request)?.path_with_query.get_or_insert_with(|| "/".to_owned());
    let borrowed = options.as_ref().map(|options| Resource::new_borrow(options.rep()));
    let handled = http.handle(request, borrowed);
    if let Some(options) = options {
        http.table.delete(options)?;
    }
    match handled {
        Ok(response) => Ok((Ok(response),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
