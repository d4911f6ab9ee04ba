//! The component's exports: `store` on the driver of [`crate::io`], and `sans-io`.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::attributes::Attribute;
use crate::io::wasi::{Pending, Resources, Wasi};
use crate::io::{self, Clock};
use crate::machine::service::Service;
use crate::machine::{self, State};
use crate::settings::{Setting, SettingKind};

use super::bindings::exports::sandbucket::blob::buckets::{BucketOptions, ListBucketsOptions};
use super::bindings::exports::sandbucket::blob::listing::ListOptions;
use super::bindings::exports::sandbucket::blob::multipart::{
    AbortOptions, CompleteOptions, CopyPartOptions, ListPartsOptions, ListUploadsOptions, PartOptions,
};
use super::bindings::exports::sandbucket::blob::sans_io::{self, Next, Operation, Resumption, StoreBorrow};
use super::bindings::exports::sandbucket::blob::store::{
    self, BodyReader, BodyWriter, Guest, GuestBodyReader, GuestBodyWriter, GuestStore, Store,
};
use super::bindings::exports::sandbucket::blob::types::{
    self as wit, Blob, BlobHead, BlobInfo, CopyOptions, DeleteManyOptions, DeleteOptions, GetOptions, HeadOptions,
    PresignOptions, PutOptions, TagOptions,
};
use super::bindings::wasi::io::streams::{InputStream, OutputStream};
use super::convert::{error, event_of, next_of, options, presign_options};
use super::error::{Error, Kind};
use super::model::{
    self, Algorithm, BlobRef, BucketPage, CopySource, ListPage, Pair, Part, PartPage, Presigned, PresignedMethod,
    UploadPage, VersionPage, Written,
};

/// The component's exports for a service: [`crate::export!`] exports them.
pub struct Plugin<S>(PhantomData<S>);

/// An open store. Calls do not nest: the component is entered by one at a time.
pub struct Open<S>(Rc<RefCell<machine::Store<S>>>);

/// A body being read.
pub struct Reader {
    head: super::model::BlobHead,
    /// The stream, until it is taken.
    stream: RefCell<Option<InputStream>>,
    /// Parents of the stream, which are dropped after it.
    _resources: Resources,
}

/// A body being written.
pub struct Writer<S: Service> {
    store: Rc<RefCell<machine::Store<S>>>,
    writer: RefCell<io::Writer<Pending, S>>,
}

/// The host, for a service.
const fn host<S: Service>() -> Wasi {
    Wasi { user_agent: S::USER_AGENT }
}

fn setting(setting: &Setting) -> wit::Setting {
    wit::Setting {
        name: setting.name.to_owned(),
        aliases: setting.aliases.iter().map(|&alias| alias.to_owned()).collect(),
        kind: match setting.kind {
            SettingKind::Text => wit::SettingKind::Text,
            SettingKind::Integer => wit::SettingKind::Integer,
            SettingKind::Boolean => wit::SettingKind::Boolean,
            SettingKind::Duration => wit::SettingKind::Duration,
            SettingKind::Choice => wit::SettingKind::Choice,
            SettingKind::Url => wit::SettingKind::Url,
        },
        default: setting.default.map(str::to_owned),
        required: setting.required,
        secret: setting.secret,
        help: setting.help.to_owned(),
    }
}

fn attribute(attribute: Attribute) -> wit::Attribute {
    let Attribute { name, secret, help } = attribute;
    wit::Attribute { name: name.to_owned(), secret, help: help.into_owned() }
}

impl<S: Service> Guest for Plugin<S> {
    type Store = Open<S>;
    type BodyReader = Reader;
    type BodyWriter = Writer<S>;

    fn settings() -> Vec<wit::Setting> {
        S::SETTINGS.iter().map(setting).collect()
    }

    fn attributes() -> Vec<wit::Attribute> {
        S::attributes().into_iter().map(attribute).collect()
    }
}

impl<S: Service> Open<S> {
    fn writer(&self, opened: Result<io::Writer<Pending, S>, super::error::Failure>) -> Result<BodyWriter, Error> {
        let writer = RefCell::new(opened.map_err(error)?);
        Ok(BodyWriter::new(Writer { store: self.0.clone(), writer }))
    }
}

impl<S: Service> GuestStore for Open<S> {
    fn open(settings: Vec<Pair>) -> Result<Store, Error> {
        let mut store = machine::Store::<S>::open(&settings, 0).map_err(error)?;
        // Instances opened in the same second must not retry in step, nor make the same names.
        store.stir(&host::<S>().readings());
        Ok(Store::new(Open(Rc::new(RefCell::new(store)))))
    }

