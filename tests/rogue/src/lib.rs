//! A plugin that misbehaves on request, for the host's tests. It implements the contract, and its setting `mode` selects what it
//! does wrong: see [`misdeeds`] for what any call can do, and [`sans_io`] for requests, state and results.
//!
//! With the feature `simple` it implements the world `simple-plugin`, keeps its blobs in memory, and sends requests over
//! wasi:http only to misbehave. Without it, it implements the world `plugin`, and its blobs are at the service `target`.
#![cfg(target_arch = "wasm32")]

mod misdeeds;
#[cfg(not(feature = "simple"))]
mod sans_io;

use std::cell::RefCell;
use std::collections::BTreeMap;

#[cfg(not(feature = "simple"))]
wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
    generate_all,
});

#[cfg(feature = "simple")]
wit_bindgen::generate!({
    path: "../../wit",
    world: "simple-plugin",
    generate_all,
});

use exports::sandbucket::blob::buckets::{BucketOptions, BucketPage, ListBucketsOptions};
use exports::sandbucket::blob::listing::{ListOptions, ListPage, VersionPage};
use exports::sandbucket::blob::multipart::{
    AbortOptions, CompleteOptions, CopyPartOptions, ListPartsOptions, ListUploadsOptions, Part, PartOptions, PartPage,
    UploadPage,
};
use exports::sandbucket::blob::store::{
    BodyReader, BodyWriter, Guest, GuestBodyReader, GuestBodyWriter, GuestStore, Store as Handle, WrittenBody,
};
use exports::sandbucket::blob::types::{
    Attribute, Blob, BlobHead, BlobInfo, BlobRef, CopyOptions, CopySource, DeleteManyOptions, DeleteOptions,
    DigestAlgorithm, Error, ErrorKind, GetOptions, HeadOptions, Pair, PresignOptions, Presigned, PresignedMethod,
    PutOptions, Setting, SettingKind, Span, TagOptions, Written,
};
use misdeeds::{Mode, unsupported};
use wasi::clocks::monotonic_clock::Duration;
use wasi::io::streams::{InputStream, OutputStream};

struct Rogue;

export!(Rogue);

struct Open {
    mode: Mode,
    blobs: RefCell<BTreeMap<String, Vec<u8>>>,
}

/// A body stream, which this plugin does not have.
struct NoStream;

impl Guest for Rogue {
    type Store = Open;
    type BodyReader = NoStream;
    type BodyWriter = NoStream;

    fn settings() -> Vec<Setting> {
        let text = |name: &str, help: &str| Setting {
            name: name.to_owned(),
            aliases: Vec::new(),
            kind: SettingKind::Text,
            default: None,
            required: false,
            secret: false,
            help: help.to_owned(),
        };
        vec![
            text("mode", "what this plugin does wrong; nothing if absent"),
            text("target", "the authority it sends to"),
        ]
    }

    fn attributes() -> Vec<Attribute> {
        Vec::new()
    }
}

impl GuestStore for Open {
    fn open(settings: Vec<Pair>) -> Result<Handle, Error> {
        let value = |name: &str| settings.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let mode = Mode { name: value("mode").unwrap_or_default(), target: value("target").unwrap_or_default() };
        if let Some(misdeed) = mode.name.strip_prefix("open-") {
            mode.act(misdeed)?;
        }
        Ok(Handle::new(Open { mode, blobs: RefCell::default() }))
    }

    fn wanted_digests(&self) -> Vec<DigestAlgorithm> {
        Vec::new()
    }

    fn head(&self, key: String, _: Option<HeadOptions>) -> Result<BlobInfo, Error> {
        self.mode.act(&self.mode.name)?;
        if let Some(odd) = self.mode.odd_info() {
            return Ok(odd);
        }
        self.blobs.borrow().get(&key).map(|body| info(body.len() as u64)).ok_or_else(|| not_found(&key))
    }

    fn get(&self, key: String, _: Option<GetOptions>) -> Result<Blob, Error> {
        self.mode.act(&self.mode.name)?;
        if let Some(odd) = self.mode.odd_blob() {
            return Ok(odd);
        }
        let blobs = self.blobs.borrow();
        let body = blobs.get(&key).ok_or_else(|| not_found(&key))?;
        let size = body.len() as u64;
        Ok(Blob { info: info(size), range: Span { start: 0, end: size }, body: body.clone() })
    }

    fn open_get(&self, _: String, _: Option<GetOptions>) -> Result<BodyReader, Error> {
        Err(unsupported())
    }

    fn put(&self, key: String, body: Vec<u8>, _: Option<PutOptions>) -> Result<Written, Error> {
        self.mode.act(&self.mode.name)?;
        self.blobs.borrow_mut().insert(key, body);
        Ok(written())
    }

