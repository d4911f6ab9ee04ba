//! The component's outside: the contract's exports, handed on to [`crate::store`] with the host as its ground.

mod convert;

use std::cell::{RefCell, RefMut};

use crate::bindings;
use crate::bindings::exports::sandbucket::blob::blob_store::{Guest, GuestStore, Store as StoreHandle};
use crate::bindings::exports::sandbucket::blob::types as wit;
use crate::bindings::exports::sandbucket::blob::{bodies, listing, multipart};
use crate::bindings::wasi::io::streams::OutputStream;
use crate::env::Clock;
use crate::error::Failure;
use crate::model;
use crate::settings;
use crate::store;
use crate::transport::{Exchange, Kept, Wasi};
use convert::{
    algorithm, blob_name, call, conditions, digest, entry, error, given_part, info, list_options, part, part_options,
    read_options, setting, span, version_entry, write_condition, write_options, written,
};

struct Plugin;

bindings::export!(Plugin with_types_in bindings);

/// A store, lent to one call at a time: the contract has no others.
struct Open {
    store: RefCell<store::Store>,
    under_way: RefCell<UnderWay>,
}

/// A body that goes past the plugin.
enum UnderWay {
    Nothing,
    /// What the stream that was handed out stands on.
    Reading(#[expect(dead_code, reason = "it is only kept")] Kept),
    Writing(store::Writing<Exchange>),
}

impl Open {
    /// The store, for a call that has nothing to do with the body under way: it is let go.
    fn store(&self) -> RefMut<'_, store::Store> {
        self.under_way.replace(UnderWay::Nothing);
        self.store.borrow_mut()
    }

    /// Keeps the write that was begun, and hands out its stream.
    fn begun(&self, begun: Result<store::Opening<Wasi>, Failure>) -> Result<OutputStream, wit::Error> {
        let (writing, sink) = begun.map_err(error)?;
        self.under_way.replace(UnderWay::Writing(writing));
        Ok(sink)
    }

    /// Goes on with the write that is under way.
    fn go_on<T>(
        &self,
        what: &str,
        step: impl FnOnce(&mut store::Store, &mut store::Writing<Exchange>) -> Result<T, Failure>,
    ) -> Result<T, wit::Error> {
        match &mut *self.under_way.borrow_mut() {
            UnderWay::Writing(writing) => step(&mut self.store.borrow_mut(), writing).map_err(error),
            _ => Err(error(store::nothing_to(what))),
        }
    }
}

impl Guest for Plugin {
    type Store = Open;

    fn settings() -> Vec<wit::Setting> {
        settings::TABLE.iter().map(setting).collect()
    }
}

impl GuestStore for Open {
    fn open(settings: Vec<(String, String)>) -> Result<StoreHandle, wit::Error> {
        // The host's clock in full: instances opened in the same second are not to pause alike.
        let seed = Wasi.now() ^ Wasi.wall().rotate_left(32);
        let store = store::Store::open(&settings, seed).map_err(error)?;
        Ok(StoreHandle::new(Open { store: RefCell::new(store), under_way: RefCell::new(UnderWay::Nothing) }))
    }

    fn head(&self, key: String, options: wit::HeadOptions) -> Result<wit::BlobInfo, wit::Error> {
        let options = model::HeadOptions {
            conditions: conditions(options.conditions),
            version: options.version,
            call: call(options.call),
        };
        self.store().head(&mut Wasi, &key, &options).map(info).map_err(error)
    }

    fn get(&self, key: String, options: wit::ReadOptions) -> Result<wit::Blob, wit::Error> {
        let blob = self.store().get(&mut Wasi, &key, &read_options(options)).map_err(error)?;
        Ok(wit::Blob { info: info(blob.info), range: span(blob.range), body: blob.body })
    }

    fn put(&self, key: String, body: Vec<u8>, options: wit::WriteOptions) -> Result<wit::Written, wit::Error> {
        let options = write_options(options);
        self.store().put(&mut Wasi, &key, &body, &options).map(written).map_err(error)
    }

