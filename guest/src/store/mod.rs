//! The operations: what is sent, in which order, and what becomes of the answers.
//!
//! Everything here works on any [`Transport`] and [`Clock`], so that each promise of the contract is tested natively.

mod answers;
mod call;
mod complete;
mod copy;
mod delete_many;
mod exchanges;
mod list;
mod outcome;
mod presign;
mod read;
mod resolve;
mod tags;
mod upload;
mod write;
mod writing;

use std::time::Duration;

use crate::checksum::Algorithm;
use crate::env::{Body, Clock, Transport};
use crate::error::{Failure, Kind};
use crate::key;
use crate::model::{
    Blob, BlobInfo, BlobName, CompleteOptions, CopyOptions, CopyPartOptions, DeleteManyOptions, DeleteOptions,
    HeadOptions, ListOptions, ListPage, ListPartsOptions, ListUploadsOptions, Opened, Pair, Part, PartOptions,
    PartPage, PresignOptions, Presigned, PresignedMethod, ReadOptions, TagOptions, UploadOptions, UploadPage,
    VersionPage, WriteOptions, Written,
};
use crate::request;
use crate::retry::Rng;
use crate::settings::{self, Settings};
use crate::sigv4::Signer;

use call::Call;
pub use exchanges::take;
pub use writing::{Opening, Writing, nothing_to};

/// How long a call may take where its options do not say.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(600);

/// An open store.
pub struct Store {
    settings: Settings,
    signer: Signer,
    /// Seconds to add to this machine's clock to have the service's.
    skew: i64,
    rng: Rng,
    /// Whether the service was seen to have no deletion of several blobs at once.
    single_deletes: bool,
}

impl Store {
    /// Understands the settings. Sends nothing.
    ///
    /// `seed` starts the jitter of the pauses: anything that differs between instances will do.
    pub fn open(pairs: &[Pair], seed: u64) -> Result<Store, Failure> {
        let settings = settings::parse(pairs).map_err(|mut fault| {
            fault.kind = Kind::InvalidSettings;
            fault
        })?;
        let signer = Signer::new(&settings.region);
        Ok(Store { settings, signer, skew: 0, rng: Rng::new(seed), single_deletes: false })
    }

    /// The digests that the bodies of its writes go out with.
    pub fn wanted_digests(&self) -> impl Iterator<Item = Algorithm> + use<> {
        self.settings.wanted_digests()
    }

