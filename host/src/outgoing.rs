//! `wasi:http/outgoing-handler` as wasmtime has it, but for a leak: wasmtime 48 looks at the request's options, which it
//! is given to own, and leaves them in the instance's table. An instance could make but a thousand requests.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{RequestOptions, WasiHttpView};

use crate::state::State;

type Arguments = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Handled = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// Links the interface.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:http/outgoing-handler@0.2.0")?.func_wrap("handle", handle)
}

fn handle(mut store: StoreContextMut<'_, State>, (request, options): Arguments) -> wasmtime::Result<(Handled,)> {
    let mut http = store.data_mut().http();
    let place = options.as_ref().map(Resource::rep);
    let handled = http.handle(request, options);
    if let Some(place) = place {
        // Gone already where wasmtime has come to take it.
        let _ = http.table.delete(Resource::<RequestOptions>::new_own(place));
    }
    match handled {
        Ok(answer) => Ok((Ok(answer),)),
        // What is no error code is a trap.
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
