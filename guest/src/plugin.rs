//! The component's outside: the contract's exports, handed on to [`crate::store`] with the host as its ground.

use std::cell::{RefCell, RefMut};

use crate::bindings;
use crate::bindings::exports::sandbucket::blob::blob_store::{Guest, GuestStore, Store as StoreHandle};
use crate::bindings::exports::sandbucket::blob::bodies;
use crate::bindings::exports::sandbucket::blob::exchanges::{
    self, Answer, Outcome, Received, Refusal, StoreBorrow, Turn,
};
use crate::bindings::exports::sandbucket::blob::types as wit;
use crate::bindings::wasi::io::streams::OutputStream;
use crate::checksum::Algorithm;
use crate::env::{Clock, TransportError};
use crate::error::{Error, Failure};
use crate::headers::of_lines;
use crate::model::{
    Blob, BlobInfo, BlobName, CompleteOptions, CopyOptions, CopyPartOptions, DeleteManyOptions, DeleteOptions,
    HeadOptions, ListOptions, ListPage, ListPartsOptions, ListUploadsOptions, Next, Pair, Part, PartOptions, PartPage,
    PresignOptions, Presigned, PresignedMethod, ReadOptions, Settled, TagOptions, UploadOptions, UploadPage,
    VersionPage, WriteOptions, Written,
};
use crate::response::Head;
use crate::settings;
use crate::store;
use crate::transport::{Exchange, Kept, Wasi, failed};

struct Plugin;

bindings::export!(Plugin with_types_in bindings);

/// A store, lent to one call at a time: the contract has no others.
struct Open {
    store: RefCell<store::Store>,
    under_way: RefCell<UnderWay>,
}

/// A body that goes past the plugin.
#[expect(clippy::large_enum_variant, reason = "a store has one")]
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
    fn begun(&self, begun: Result<store::Opening<Wasi>, Failure>) -> Result<OutputStream, Error> {
        let (writing, sink) = begun.map_err(error)?;
        self.under_way.replace(UnderWay::Writing(writing));
        Ok(sink)
    }

    /// Goes on with the write that is under way.
    fn go_on<T>(
        &self,
        what: &str,
        step: impl FnOnce(&mut store::Store, &mut store::Writing<Exchange>) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        match &mut *self.under_way.borrow_mut() {
            UnderWay::Writing(writing) => step(&mut self.store.borrow_mut(), writing).map_err(error),
            _ => Err(error(store::nothing_to(what))),
        }
    }
}

#[expect(clippy::boxed_local, reason = "failures come behind a pointer, and leave without")]
fn error(failure: Failure) -> Error {
    *failure
}

fn setting(setting: &settings::Setting) -> wit::Setting {
    wit::Setting {
        name: setting.name.to_owned(),
        aliases: setting.aliases.iter().map(|&alias| alias.to_owned()).collect(),
        kind: match setting.kind {
            settings::SettingKind::Text => wit::SettingKind::Text,
            settings::SettingKind::Integer => wit::SettingKind::Integer,
            settings::SettingKind::Boolean => wit::SettingKind::Boolean,
            settings::SettingKind::Duration => wit::SettingKind::Duration,
            settings::SettingKind::Choice => wit::SettingKind::Choice,
            settings::SettingKind::Url => wit::SettingKind::Url,
        },
        default: setting.default.map(str::to_owned),
        required: setting.required,
        secret: setting.secret,
        help: setting.help.to_owned(),
    }
}

/// What came of a request.
fn answer_of(outcome: &Outcome) -> Result<(Head<'_>, &[u8]), TransportError> {
    match outcome {
        Outcome::Answered(Answer { status, headers, body }) => {
            Ok((Head { status: *status, headers: of_lines(headers) }, body.as_deref().unwrap_or_default()))
        }
        Outcome::Failed(failure) => Err(failed(*failure)),
    }
}

impl Guest for Plugin {
    type Store = Open;

    fn settings() -> Vec<wit::Setting> {
        settings::TABLE.iter().map(setting).collect()
    }
}

impl GuestStore for Open {
    fn open(settings: Vec<Pair>) -> Result<StoreHandle, Error> {
        // The host's clock in full: instances opened in the same second are not to pause alike.
        let (now, wall) = (Wasi::default().now(), Wasi::default().wall());
        let seed = now ^ wall.rotate_left(32);
        let store = store::Store::open(&settings, seed).map_err(error)?;
        Ok(StoreHandle::new(Open { store: RefCell::new(store), under_way: RefCell::new(UnderWay::Nothing) }))
    }

    fn head(&self, key: String, options: HeadOptions) -> Result<BlobInfo, Error> {
        self.store().head(&mut Wasi::default(), &key, &options).map_err(error)
    }

    fn get(&self, key: String, options: ReadOptions) -> Result<Blob, Error> {
        self.store().get(&mut Wasi::default(), &key, &options).map_err(error)
    }

    fn put(&self, key: String, body: Vec<u8>, options: WriteOptions) -> Result<Written, Error> {
        self.store().put(&mut Wasi::default(), &key, &body, &options).map_err(error)
    }

    fn wanted_digests(&self) -> Vec<Algorithm> {
        self.store.borrow().wanted_digests().collect()
    }