    fn wanted_digests(&self) -> Vec<Algorithm> {
        self.0.borrow().wanted_digests().collect()
    }

    fn head(&self, key: String, given: Option<HeadOptions>) -> Result<BlobInfo, Error> {
        self.0.borrow_mut().head(&mut host::<S>(), &key, &options(given)).map(Into::into).map_err(error)
    }

    fn get(&self, key: String, given: Option<GetOptions>) -> Result<Blob, Error> {
        self.0.borrow_mut().get(&mut host::<S>(), &key, &options(given)).map(Into::into).map_err(error)
    }

    fn open_get(&self, key: String, given: Option<GetOptions>) -> Result<BodyReader, Error> {
        let (head, (stream, resources)) =
            self.0.borrow_mut().open_get(&mut host::<S>(), &key, &options(given)).map_err(error)?;
        Ok(BodyReader::new(Reader { head, stream: RefCell::new(Some(stream)), _resources: resources }))
    }

    fn put(&self, key: String, body: Vec<u8>, given: Option<PutOptions>) -> Result<Written, Error> {
        self.0.borrow_mut().put(&mut host::<S>(), &key, &body, &options(given)).map_err(error)
    }

    fn open_put(&self, key: String, length: u64, given: Option<PutOptions>) -> Result<BodyWriter, Error> {
        let opened = self.0.borrow_mut().open_put(&mut host::<S>(), &key, length, &options(given));
        self.writer(opened)
    }

    fn delete(&self, key: String, given: Option<DeleteOptions>) -> Result<Option<bool>, Error> {
        self.0.borrow_mut().delete(&mut host::<S>(), &key, &options(given)).map_err(error)
    }

    fn delete_many(
        &self,
        blobs: Vec<BlobRef>,
        given: Option<DeleteManyOptions>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let outcomes = self.0.borrow_mut().delete_many(&mut host::<S>(), &blobs, &options(given)).map_err(error)?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(error)).collect())
    }

    fn list(&self, given: Option<ListOptions>) -> Result<ListPage, Error> {
        self.0.borrow_mut().list(&mut host::<S>(), &options(given)).map_err(error)
    }

    fn list_versions(&self, given: Option<ListOptions>) -> Result<VersionPage, Error> {
        self.0.borrow_mut().list_versions(&mut host::<S>(), &options(given)).map_err(error)
    }

    fn copy(&self, source: CopySource, to: String, given: Option<CopyOptions>) -> Result<Written, Error> {
        self.0.borrow_mut().copy(&mut host::<S>(), &source, &to, &options(given)).map_err(error)
    }

    fn presign(
        &self,
        method: PresignedMethod,
        key: String,
        expires_in: u64,
        given: Option<PresignOptions>,
    ) -> Result<Presigned, Error> {
        self.0.borrow_mut().presign(&mut host::<S>(), method, &key, &presign_options(expires_in, given)).map_err(error)
    }

    fn get_tags(&self, key: String, given: Option<TagOptions>) -> Result<Vec<Pair>, Error> {
        self.0.borrow_mut().tags(&mut host::<S>(), &key, &options(given)).map_err(error)
    }

    fn set_tags(&self, key: String, tags: Vec<Pair>, given: Option<TagOptions>) -> Result<(), Error> {
        self.0.borrow_mut().set_tags(&mut host::<S>(), &key, &tags, &options(given)).map_err(error)
    }

    fn create_upload(&self, key: String, given: Option<PutOptions>) -> Result<String, Error> {
        let mut store = self.0.borrow_mut();
        // The id must be no other instance's.
        store.stir(&host::<S>().readings());
        store.create_upload(&mut host::<S>(), &key, &options(given)).map_err(error)
    }

    fn upload_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        body: Vec<u8>,
        given: Option<PartOptions>,
    ) -> Result<Part, Error> {
        self.0.borrow_mut().upload_part(&mut host::<S>(), &key, &upload, number, &body, &options(given)).map_err(error)
    }

    fn open_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        length: u64,
        given: Option<PartOptions>,
    ) -> Result<BodyWriter, Error> {
        let opened = self.0.borrow_mut().open_part(&mut host::<S>(), &key, &upload, number, length, &options(given));
        self.writer(opened)
    }

    fn copy_part(
        &self,
        key: String,
        upload: String,
        number: u32,
        source: CopySource,
        given: Option<CopyPartOptions>,
    ) -> Result<Part, Error> {
        self.0.borrow_mut().copy_part(&mut host::<S>(), &key, &upload, number, &source, &options(given)).map_err(error)
    }

    fn list_parts(&self, key: String, upload: String, given: Option<ListPartsOptions>) -> Result<PartPage, Error> {
        self.0.borrow_mut().list_parts(&mut host::<S>(), &key, &upload, &options(given)).map_err(error)
    }

    fn complete_upload(
        &self,
        key: String,
        upload: String,
        parts: Vec<Part>,
        given: Option<CompleteOptions>,
    ) -> Result<Written, Error> {
        self.0.borrow_mut().complete_upload(&mut host::<S>(), &key, &upload, &parts, &options(given)).map_err(error)
    }

    fn abort_upload(&self, key: String, upload: String, given: Option<AbortOptions>) -> Result<(), Error> {
        self.0.borrow_mut().abort_upload(&mut host::<S>(), &key, &upload, &options(given)).map_err(error)
    }

    fn list_uploads(&self, given: Option<ListUploadsOptions>) -> Result<UploadPage, Error> {
        self.0.borrow_mut().list_uploads(&mut host::<S>(), &options(given)).map_err(error)
    }

    fn create_bucket(&self, name: String, given: Option<BucketOptions>) -> Result<(), Error> {
        self.0.borrow_mut().create_bucket(&mut host::<S>(), &name, &options(given)).map_err(error)
    }

    fn delete_bucket(&self, name: String, given: Option<BucketOptions>) -> Result<(), Error> {
        self.0.borrow_mut().delete_bucket(&mut host::<S>(), &name, &options(given)).map_err(error)
    }

    fn bucket_exists(&self, name: String, given: Option<BucketOptions>) -> Result<bool, Error> {
        self.0.borrow_mut().bucket_exists(&mut host::<S>(), &name, &options(given)).map_err(error)
    }

    fn list_buckets(&self, given: Option<ListBucketsOptions>) -> Result<BucketPage, Error> {
        self.0.borrow_mut().list_buckets(&mut host::<S>(), &options(given)).map_err(error)
    }
}

