//! The contract's functions: where a component has them, and how they are called in an instance of it.
//!
//! Each has a bound on what its result may make the host allocate. wasmtime charges every list and string that it copies out of
//! a plugin's memory, at the size that it has on the host, and a result beyond the bound is a trap.
//!
//! What wasmtime generates looks up every function in every instance and holds its type against the component's once
//! more, which is half of what making an instance takes. The types are the component's: here they are checked once.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre, ResourceAny, TypedFunc};
use wasmtime::error::Context;

use super::exchanges::{Next, Received, Refusal, Settled, Turn};
use super::listing::{ListOptions, ListPage, VersionPage};
use super::multipart::{
    CompleteOptions, CopyPartOptions, ListPartsOptions, ListUploadsOptions, Part, PartOptions, PartPage, UploadOptions,
    UploadPage,
};
use super::wit::{
    Blob, BlobInfo, BlobName, CopyOptions, DeleteManyOptions, DeleteOptions, DigestAlgorithm, Error, HeadOptions,
    PresignOptions, Presigned, PresignedMethod, ReadOptions, Setting, TagOptions, WriteOptions, Written,
};
use crate::state::State;

/// Host memory, in bytes, that one result may take: one blob's properties, one error, one body's chunk written over wasi:http.
pub(crate) const RESULT: usize = 1 << 20;
/// A page of a listing: 1,000 keys of 1 KiB, each with a tag, a version and attributes, are about 3 MiB.
const PAGE: usize = 8 << 20;
/// The outcome of one blob of a bulk delete: an error with the service's words.
const OUTCOME: usize = 8 << 10;
/// A step of one operation of a batch: a request's header, or a blob's properties.
const STEP: usize = 256 << 10;

const BLOB_STORE: &str = "sandbucket:blob/blob-store@0.1.0";
/// A component need not have it: see [`HostPre::prepares_requests`].
const EXCHANGES: &str = "sandbucket:blob/exchanges@0.1.0";

/// A component that has the contract's functions, linked to the host's.
pub(crate) struct HostPre {
    pre: InstancePre<State>,
    places: Arc<Places>,
}

impl HostPre {
    /// An error where a function is missing, or is of another type.
    pub(crate) fn new(pre: InstancePre<State>) -> wasmtime::Result<HostPre> {
        let places = Arc::new(Places::new(&pre)?);
        Ok(HostPre { pre, places })
    }

    /// Whether the component gives its requests to the host, which sends them: it exports the functions of `exchanges`.
    pub(crate) fn prepares_requests(&self) -> bool {
        self.places.call_step.is_some()
    }

    pub(crate) async fn instantiate_async(&self, store: &mut Store<State>) -> wasmtime::Result<Host> {
        Ok(Host { instance: self.pre.instantiate_async(store).await?, places: self.places.clone() })
    }
}

/// An instance of one.
pub(crate) struct Host {
    instance: Instance,
    places: Arc<Places>,
}

macro_rules! functions {
    (
        all of {$(
            $call:ident $wit:literal ($($argument:ident: $type:ty),*) -> $result:ty, at most $most:expr;
        )*}
        all or none of {$(
            $other:ident $other_wit:literal ($($other_argument:ident: $other_type:ty),*) -> $other_result:ty,
                at most $other_most:expr;
        )*}
    ) => {
        /// Where the component has the functions.
        struct Places {
            $($call: ComponentExportIndex,)*
            $($other: Option<ComponentExportIndex>,)*
        }

        impl Places {
            fn new(pre: &InstancePre<State>) -> wasmtime::Result<Places> {
                let component = pre.component();
                let interface = component.get_export_index(None, BLOB_STORE);
                let interface = interface.with_context(|| format!("it has no {BLOB_STORE}"))?;
                let types = pre.instance_type();
                $(
                    let Some($call) = place!(component, types, interface, $wit, ($($type,)*), $result) else {
                        wasmtime::bail!(concat!("it has no ", $wit));
                    };
                )*
                let interface = component.get_export_index(None, EXCHANGES);
                $(
                    let $other = match interface {
                        Some(interface) => {
                            place!(component, types, interface, $other_wit, ($($other_type,)*), $other_result)
                        }
                        None => None,
                    };
                )*
                let others = [$($other.is_some(),)*];
                if others.contains(&true) && others.contains(&false) {
                    wasmtime::bail!("it has some of the functions of {EXCHANGES} but not all");
                }
                Ok(Places { $($call,)* $($other,)* })
            }
        }

        impl Host {
            $(call!($call $wit ($($argument: $type),*) -> $result, at most $most, |places| Some(&places.$call));)*
            $(call!($other $other_wit ($($other_argument: $other_type),*) -> $other_result, at most $other_most,
                |places| places.$other.as_ref());)*
        }
    };
}

/// Where an interface has a function, which is of this type.
macro_rules! place {
    ($component:ident, $types:ident, $interface:ident, $wit:literal, ($($type:ty,)*), $result:ty) => {
        match $component.get_export(Some(&$interface), $wit) {
            Some((ComponentItem::ComponentFunc(function), place)) => {
                let checked = function.typecheck::<($($type,)*), ($result,)>(&$types);
                checked.context(concat!("its ", $wit, " is of another type"))?;
                Some(place)
            }
            _ => None,
        }
    };
}

