//! The functions of `wasi:blobstore`. Errors of a call are texts for the guest; a trap is a handle that the guest must not use.

use wasmtime::Result;
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

use crate::bindings::wasi::blobstore::types::{ContainerMetadata, ObjectId, ObjectMetadata};
use crate::bindings::wasi::blobstore::{blobstore, container, types};
use crate::containers::Place;
use crate::context::{BlobstoreCtxView, Container};
use crate::incoming::IncomingValue;
use crate::listing::Listing;
use crate::objects::{self, timestamp};
use crate::outgoing::OutgoingValue;

/// The outcome of a call, for the guest.
type Outcome<T> = std::result::Result<T, String>;

/// Marks the data that the functions work on.
pub(crate) struct Blobstore;

impl HasData for Blobstore {
    type Data<'a> = BlobstoreCtxView<'a>;
}

impl BlobstoreCtxView<'_> {
    /// Runs a call on an open container.
    async fn on<T, F: Future<Output = Outcome<T>>>(
        &mut self,
        container: &Resource<Container>,
        operation: &str,
        call: impl FnOnce(Place) -> F,
    ) -> Result<Outcome<T>> {
        let container = self.table.get(container)?;
        let (place, subject) = (container.place.clone(), container.subject(operation));
        Ok(self.ctx.within(&subject, call(place)).await)
    }

    /// The same for one that writes.
    async fn write_on<T, F: Future<Output = Outcome<T>>>(
        &mut self,
        container: &Resource<Container>,
        operation: &str,
        call: impl FnOnce(Place) -> F,
    ) -> Result<Outcome<T>> {
        match self.ctx.containers.check_writable() {
            Ok(()) => self.on(container, operation, call).await,
            Err(error) => Ok(Err(error)),
        }
    }

    /// Puts an outcome into the table.
    fn push<T: Send + 'static>(&mut self, outcome: Outcome<T>) -> Result<Outcome<Resource<T>>> {
        Ok(match outcome {
            Ok(resource) => Ok(self.table.push(resource)?),
            Err(error) => Err(error),
        })
    }

    /// Opens the containers of a copy, the second being new to the guest's writes.
    async fn transfer(&mut self, from: ObjectId, to: ObjectId, moves: bool) -> Outcome<()> {
        let ctx = &self.ctx;
        ctx.containers.check_writable()?;
        let operation = if moves { "move-object" } else { "copy-object" };
        let transfer = async {
            let source = ctx.containers.open(&from.container).await?;
            let target = if from.container == to.container {
                source.clone()
            } else {
                ctx.containers.open(&to.container).await?
            };
            let (from, to) = ((&source, &*from.object), (&target, &*to.object));
            if moves {
                objects::rename(&ctx.containers, &ctx.limits, from, to).await
            } else {
                objects::copy(&ctx.containers, &ctx.limits, from, to).await
            }
        };
        ctx.within(operation, transfer).await
    }
}

impl blobstore::Host for BlobstoreCtxView<'_> {
    async fn create_container(&mut self, name: String) -> Result<Outcome<Resource<Container>>> {
        let created = match self.ctx.open_containers.acquire() {
            Ok(permit) => {
                let place = self.ctx.within("create-container", self.ctx.containers.create(&name)).await;
                place.map(|place| Container::new(place, permit))
            }
            Err(error) => Err(error),
        };
        self.push(created)
    }

    async fn get_container(&mut self, name: String) -> Result<Outcome<Resource<Container>>> {
        let opened = match self.ctx.open_containers.acquire() {
            Ok(permit) => {
                let place = self.ctx.within("get-container", self.ctx.containers.open(&name)).await;
                place.map(|place| Container::new(place, permit))
            }
            Err(error) => Err(error),
        };
        self.push(opened)
    }

    async fn delete_container(&mut self, name: String) -> Result<Outcome<()>> {
        // Its steps have deadlines: the longest, `clear`, ends with the number of objects that were deleted.
        Ok(self.ctx.delete_container(&name).await)
    }

    async fn container_exists(&mut self, name: String) -> Result<Outcome<bool>> {
        Ok(self.ctx.within("container-exists", self.ctx.containers.exists(&name)).await)
    }

    async fn copy_object(&mut self, src: ObjectId, dest: ObjectId) -> Result<Outcome<()>> {
        Ok(self.transfer(src, dest, false).await)
    }

    async fn move_object(&mut self, src: ObjectId, dest: ObjectId) -> Result<Outcome<()>> {
        Ok(self.transfer(src, dest, true).await)
    }
}

impl container::Host for BlobstoreCtxView<'_> {}