    fn open_put(&self, _: String, _: u64, _: Option<PutOptions>) -> Result<BodyWriter, Error> {
        Err(unsupported())
    }

    fn delete(&self, key: String, _: Option<DeleteOptions>) -> Result<Option<bool>, Error> {
        self.mode.act(&self.mode.name)?;
        Ok(Some(self.blobs.borrow_mut().remove(&key).is_some()))
    }

    fn delete_many(&self, _: Vec<BlobRef>, _: Option<DeleteManyOptions>) -> Result<Vec<Result<(), Error>>, Error> {
        Err(unsupported())
    }

    fn list(&self, _: Option<ListOptions>) -> Result<ListPage, Error> {
        self.mode.act(&self.mode.name)?;
        self.mode.odd_page().ok_or_else(unsupported)
    }

    fn list_versions(&self, _: Option<ListOptions>) -> Result<VersionPage, Error> {
        Err(unsupported())
    }

    fn copy(&self, _: CopySource, _: String, _: Option<CopyOptions>) -> Result<Written, Error> {
        Err(unsupported())
    }

    fn presign(
        &self,
        _: PresignedMethod,
        _: String,
        _: Duration,
        _: Option<PresignOptions>,
    ) -> Result<Presigned, Error> {
        self.mode.presigned().ok_or_else(unsupported)
    }

    fn get_tags(&self, _: String, _: Option<TagOptions>) -> Result<Vec<Pair>, Error> {
        Err(unsupported())
    }

    fn set_tags(&self, _: String, _: Vec<Pair>, _: Option<TagOptions>) -> Result<(), Error> {
        Err(unsupported())
    }

    fn create_upload(&self, _: String, _: Option<PutOptions>) -> Result<String, Error> {
        Err(unsupported())
    }

    fn upload_part(&self, _: String, _: String, _: u32, _: Vec<u8>, _: Option<PartOptions>) -> Result<Part, Error> {
        Err(unsupported())
    }

    fn open_part(&self, _: String, _: String, _: u32, _: u64, _: Option<PartOptions>) -> Result<BodyWriter, Error> {
        Err(unsupported())
    }

    fn copy_part(
        &self,
        _: String,
        _: String,
        _: u32,
        _: CopySource,
        _: Option<CopyPartOptions>,
    ) -> Result<Part, Error> {
        Err(unsupported())
    }

    fn list_parts(&self, _: String, _: String, _: Option<ListPartsOptions>) -> Result<PartPage, Error> {
        Err(unsupported())
    }

    fn complete_upload(
        &self,
        _: String,
        _: String,
        _: Vec<Part>,
        _: Option<CompleteOptions>,
    ) -> Result<Written, Error> {
        Err(unsupported())
    }

    fn abort_upload(&self, _: String, _: String, _: Option<AbortOptions>) -> Result<(), Error> {
        Err(unsupported())
    }

    fn list_uploads(&self, _: Option<ListUploadsOptions>) -> Result<UploadPage, Error> {
        Err(unsupported())
    }

    fn create_bucket(&self, _: String, _: Option<BucketOptions>) -> Result<(), Error> {
        Err(unsupported())
    }

    fn delete_bucket(&self, _: String, _: Option<BucketOptions>) -> Result<(), Error> {
        Err(unsupported())
    }

    fn bucket_exists(&self, _: String, _: Option<BucketOptions>) -> Result<bool, Error> {
        Err(unsupported())
    }

    fn list_buckets(&self, _: Option<ListBucketsOptions>) -> Result<BucketPage, Error> {
        Err(unsupported())
    }
}

impl GuestBodyReader for NoStream {
    fn head(&self) -> BlobHead {
        let none = || Span { start: 0, end: 0 };
        BlobHead { info: info(0), range: none(), body_range: none(), digest: None }
    }

    fn body(&self) -> Result<InputStream, Error> {
        Err(unsupported())
    }
}

impl GuestBodyWriter for NoStream {
    fn body(&self) -> Result<OutputStream, Error> {
        Err(unsupported())
    }

    fn finish(&self, _: u64) -> Result<WrittenBody, Error> {
        Err(unsupported())
    }
}

fn info(size: u64) -> BlobInfo {
    BlobInfo {
        size: Some(size),
        etag: Some(ETAG.to_owned()),
        last_modified: None,
        content_type: None,
        metadata: Vec::new(),
        version: None,
        attributes: Vec::new(),
    }
}

const ETAG: &str = "\"rogue\"";

fn written() -> Written {
    Written { etag: Some(ETAG.to_owned()), version: None }
}

fn not_found(key: &str) -> Error {
    error(ErrorKind::NotFound, format!("{key} does not exist"))
}

fn error(kind: ErrorKind, message: String) -> Error {
    Error { kind, message, retryable: false, attempts: 0, subject: None, response: None }
}