/// Calls a function at its place.
macro_rules! call {
    ($call:ident $wit:literal ($($argument:ident: $type:ty),*) -> $result:ty, at most $most:expr, $place:expr) => {
        #[allow(clippy::too_many_arguments, reason = "as many as the contract has")]
        pub(crate) async fn $call(
            &self,
            store: &mut Store<State>,
            $($argument: $type,)*
        ) -> wasmtime::Result<$result> {
            let memory = store.data().limiter.memory();
            store.set_hostcall_fuel(usize::min($most, memory.max(RESULT)));
            let place: fn(&Places) -> Option<&ComponentExportIndex> = $place;
            let function = place(&self.places).and_then(|place| self.instance.get_func(&mut *store, place));
            let function = function.context(concat!("there is no ", $wit))?;
            // SAFETY: `Places::new` checked the type of this function of this component. A place leads to
            // nothing in an instance of another one.
            let function = unsafe { TypedFunc::<($($type,)*), ($result,)>::new_unchecked(function) };
            let (result,) = function.call_async(store, ($($argument,)*)).await?;
            Ok(result)
        }
    };
}

functions! {
    all of {
        call_settings "settings" () -> Vec<Setting>,
            at most RESULT;
        call_open "[static]store.open" (settings: &[(String, String)]) -> Result<ResourceAny, Error>,
            at most RESULT;
        call_head "[method]store.head" (this: ResourceAny, key: &str, options: &HeadOptions) -> Result<BlobInfo, Error>,
            at most RESULT;
        call_get "[method]store.get" (this: ResourceAny, key: &str, options: &ReadOptions) -> Result<Blob, Error>,
            at most usize::MAX;
        call_put "[method]store.put" (this: ResourceAny, key: &str, body: &[u8], options: &WriteOptions)
            -> Result<Written, Error>,
            at most RESULT;
        call_wanted_digests "[method]store.wanted-digests" (this: ResourceAny) -> Vec<DigestAlgorithm>,
            at most RESULT;
        call_delete "[method]store.delete" (this: ResourceAny, key: &str, options: &DeleteOptions) -> Result<Option<bool>, Error>,
            at most RESULT;
        call_delete_many "[method]store.delete-many"
            (this: ResourceAny, blobs: &[BlobName], options: &DeleteManyOptions) -> Result<Vec<Result<(), Error>>, Error>,
            at most RESULT + blobs.len() * OUTCOME;
        call_list "[method]store.list" (this: ResourceAny, options: &ListOptions) -> Result<ListPage, Error>,
            at most PAGE;
        call_list_versions "[method]store.list-versions" (this: ResourceAny, options: &ListOptions)
            -> Result<VersionPage, Error>,
            at most PAGE;
        call_copy "[method]store.copy" (this: ResourceAny, source: &BlobName, to: &str, options: &CopyOptions)
            -> Result<Written, Error>,
            at most RESULT;
        call_presign "[method]store.presign"
            (this: ResourceAny, method: PresignedMethod, key: &str, options: &PresignOptions) -> Result<Presigned, Error>,
            at most RESULT;
        call_tags "[method]store.tags" (this: ResourceAny, key: &str, options: &TagOptions)
            -> Result<Vec<(String, String)>, Error>,
            at most RESULT;
        call_set_tags "[method]store.set-tags"
            (this: ResourceAny, key: &str, tags: &[(String, String)], options: &TagOptions) -> Result<(), Error>,
            at most RESULT;
        call_create_upload "[method]store.create-upload" (this: ResourceAny, key: &str, options: &WriteOptions)
            -> Result<String, Error>,
            at most RESULT;
        call_upload_part "[method]store.upload-part"
            (this: ResourceAny, key: &str, upload: &str, number: u32, body: &[u8], options: &PartOptions)
            -> Result<Part, Error>,
            at most RESULT;
        call_copy_part "[method]store.copy-part"
            (this: ResourceAny, key: &str, upload: &str, number: u32, source: &BlobName, options: &CopyPartOptions)
            -> Result<Part, Error>,
            at most RESULT;
        call_list_parts "[method]store.list-parts"
            (this: ResourceAny, key: &str, upload: &str, options: &ListPartsOptions) -> Result<PartPage, Error>,
            at most PAGE;
        call_complete_upload "[method]store.complete-upload"
            (this: ResourceAny, key: &str, upload: &str, parts: &[Part], options: &CompleteOptions)
            -> Result<Written, Error>,
            at most RESULT;
        call_abort_upload "[method]store.abort-upload"
            (this: ResourceAny, key: &str, upload: &str, options: &UploadOptions) -> Result<(), Error>,
            at most RESULT;
        call_list_uploads "[method]store.list-uploads" (this: ResourceAny, options: &ListUploadsOptions)
            -> Result<UploadPage, Error>,
            at most PAGE;
    }
    all or none of {
        call_step "step" (this: ResourceAny, turns: &[Turn]) -> Vec<Result<Next, Refusal>>,
            at most RESULT + turns.len() * STEP;
        call_take "take" (this: ResourceAny, answers: &[Received]) -> Vec<Option<Settled>>,
            at most RESULT + answers.len() * STEP;
    }
}