    fn wanted_digests(&self) -> Vec<wit::DigestAlgorithm> {
        self.store.borrow().wanted_digests().map(algorithm).collect()
    }

    fn open_read(&self, key: String, options: wit::ReadOptions) -> Result<bodies::Opened, wit::Error> {
        let opened = self.store().open_read(&mut Wasi, &key, &read_options(options)).map_err(error)?;
        let (body, kept) = opened.body;
        self.under_way.replace(UnderWay::Reading(kept));
        let (range, given) = (span(opened.range), span(opened.given));
        Ok(bodies::Opened { info: info(opened.info), range, given, digest: opened.digest.map(digest), body })
    }

    fn open_write(&self, key: String, length: u64, options: wit::WriteOptions) -> Result<OutputStream, wit::Error> {
        let begun = self.store().open_write(&mut Wasi, &key, length, write_options(options));
        self.begun(begun)
    }

    fn open_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        length: u64,
        options: multipart::PartOptions,
    ) -> Result<OutputStream, wit::Error> {
        let begun = self.store().open_part(&mut Wasi, &key, (&upload, number), length, part_options(options));
        self.begun(begun)
    }

    fn finish_write(&self, sent: u64) -> Result<wit::Written, wit::Error> {
        self.go_on("finish", |store, writing| store.finish_write(&mut Wasi, writing, sent)).map(written)
    }

    fn finish_part(&self, sent: u64) -> Result<multipart::Part, wit::Error> {
        self.go_on("finish", |store, writing| store.finish_part(&mut Wasi, writing, sent)).map(part)
    }

    fn again(&self) -> Result<OutputStream, wit::Error> {
        self.go_on("try again", |store, writing| store.again(&mut Wasi, writing))
    }

    fn abort(&self) {
        self.under_way.replace(UnderWay::Nothing);
    }

    fn delete(&self, key: String, options: wit::DeleteOptions) -> Result<(), wit::Error> {
        let options = model::DeleteOptions { version: options.version, call: call(options.call) };
        self.store().delete(&mut Wasi, &key, &options).map_err(error)
    }

    fn delete_many(
        &self,
        blobs: Vec<wit::BlobName>,
        options: wit::DeleteManyOptions,
    ) -> Result<Vec<Result<(), wit::Error>>, wit::Error> {
        let blobs: Vec<_> = blobs.into_iter().map(blob_name).collect();
        let options = model::DeleteManyOptions { call: call(options.call) };
        let outcomes = self.store().delete_many(&mut Wasi, &blobs, &options).map_err(error)?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(error)).collect())
    }

    fn list(&self, options: listing::ListOptions) -> Result<listing::ListPage, wit::Error> {
        let page = self.store().list(&mut Wasi, &list_options(options)).map_err(error)?;
        let entries = page.entries.into_iter().map(entry).collect();
        Ok(listing::ListPage { entries, prefixes: page.prefixes, next: page.next })
    }

    fn list_versions(&self, options: listing::ListOptions) -> Result<listing::VersionPage, wit::Error> {
        let page = self.store().list_versions(&mut Wasi, &list_options(options)).map_err(error)?;
        let entries = page.entries.into_iter().map(version_entry).collect();
        Ok(listing::VersionPage { entries, prefixes: page.prefixes, next: page.next })
    }

    fn copy(&self, source: wit::BlobName, to: String, options: wit::CopyOptions) -> Result<wit::Written, wit::Error> {
        let options = model::CopyOptions {
            source_conditions: conditions(options.source_conditions),
            condition: write_condition(options.condition),
            properties: options.properties.map(|properties| model::Properties {
                content_type: properties.content_type,
                metadata: properties.metadata,
            }),
            call: call(options.call),
        };
        self.store().copy(&mut Wasi, &blob_name(source), &to, &options).map(written).map_err(error)
    }

    fn presign(
        &self,
        method: wit::PresignedMethod,
        key: String,
        options: wit::PresignOptions,
    ) -> Result<wit::Presigned, wit::Error> {
        let method = match method {
            wit::PresignedMethod::Get => model::PresignedMethod::Get,
            wit::PresignedMethod::Head => model::PresignedMethod::Head,
            wit::PresignedMethod::Put => model::PresignedMethod::Put,
            wit::PresignedMethod::Delete => model::PresignedMethod::Delete,
        };
        let options = model::PresignOptions {
            expires: options.expires,
            headers: options.headers,
            version: options.version,
            call: call(options.call),
        };
        let presigned = self.store().presign(&mut Wasi, method, &key, &options).map_err(error)?;
        Ok(wit::Presigned { url: presigned.url, headers: presigned.headers })
    }

    fn tags(&self, key: String, options: wit::TagOptions) -> Result<Vec<(String, String)>, wit::Error> {
        let options = model::TagOptions { version: options.version, call: call(options.call) };
        self.store().tags(&mut Wasi, &key, &options).map_err(error)
    }

    fn set_tags(&self, key: String, tags: Vec<(String, String)>, options: wit::TagOptions) -> Result<(), wit::Error> {
        let options = model::TagOptions { version: options.version, call: call(options.call) };
        self.store().set_tags(&mut Wasi, &key, &tags, &options).map_err(error)
    }

    fn create_upload(&self, key: String, options: wit::WriteOptions) -> Result<String, wit::Error> {
        self.store().create_upload(&mut Wasi, &key, &write_options(options)).map_err(error)
    }

    fn upload_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        body: Vec<u8>,
        options: multipart::PartOptions,
    ) -> Result<multipart::Part, wit::Error> {
        let options = part_options(options);
        let mut store = self.store();
        store.upload_part(&mut Wasi, &key, &upload, number, &body, &options).map(part).map_err(error)
    }

    fn copy_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        source: wit::BlobName,
        options: multipart::CopyPartOptions,
    ) -> Result<multipart::Part, wit::Error> {
        let options = model::CopyPartOptions {
            range: options.range.map(|range| model::Span { start: range.start, end: range.end }),
            source_conditions: conditions(options.source_conditions),
            call: call(options.call),
        };
        let mut store = self.store();
        store.copy_part(&mut Wasi, &key, &upload, number, &blob_name(source), &options).map(part).map_err(error)
    }

    fn list_parts(
        &self,
        key: String,
        upload: String,
        options: multipart::ListPartsOptions,
    ) -> Result<multipart::PartPage, wit::Error> {
        let options = model::ListPartsOptions {
            continuation: options.continuation,
            page_size: options.page_size,
            call: call(options.call),
        };
        let page = self.store().list_parts(&mut Wasi, &key, &upload, &options).map_err(error)?;
        Ok(multipart::PartPage { parts: page.parts.into_iter().map(part).collect(), next: page.next })
    }

    fn complete_upload(
        &self,
        key: String,
        upload: String,
        parts: Vec<multipart::Part>,
        options: multipart::CompleteOptions,
    ) -> Result<wit::Written, wit::Error> {
        let parts: Vec<_> = parts.into_iter().map(given_part).collect();
        let options =
            model::CompleteOptions { condition: write_condition(options.condition), call: call(options.call) };
        let mut store = self.store();
        store.complete_upload(&mut Wasi, &key, &upload, &parts, &options).map(written).map_err(error)
    }

    fn abort_upload(&self, key: String, upload: String, options: multipart::UploadOptions) -> Result<(), wit::Error> {
        let options = model::UploadOptions { call: call(options.call) };
        self.store().abort_upload(&mut Wasi, &key, &upload, &options).map_err(error)
    }

    fn list_uploads(&self, options: multipart::ListUploadsOptions) -> Result<multipart::UploadPage, wit::Error> {
        let options = model::ListUploadsOptions {
            prefix: options.prefix,
            continuation: options.continuation,
            page_size: options.page_size,
            call: call(options.call),
        };
        let page = self.store().list_uploads(&mut Wasi, &options).map_err(error)?;
        let uploads = page.uploads.into_iter().map(|upload| multipart::Upload {
            key: upload.key,
            id: upload.id,
            initiated: upload.initiated.map(convert::datetime),
        });
        Ok(multipart::UploadPage { uploads: uploads.collect(), next: page.next })
    }
}