impl container::HostContainer for BlobstoreCtxView<'_> {
    async fn name(&mut self, this: Resource<Container>) -> Result<Outcome<String>> {
        Ok(Ok(self.table.get(&this)?.place.container.clone()))
    }

    async fn info(&mut self, this: Resource<Container>) -> Result<Outcome<ContainerMetadata>> {
        let containers = self.ctx.containers.clone();
        let info = |place: Place| async move {
            let created_at = timestamp(containers.created(&place).await?);
            Ok(ContainerMetadata { name: place.container, created_at })
        };
        self.on(&this, "info", info).await
    }

    async fn get_data(
        &mut self,
        this: Resource<Container>,
        name: String,
        start: u64,
        end: u64,
    ) -> Result<Outcome<Resource<IncomingValue>>> {
        let value = match self.ctx.open_incoming.acquire() {
            Ok(permit) => {
                let get = |place: Place| async move {
                    let blob = place.get(&name, start, end).await?;
                    Ok(IncomingValue::new(place.container, blob, permit))
                };
                self.on(&this, "get-data", get).await?
            }
            Err(error) => Err(error),
        };
        self.push(value)
    }

    async fn write_data(
        &mut self,
        this: Resource<Container>,
        name: String,
        data: Resource<OutgoingValue>,
    ) -> Result<Outcome<()>> {
        if let Err(error) = self.ctx.containers.check_writable() {
            return Ok(Err(error));
        }
        let place = self.table.get(&this)?.place.clone();
        Ok(self.table.get_mut(&data)?.assign(&place, &name, &self.ctx.limits))
    }

    async fn list_objects(&mut self, this: Resource<Container>) -> Result<Outcome<Resource<Listing>>> {
        let place = self.table.get(&this)?.place.clone();
        let listing = self.ctx.open_listings.acquire().map(|permit| Listing::new(place, permit));
        self.push(listing)
    }

    async fn delete_object(&mut self, this: Resource<Container>, name: String) -> Result<Outcome<()>> {
        self.write_on(&this, "delete-object", |place| async move { place.delete(&name).await }).await
    }

    async fn delete_objects(&mut self, this: Resource<Container>, names: Vec<String>) -> Result<Outcome<()>> {
        let limit = self.ctx.limits.names;
        self.write_on(&this, "delete-objects", |place| async move { place.delete_many(&names, limit).await }).await
    }

    async fn has_object(&mut self, this: Resource<Container>, name: String) -> Result<Outcome<bool>> {
        self.on(&this, "has-object", |place| async move { Ok(place.info(&name).await?.is_some()) }).await
    }

    async fn object_info(&mut self, this: Resource<Container>, name: String) -> Result<Outcome<ObjectMetadata>> {
        let info = |place: Place| async move {
            let info = place.existing(&name).await?;
            let size = info.known_size().ok_or("object-info: the service does not report the object's size")?;
            Ok(ObjectMetadata { name, container: place.container, created_at: timestamp(info.last_modified), size })
        };
        self.on(&this, "object-info", info).await
    }

    async fn clear(&mut self, this: Resource<Container>) -> Result<Outcome<()>> {
        if let Err(error) = self.ctx.containers.check_writable() {
            return Ok(Err(error));
        }
        let place = self.table.get(&this)?.place.clone();
        Ok(place.clear(self.ctx.limits.call_time).await)
    }

    async fn drop(&mut self, this: Resource<Container>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl container::HostStreamObjectNames for BlobstoreCtxView<'_> {
    async fn read_stream_object_names(
        &mut self,
        this: Resource<Listing>,
        len: u64,
    ) -> Result<Outcome<(Vec<String>, bool)>> {
        let limit = self.ctx.limits.call_time;
        Ok(self.table.get_mut(&this)?.read(len, limit).await)
    }

    async fn skip_stream_object_names(&mut self, this: Resource<Listing>, num: u64) -> Result<Outcome<(u64, bool)>> {
        let limit = self.ctx.limits.call_time;
        Ok(self.table.get_mut(&this)?.skip(num, limit).await)
    }

    async fn drop(&mut self, this: Resource<Listing>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl types::Host for BlobstoreCtxView<'_> {}

impl types::HostOutgoingValue for BlobstoreCtxView<'_> {
    async fn new_outgoing_value(&mut self) -> Result<Resource<OutgoingValue>> {
        let permit = self.ctx.open_outgoing.acquire().map_err(wasmtime::Error::msg)?;
        Ok(self.table.push(OutgoingValue::new(&self.ctx.limits, permit))?)
    }

    async fn outgoing_value_write_body(
        &mut self,
        this: Resource<OutgoingValue>,
    ) -> Result<std::result::Result<Resource<DynOutputStream>, ()>> {
        let Some(stream) = self.table.get_mut(&this)?.stream() else { return Ok(Err(())) };
        let stream: DynOutputStream = Box::new(stream);
        Ok(Ok(self.table.push_child(stream, &this)?))
    }

    async fn finish(&mut self, this: Resource<OutgoingValue>) -> Result<Outcome<()>> {
        // A trap while the guest has the stream, as the interface demands.
        let value = self.table.delete(this)?;
        Ok(value.finish(self.ctx.limits.call_time).await)
    }

    async fn drop(&mut self, this: Resource<OutgoingValue>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl types::HostIncomingValue for BlobstoreCtxView<'_> {
    async fn incoming_value_consume_sync(&mut self, this: Resource<IncomingValue>) -> Result<Outcome<Vec<u8>>> {
        let value = self.table.delete(this)?;
        let read = value.bytes(self.ctx.limits.sync_value);
        Ok(self.ctx.within("incoming-value-consume-sync", read).await)
    }

    async fn incoming_value_consume_async(
        &mut self,
        this: Resource<IncomingValue>,
    ) -> Result<Outcome<Resource<DynInputStream>>> {
        let stream: DynInputStream = Box::new(self.table.delete(this)?.stream());
        self.push(Ok(stream))
    }

    async fn size(&mut self, this: Resource<IncomingValue>) -> Result<u64> {
        Ok(self.table.get(&this)?.size())
    }

    async fn drop(&mut self, this: Resource<IncomingValue>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
