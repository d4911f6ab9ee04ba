//! A plugin that misbehaves on request, for the host's tests. It implements the contract, in memory and without a
//! service, and its setting `mode` says what is wrong with it: see [`misdeeds`].
#![cfg(target_arch = "wasm32")]

#[cfg(not(feature = "simple"))]
mod exchanges;
mod misdeeds;

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

use exports::sandbucket::blob::blob_store::{Guest, GuestStore, Store as Handle};
use exports::sandbucket::blob::types::{
    Blob, BlobInfo, BlobName, CopyOptions, DeleteManyOptions, DeleteOptions, DigestAlgorithm, Error, ErrorKind,
    HeadOptions, Pair, PresignOptions, Presigned, PresignedMethod, ReadOptions, Setting, SettingKind, Span, TagOptions,
    WriteOptions, Written,
};
use exports::sandbucket::blob::{bodies, listing, multipart};
use misdeeds::{Mode, lacking};
use wasi::io::streams::OutputStream;

struct Rogue;

export!(Rogue);

struct Open {
    mode: Mode,
    blobs: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Guest for Rogue {
    type Store = Open;

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
            text("mode", "what is wrong with this plugin; nothing where it is left out"),
            text("target", "the authority that it calls without leave"),
        ]
    }
}

impl GuestStore for Open {
    fn open(settings: Vec<Pair>) -> Result<Handle, Error> {
        let value = |name: &str| settings.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let mode = Mode { name: value("mode").unwrap_or_default(), target: value("target").unwrap_or_default() };
        if let Some(misdeed) = mode.name.strip_prefix("open-") {
            Mode { name: misdeed.to_owned(), ..mode.clone() }.act()?;
        }
        Ok(Handle::new(Open { mode, blobs: RefCell::default() }))
    }

    fn head(&self, key: String, _: HeadOptions) -> Result<BlobInfo, Error> {
        self.mode.act()?;
        if let Some(size) = self.mode.vast() {
            return Ok(BlobInfo { size, ..info(&[]) });
        }
        if let Some(odd) = self.mode.odd_info() {
            return Ok(odd);
        }
        self.blobs.borrow().get(&key).map(|body| info(body)).ok_or_else(|| missing(&key))
    }

    fn get(&self, key: String, _: ReadOptions) -> Result<Blob, Error> {
        self.mode.act()?;
        if let Some(absurd) = self.mode.absurd() {
            return Ok(absurd);
        }
        let blobs = self.blobs.borrow();
        let body = blobs.get(&key).ok_or_else(|| missing(&key))?;
        Ok(Blob { info: info(body), range: Span { start: 0, end: body.len() as u64 }, body: body.clone() })
    }

    fn put(&self, key: String, body: Vec<u8>, _: WriteOptions) -> Result<Written, Error> {
        self.mode.act()?;
        self.blobs.borrow_mut().insert(key, body);
        Ok(Written { etag: Some("\"in-memory\"".to_owned()), version: None })
    }

    fn wanted_digests(&self) -> Vec<DigestAlgorithm> {
        Vec::new()
    }

    fn open_read(&self, _: String, _: ReadOptions) -> Result<bodies::Opened, Error> {
        Err(lacking())
    }

    fn open_write(&self, _: String, _: u64, _: WriteOptions) -> Result<OutputStream, Error> {
        Err(lacking())
    }

    fn finish_write(&self, _: u64) -> Result<Written, Error> {
        Err(lacking())
    }

    fn again(&self) -> Result<OutputStream, Error> {
        Err(lacking())
    }

    fn abort(&self) {}

    fn delete(&self, key: String, _: DeleteOptions) -> Result<Option<bool>, Error> {
        self.mode.act()?;
        Ok(Some(self.blobs.borrow_mut().remove(&key).is_some()))
    }

    fn delete_many(&self, _: Vec<BlobName>, _: DeleteManyOptions) -> Result<Vec<Result<(), Error>>, Error> {
        Err(lacking())
    }

    fn list(&self, _: listing::ListOptions) -> Result<listing::ListPage, Error> {
        self.mode.act()?;
        self.mode.odd_page().ok_or_else(lacking)
    }

    fn list_versions(&self, _: listing::ListOptions) -> Result<listing::VersionPage, Error> {
        Err(lacking())
    }

    fn copy(&self, _: BlobName, _: String, _: CopyOptions) -> Result<Written, Error> {
        Err(lacking())
    }

    fn presign(&self, _: PresignedMethod, _: String, _: PresignOptions) -> Result<Presigned, Error> {
        match self.mode.name.strip_prefix("presigned-") {
            Some(url) => Ok(Presigned { url: url.to_owned(), headers: Vec::new() }),
            None => Err(lacking()),
        }
    }

    fn tags(&self, _: String, _: TagOptions) -> Result<Vec<Pair>, Error> {
        Err(lacking())
    }

    fn set_tags(&self, _: String, _: Vec<Pair>, _: TagOptions) -> Result<(), Error> {
        Err(lacking())
    }

    fn create_upload(&self, _: String, _: WriteOptions) -> Result<String, Error> {
        Err(lacking())
    }

    fn upload_part(
        &self,
        _: String,
        _: String,
        _: u32,
        _: Vec<u8>,
        _: multipart::PartOptions,
    ) -> Result<multipart::Part, Error> {
        Err(lacking())
    }

    fn copy_part(
        &self,
        _: String,
        _: String,
        _: u32,
        _: BlobName,
        _: multipart::CopyPartOptions,
    ) -> Result<multipart::Part, Error> {
        Err(lacking())
    }

    fn list_parts(&self, _: String, _: String, _: multipart::ListPartsOptions) -> Result<multipart::PartPage, Error> {
        Err(lacking())
    }

    fn complete_upload(
        &self,
        _: String,
        _: String,
        _: Vec<multipart::Part>,
        _: multipart::CompleteOptions,
    ) -> Result<Written, Error> {
        Err(lacking())
    }

    fn abort_upload(&self, _: String, _: String, _: multipart::UploadOptions) -> Result<(), Error> {
        Err(lacking())
    }

    fn list_uploads(&self, _: multipart::ListUploadsOptions) -> Result<multipart::UploadPage, Error> {
        Err(lacking())
    }
}

fn info(body: &[u8]) -> BlobInfo {
    BlobInfo {
        size: body.len() as u64,
        etag: Some("\"in-memory\"".to_owned()),
        last_modified: None,
        content_type: None,
        metadata: Vec::new(),
        version: None,
        attributes: Vec::new(),
    }
}

fn missing(key: &str) -> Error {
    error(ErrorKind::NotFound, format!("there is no {key}"))
}

fn error(kind: ErrorKind, message: String) -> Error {
    Error { kind, message, retryable: false, attempts: 0, subject: None, answer: None }
}
