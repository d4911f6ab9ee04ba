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

use super::buckets::{BucketOptions, BucketPage, ListBucketsOptions};
use super::listing::{ListOptions, ListPage, VersionPage};
use super::multipart::{
    AbortOptions, CompleteOptions, CopyPartOptions, ListPartsOptions, ListUploadsOptions, Part, PartOptions, PartPage,
    UploadPage,
};
use super::sans_io::{Next, Operation, Resumption};
use super::wit::{
    Attribute, Blob, BlobInfo, BlobRef, CopyOptions, CopySource, DeleteManyOptions, DeleteOptions, DigestAlgorithm,
    Error, GetOptions, HeadOptions, PresignOptions, Presigned, PresignedMethod, PutOptions, Setting, TagOptions,
    Written,
};
use crate::sandbox::host_state::State;

/// Host memory, in bytes, that one result may take: one blob's properties, one error, one piece of a body written over wasi:http.
pub(crate) const RESULT: usize = 1 << 20;
/// A page of a listing: 1,000 keys of 1 KiB, each with a tag, a version and attributes, are about 3 MiB.
pub(crate) const PAGE: usize = 8 << 20;
/// The outcome of one blob of a bulk delete: an error with the service's message.
const OUTCOME: usize = 8 << 10;

const STORE: &str = "sandbucket:blob/store@0.2.0";
/// A component need not have it: see [`HostPre::is_sans_io`].
const SANS_IO: &str = "sandbucket:blob/sans-io@0.2.0";

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

    /// Whether the component exports the interface `sans-io`: the host sends the requests.
    pub(crate) fn is_sans_io(&self) -> bool {
        self.places.begin.is_some()
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
            $other:ident $other_wit:literal ($($other_argument:ident: $other_type:ty),*) -> $other_result:ty;
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
                let interface = component.get_export_index(None, STORE);
                let interface = interface.with_context(|| format!("it has no {STORE}"))?;
                let types = pre.instance_type();
                $(
                    let Some($call) = place!(component, types, interface, $wit, ($($type,)*), $result) else {
                        wasmtime::bail!(concat!("it has no ", $wit));
                    };
                )*
                let interface = component.get_export_index(None, SANS_IO);
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
                    wasmtime::bail!("it has some of the functions of {SANS_IO} but not all");
                }
                Ok(Places { $($call,)* $($other,)* })
            }
        }

        impl Host {
            $(call!($call $wit ($($argument: $type),*) -> $result, at most ($most), |places| Some(&places.$call));)*
            $(call!($other $other_wit ($($other_argument: $other_type),*) -> $other_result, bound by result_bytes,
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

/// Calls a function at its place. `bound by` names a further parameter, which has the bound of the result.
macro_rules! call {
    ($call:ident $wit:literal ($($argument:ident: $type:ty),*) -> $result:ty, bound by $bound:ident, $place:expr) => {
        call!(@ $call $wit ($($argument: $type),*) -> $result, ($bound: usize), $bound, $place);
    };
    ($call:ident $wit:literal ($($argument:ident: $type:ty),*) -> $result:ty, at most ($most:expr), $place:expr) => {
        call!(@ $call $wit ($($argument: $type),*) -> $result, (), $most, $place);
    };
    (@ $call:ident $wit:literal ($($argument:ident: $type:ty),*) -> $result:ty, ($($bound:ident: $bound_type:ty)?),
        $most:expr, $place:expr) => {
        #[allow(clippy::too_many_arguments, reason = "as many as the contract has")]
        pub(crate) async fn $call(
            &self,
            store: &mut Store<State>,
            $($argument: $type,)*
            $($bound: $bound_type,)?
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
        settings "settings" () -> Vec<Setting>,
            at most RESULT;
        attributes "attributes" () -> Vec<Attribute>,
            at most RESULT;
        open "[static]store.open" (settings: &[(String, String)]) -> Result<ResourceAny, Error>,
            at most RESULT;
        wanted_digests "[method]store.wanted-digests" (this: ResourceAny) -> Vec<DigestAlgorithm>,
            at most RESULT;
        head "[method]store.head" (this: ResourceAny, key: &str, options: Option<&HeadOptions>)
            -> Result<BlobInfo, Error>,
            at most RESULT;
        get "[method]store.get" (this: ResourceAny, key: &str, options: Option<&GetOptions>) -> Result<Blob, Error>,
            at most usize::MAX;
        put "[method]store.put" (this: ResourceAny, key: &str, body: &[u8], options: Option<&PutOptions>)
            -> Result<Written, Error>,
            at most RESULT;
        delete "[method]store.delete" (this: ResourceAny, key: &str, options: Option<&DeleteOptions>)
            -> Result<Option<bool>, Error>,
            at most RESULT;
        delete_many "[method]store.delete-many"
            (this: ResourceAny, blobs: &[BlobRef], options: Option<&DeleteManyOptions>)
            -> Result<Vec<Result<(), Error>>, Error>,
            at most RESULT + blobs.len() * OUTCOME;
        list "[method]store.list" (this: ResourceAny, options: Option<&ListOptions>) -> Result<ListPage, Error>,
            at most PAGE;
        list_versions "[method]store.list-versions" (this: ResourceAny, options: Option<&ListOptions>)
            -> Result<VersionPage, Error>,
            at most PAGE;
        copy "[method]store.copy" (this: ResourceAny, source: &CopySource, to: &str, options: Option<&CopyOptions>)
            -> Result<Written, Error>,
            at most RESULT;
        presign "[method]store.presign"
            (this: ResourceAny, method: PresignedMethod, key: &str, expires_in: u64, options: Option<&PresignOptions>)
            -> Result<Presigned, Error>,
            at most RESULT;
        get_tags "[method]store.get-tags" (this: ResourceAny, key: &str, options: Option<&TagOptions>)
            -> Result<Vec<(String, String)>, Error>,
            at most RESULT;
        set_tags "[method]store.set-tags"
            (this: ResourceAny, key: &str, tags: &[(String, String)], options: Option<&TagOptions>)
            -> Result<(), Error>,
            at most RESULT;
        create_upload "[method]store.create-upload" (this: ResourceAny, key: &str, options: Option<&PutOptions>)
            -> Result<String, Error>,
            at most RESULT;
        upload_part "[method]store.upload-part"
            (this: ResourceAny, key: &str, upload: &str, number: u32, body: &[u8], options: Option<&PartOptions>)
            -> Result<Part, Error>,
            at most RESULT;
        copy_part "[method]store.copy-part"
            (this: ResourceAny, key: &str, upload: &str, number: u32, source: &CopySource,
                options: Option<&CopyPartOptions>)
            -> Result<Part, Error>,
            at most RESULT;
        list_parts "[method]store.list-parts"
            (this: ResourceAny, key: &str, upload: &str, options: Option<&ListPartsOptions>)
            -> Result<PartPage, Error>,
            at most PAGE;
        complete_upload "[method]store.complete-upload"
            (this: ResourceAny, key: &str, upload: &str, parts: &[Part], options: Option<&CompleteOptions>)
            -> Result<Written, Error>,
            at most RESULT;
        abort_upload "[method]store.abort-upload"
            (this: ResourceAny, key: &str, upload: &str, options: Option<&AbortOptions>) -> Result<(), Error>,
            at most RESULT;
        list_uploads "[method]store.list-uploads" (this: ResourceAny, options: Option<&ListUploadsOptions>)
            -> Result<UploadPage, Error>,
            at most PAGE;
        create_bucket "[method]store.create-bucket" (this: ResourceAny, name: &str, options: Option<&BucketOptions>)
            -> Result<(), Error>,
            at most RESULT;
        delete_bucket "[method]store.delete-bucket" (this: ResourceAny, name: &str, options: Option<&BucketOptions>)
            -> Result<(), Error>,
            at most RESULT;
        bucket_exists "[method]store.bucket-exists" (this: ResourceAny, name: &str, options: Option<&BucketOptions>)
            -> Result<bool, Error>,
            at most RESULT;
        list_buckets "[method]store.list-buckets" (this: ResourceAny, options: Option<&ListBucketsOptions>)
            -> Result<BucketPage, Error>,
            at most PAGE;
    }
    all or none of {
        begin "begin" (this: ResourceAny, operations: &[Arc<Operation>]) -> Vec<Next>;
        resume "resume" (this: ResourceAny, resumptions: &[Resumption]) -> Vec<Next>;
    }
}