    fn open_read(&self, key: String, options: ReadOptions) -> Result<bodies::Opened, Error> {
        let opened = self.store().open_read(&mut Wasi::default(), &key, &options).map_err(error)?;
        let (body, kept) = opened.body;
        self.under_way.replace(UnderWay::Reading(kept));
        Ok(bodies::Opened { info: opened.info, range: opened.range, given: opened.given, digest: opened.digest, body })
    }

    fn open_write(&self, key: String, length: u64, options: WriteOptions) -> Result<OutputStream, Error> {
        let begun = self.store().open_write(&mut Wasi::default(), &key, length, options);
        self.begun(begun)
    }

    fn finish_write(&self, sent: u64) -> Result<Written, Error> {
        self.go_on("finish", |store, writing| store.finish_write(&mut Wasi::default(), writing, sent))
    }

    fn again(&self) -> Result<OutputStream, Error> {
        self.go_on("try again", |store, writing| store.again(&mut Wasi::default(), writing))
    }

    fn abort(&self) {
        self.under_way.replace(UnderWay::Nothing);
    }

    fn delete(&self, key: String, options: DeleteOptions) -> Result<Option<bool>, Error> {
        self.store().delete(&mut Wasi::default(), &key, &options).map_err(error)
    }

    fn delete_many(&self, blobs: Vec<BlobName>, options: DeleteManyOptions) -> Result<Vec<Result<(), Error>>, Error> {
        let outcomes = self.store().delete_many(&mut Wasi::default(), &blobs, &options).map_err(error)?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(error)).collect())
    }

    fn list(&self, options: ListOptions) -> Result<ListPage, Error> {
        self.store().list(&mut Wasi::default(), &options).map_err(error)
    }

    fn list_versions(&self, options: ListOptions) -> Result<VersionPage, Error> {
        self.store().list_versions(&mut Wasi::default(), &options).map_err(error)
    }

    fn copy(&self, source: BlobName, to: String, options: CopyOptions) -> Result<Written, Error> {
        self.store().copy(&mut Wasi::default(), &source, &to, &options).map_err(error)
    }

    fn presign(&self, method: PresignedMethod, key: String, options: PresignOptions) -> Result<Presigned, Error> {
        self.store().presign(&mut Wasi::default(), method, &key, &options).map_err(error)
    }

    fn tags(&self, key: String, options: TagOptions) -> Result<Vec<Pair>, Error> {
        self.store().tags(&mut Wasi::default(), &key, &options).map_err(error)
    }

    fn set_tags(&self, key: String, tags: Vec<Pair>, options: TagOptions) -> Result<(), Error> {
        self.store().set_tags(&mut Wasi::default(), &key, &tags, &options).map_err(error)
    }

    fn create_upload(&self, key: String, options: WriteOptions) -> Result<String, Error> {
        self.store().create_upload(&mut Wasi::default(), &key, &options).map_err(error)
    }

    fn upload_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        body: Vec<u8>,
        options: PartOptions,
    ) -> Result<Part, Error> {
        self.store().upload_part(&mut Wasi::default(), &key, &upload, number, &body, &options).map_err(error)
    }

    fn copy_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        source: BlobName,
        options: CopyPartOptions,
    ) -> Result<Part, Error> {
        self.store().copy_part(&mut Wasi::default(), &key, &upload, number, &source, &options).map_err(error)
    }

    fn list_parts(&self, key: String, upload: String, options: ListPartsOptions) -> Result<PartPage, Error> {
        self.store().list_parts(&mut Wasi::default(), &key, &upload, &options).map_err(error)
    }

    fn complete_upload(
        &self,
        key: String,
        upload: String,
        parts: Vec<Part>,
        options: CompleteOptions,
    ) -> Result<Written, Error> {
        self.store().complete_upload(&mut Wasi::default(), &key, &upload, &parts, &options).map_err(error)
    }

    fn abort_upload(&self, key: String, upload: String, options: UploadOptions) -> Result<(), Error> {
        self.store().abort_upload(&mut Wasi::default(), &key, &upload, &options).map_err(error)
    }

    fn list_uploads(&self, options: ListUploadsOptions) -> Result<UploadPage, Error> {
        self.store().list_uploads(&mut Wasi::default(), &options).map_err(error)
    }
}

impl exchanges::Guest for Plugin {
    fn step(store: StoreBorrow<'_>, turns: Vec<Turn>) -> Vec<Result<Next, Refusal>> {
        let mut store = store.get::<Open>().store.borrow_mut();
        let mut now = Wasi::for_a_moment();
        let mut steps = Vec::with_capacity(turns.len());
        for Turn { operation, tries, outcome } in turns {
            steps.push(match outcome {
                None => match store.prepare(&mut now, operation, tries) {
                    Ok(outgoing) => Ok(Next::Send(outgoing)),
                    Err(failure) => Err(Refusal { error: error(failure), again: None }),
                },
                Some(outcome) => match store.settle(&mut Wasi::default(), operation, tries, answer_of(&outcome)) {
                    Ok(settled) => Ok(Next::Done(settled)),
                    Err(refusal) => Err(Refusal { error: error(refusal.failure), again: refusal.again }),
                },
            });
        }
        steps
    }

    fn take(_: StoreBorrow<'_>, answers: Vec<Received>) -> Vec<Option<Settled>> {
        let mut taken = Vec::with_capacity(answers.len());
        for Received { asked, status, headers } in &answers {
            taken.push(store::take(*asked, &Head { status: *status, headers: of_lines(headers) }));
        }
        taken
    }
}