    /// What is known of a blob.
    pub fn head<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &HeadOptions,
    ) -> Result<BlobInfo, Failure> {
        let mut call = Call::start(self, env, "head", key, &options.call);
        let key = call.whole_key()?;
        let mut request = call.checked(request::head(&call.store.settings, &key, options))?;
        call.head(&mut request).map(|(info, _)| info)
    }

    /// Reads a blob or a part of it.
    pub fn get<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &ReadOptions,
    ) -> Result<Blob, Failure> {
        Call::start(self, env, "get", key, &options.call).get(options)
    }

    /// Begins to read a blob or a part of it, whose bytes somebody else reads.
    pub fn open_read<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &ReadOptions,
    ) -> Result<Opened<<E::Body as Body>::Stream>, Failure> {
        Call::start(self, env, "get", key, &options.call).open_read(options)
    }

    /// Writes a blob.
    pub fn put<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        body: &[u8],
        options: &WriteOptions,
    ) -> Result<Written, Failure> {
        Call::start(self, env, "put", key, &options.call).put(body, options)
    }

    /// Deletes a blob. Whether it was there, where the service says.
    pub fn delete<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &DeleteOptions,
    ) -> Result<Option<bool>, Failure> {
        Call::start(self, env, "delete", key, &options.call).delete(options)
    }

    /// Deletes several blobs: an outcome for each.
    pub fn delete_many<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        blobs: &[BlobName],
        options: &DeleteManyOptions,
    ) -> Result<Vec<Result<(), Failure>>, Failure> {
        Call::start(self, env, "delete several blobs", "", &options.call).delete_many(blobs, options)
    }

    /// One page of the blobs there are.
    pub fn list<E: Transport + Clock>(&mut self, env: &mut E, options: &ListOptions) -> Result<ListPage, Failure> {
        Call::start(self, env, "list", &options.prefix, &options.call).list(options)
    }

    /// One page of the versions there are.
    pub fn list_versions<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        options: &ListOptions,
    ) -> Result<VersionPage, Failure> {
        Call::start(self, env, "list the versions of", &options.prefix, &options.call).list_versions(options)
    }

    /// Copies a blob at the service.
    pub fn copy<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        source: &BlobName,
        to: &str,
        options: &CopyOptions,
    ) -> Result<Written, Failure> {
        Call::start(self, env, "copy to", to, &options.call).copy(source, options)
    }

    /// A URL that allows one request. Sends nothing.
    pub fn presign<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        method: PresignedMethod,
        key: &str,
        options: &PresignOptions,
    ) -> Result<Presigned, Failure> {
        Call::start(self, env, "presign", key, &options.call).presign(method, options)
    }

    /// A blob's tags.
    pub fn tags<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &TagOptions,
    ) -> Result<Vec<Pair>, Failure> {
        Call::start(self, env, "get the tags of", key, &options.call).tags(options)
    }

    /// Gives a blob these tags.
    pub fn set_tags<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        tags: &[Pair],
        options: &TagOptions,
    ) -> Result<(), Failure> {
        Call::start(self, env, "tag", key, &options.call).set_tags(tags, options)
    }

    /// Begins a blob that is written in parts.
    pub fn create_upload<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &WriteOptions,
    ) -> Result<String, Failure> {
        Call::start(self, env, "begin an upload of", key, &options.call).create_upload(options)
    }

    /// Uploads a part.
    pub fn upload_part<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        upload: &str,
        number: u32,
        body: &[u8],
        options: &PartOptions,
    ) -> Result<Part, Failure> {
        Call::start(self, env, "upload a part of", key, &options.call).upload_part(upload, number, body, options)
    }

    /// Makes a part of what is there.
    pub fn copy_part<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        upload: &str,
        number: u32,
        source: &BlobName,
        options: &CopyPartOptions,
    ) -> Result<Part, Failure> {
        Call::start(self, env, "copy a part to", key, &options.call).copy_part(upload, number, source, options)
    }

    /// One page of the parts of an upload.
    pub fn list_parts<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        upload: &str,
        options: &ListPartsOptions,
    ) -> Result<PartPage, Failure> {
        Call::start(self, env, "list the parts of", key, &options.call).list_parts(upload, options)
    }

    /// Makes the blob of its parts.
    pub fn complete_upload<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        upload: &str,
        parts: &[Part],
        options: &CompleteOptions,
    ) -> Result<Written, Failure> {
        Call::start(self, env, "complete the upload of", key, &options.call).complete_upload(upload, parts, options)
    }

    /// Drops an upload and its parts.
    pub fn abort_upload<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        upload: &str,
        options: &UploadOptions,
    ) -> Result<(), Failure> {
        Call::start(self, env, "abort the upload of", key, &options.call).abort_upload(upload, options)
    }

    /// One page of the uploads under way.
    pub fn list_uploads<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        options: &ListUploadsOptions,
    ) -> Result<UploadPage, Failure> {
        Call::start(self, env, "list the uploads of", &options.prefix, &options.call).list_uploads(options)
    }

    /// The whole key: the prefix and the caller's.
    fn full_key(&self, key: &str) -> Result<String, Failure> {
        key::check(key, &self.settings.key_prefix)
    }

    /// The service's time, in seconds since 1970, as well as it is known.
    fn service_time(&self, wall: u64) -> u64 {
        wall.saturating_add_signed(self.skew)
    }
}

#[cfg(test)]
mod tests;