impl GuestBodyReader for Reader {
    fn head(&self) -> BlobHead {
        self.head.clone().into()
    }

    fn body(&self) -> Result<InputStream, Error> {
        let taken = || error(Error::failure(Kind::InvalidArgument, "the body was taken already"));
        self.stream.borrow_mut().take().ok_or_else(taken)
    }
}

impl<S: Service> GuestBodyWriter for Writer<S> {
    fn body(&self) -> Result<OutputStream, Error> {
        self.writer.borrow_mut().body(&mut self.store.borrow_mut(), &mut host::<S>()).map_err(error)
    }

    fn finish(&self, sent: u64) -> Result<store::WrittenBody, Error> {
        let finished = self.writer.borrow_mut().finish(&mut self.store.borrow_mut(), &mut host::<S>(), sent);
        finished.map_err(error).map(|written| match written {
            io::WrittenBody::Blob(written) => store::WrittenBody::Blob(written),
            io::WrittenBody::Part(part) => store::WrittenBody::Part(part),
        })
    }
}

impl<S: Service> sans_io::Guest for Plugin<S> {
    fn begin(store: StoreBorrow<'_>, operations: Vec<Operation>) -> Vec<Next> {
        let mut store = store.get::<Open<S>>().0.borrow_mut();
        let wall = host::<S>().wall();
        let mut steps = Vec::with_capacity(operations.len());
        for operation in operations {
            let operation = operation.into();
            if matches!(operation, model::Operation::CreateUpload { .. }) {
                // The id must be no other instance's.
                store.stir(&host::<S>().readings());
            }
            steps.push(next_of::<S>(store.begin(wall, operation)));
        }
        steps
    }

    fn resume(store: StoreBorrow<'_>, resumptions: Vec<Resumption>) -> Vec<Next> {
        let mut store = store.get::<Open<S>>().0.borrow_mut();
        let wall = host::<S>().wall();
        let mut steps = Vec::with_capacity(resumptions.len());
        for Resumption { state, elapsed, event } in resumptions {
            steps.push(match State::decode(&state) {
                Ok(state) => next_of::<S>(store.resume(wall, state, elapsed, event_of(&event))),
                Err(failure) => Next::Failed(error(failure)),
            });
        }
        steps
    }
}
