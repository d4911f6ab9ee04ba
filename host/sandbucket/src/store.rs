//! A store as callers use it, and how it is opened.

use std::sync::Arc;

use crate::credentials::Credentials;
use crate::error::Result;
use crate::limits::Limits;
use crate::ops::builders::{
    AbortUpload, BucketExists, CompleteUpload, Copy, CopyPart, CreateBucket, CreateUpload, Delete, DeleteBucket,
    DeleteMany, Get, GetTags, Head, List, ListBuckets, ListParts, ListUploads, ListVersions, Presign, Put, Rename,
    SetTags, UploadPart,
};
use crate::ops::calls::Calls;
use crate::ops::download::Download;
use crate::ops::upload::Upload;
use crate::sandbox::pool::{Pool, PoolStatus};
use crate::types::blob::{BlobName, PresignedMethod};
use crate::types::body::{Body, Chunks};
use crate::types::multipart::Part;

/// An open store: one bucket, one set of credentials, and sandboxes of its own.
///
/// Cloning it is cheap and gives the same store. Calls may be made from any task, as many at once as
/// [`Limits::instances_per_store`](crate::Limits::instances_per_store); further ones wait. A call whose future is
/// dropped is broken off; a write may then have taken effect or not.
///
/// ```no_run
/// # async fn example(store: sandbucket::Store) -> sandbucket::Result<()> {
/// store.put("a.txt", "some text").content_type("text/plain").metadata("author", "me").await?;
/// let first = store.get("a.txt").range(0..4).await?.bytes().await?;
/// assert_eq!(first, "some");
/// let info = store.head("a.txt").await?;
/// if let Some(etag) = info.etag {
///     store.put("a.txt", "other text").if_match(etag).await?;
/// }
/// store.delete("a.txt").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store {
    pub(crate) calls: Calls,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("pool", &self.calls.status()).finish()
    }
}

impl Store {
    pub(crate) async fn open(pool: Arc<Pool>) -> Result<Store> {
        Ok(Store { calls: Calls::open(pool).await? })
    }

    /// Has the store use other credentials, for calls that begin from now on. Calls that are in progress end with those that
    /// they began with, so that those have to stay valid at the service for a while; one that the service refuses for that
    /// reason is made again with the new ones, unless its body is a stream. All clones of the store are the same store.
    ///
    /// ```no_run
    /// # async fn example(store: sandbucket::Store) -> sandbucket::Result<()> {
    /// use sandbucket::Credentials;
    ///
    /// store.set_credentials(Credentials::new("AKID…", "the new secret")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidSettings`](crate::Error::InvalidSettings) where the plugin does not take them; the store goes on with
    /// the old ones then. Nothing is asked of the service.
    pub async fn set_credentials(&self, credentials: Credentials) -> Result<()> {
        self.calls.pool().set_credentials(&credentials).await
    }

    /// What holds for its calls.
    pub fn limits(&self) -> &Limits {
        self.calls.limits()
    }

    /// What is known of a blob, without its content.
    pub fn head(&self, key: impl Into<String>) -> Head {
        Head::new(self.calls.clone(), key.into())
    }

    /// Reads a blob, or a part of it.
    pub fn get(&self, key: impl Into<String>) -> Get {
        Get::new(self.calls.clone(), key.into())
    }

    /// Writes a blob. It is there whole or not at all.
    pub fn put(&self, key: impl Into<String>, body: impl Into<Body>) -> Put {
        Put::new(self.calls.clone(), key.into(), body.into())
    }

    /// Deletes a blob. That it was not there is no error.
    pub fn delete(&self, key: impl Into<String>) -> Delete {
        Delete::new(self.calls.clone(), key.into())
    }

    /// Deletes any number of blobs, in batches.
    pub fn delete_many<N: Into<BlobName>>(&self, blobs: impl IntoIterator<Item = N>) -> DeleteMany {
        DeleteMany::new(self.calls.clone(), blobs.into_iter().map(Into::into).collect())
    }

    /// Lists the blobs whose keys begin with this text; with an empty one, all.
    pub fn list(&self, prefix: impl Into<String>) -> List {
        List::new(self.calls.clone(), prefix.into())
    }

    /// Lists the versions of the blobs whose keys begin with this text, on a bucket that keeps versions.
    pub fn list_versions(&self, prefix: impl Into<String>) -> ListVersions {
        ListVersions::new(self.calls.clone(), prefix.into())
    }

    /// Copies a blob at the service, within the store or [from another bucket](Copy::from_bucket): its content does not come
    /// here.
    pub fn copy(&self, source: impl Into<BlobName>, to: impl Into<String>) -> Copy {
        Copy::new(self.calls.clone(), source.into(), to.into())
    }

    /// Copies a blob to another key, and deletes it at its own.
    pub fn rename(&self, from: impl Into<String>, to: impl Into<String>) -> Rename {
        Rename::new(self.calls.clone(), from.into(), to.into())
    }

    /// Makes a URL with which anybody can make this one request, until it expires.
    pub fn presign(&self, method: PresignedMethod, key: impl Into<String>) -> Presign {
        Presign::new(self.calls.clone(), method, key.into())
    }

    /// The tags of a blob.
    pub fn tags(&self, key: impl Into<String>) -> GetTags {
        GetTags::new(self.calls.clone(), key.into())
    }

    /// Gives a blob these tags and no others.
    pub fn set_tags<N: Into<String>, V: Into<String>>(
        &self,
        key: impl Into<String>,
        tags: impl IntoIterator<Item = (N, V)>,
    ) -> SetTags {
        let tags = tags.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        SetTags::new(self.calls.clone(), key.into(), tags)
    }

    /// Writes a blob from a stream of any length: in one call, or in parts.
    ///
    /// ```no_run
    /// # async fn example(store: sandbucket::Store) -> Result<(), Box<dyn std::error::Error>> {
    /// let file = tokio::fs::File::open("backup.tar").await?;
    /// store.upload("backup.tar").content_type("application/x-tar").reader(file).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn upload(&self, key: impl Into<String>) -> Upload {
        Upload::new(self.calls.clone(), key.into())
    }

    /// Reads a large blob over several connections at once, as a stream or into a file.
    ///
    /// ```no_run
    /// # async fn example(store: sandbucket::Store) -> Result<(), Box<dyn std::error::Error>> {
    /// store.download("backup.tar").file(std::fs::File::create("backup.tar")?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn download(&self, key: impl Into<String>) -> Download {
        Download::new(self.calls.clone(), key.into())
    }

    /// Begins a blob that is written in parts, step by step. [`upload`](Store::upload) does it all.
    pub fn create_upload(&self, key: impl Into<String>) -> CreateUpload {
        CreateUpload::new(self.calls.clone(), key.into())
    }

    /// Uploads a part, numbered from 1 to 10,000, or replaces it.
    pub fn upload_part(
        &self,
        key: impl Into<String>,
        upload: impl Into<String>,
        number: u32,
        body: impl Into<Chunks>,
    ) -> UploadPart {
        UploadPart::new(self.calls.clone(), key.into(), upload.into(), number, body.into())
    }

    /// Makes a part of a blob that is in the store or in [another bucket](CopyPart::from_bucket).
    pub fn copy_part(
        &self,
        key: impl Into<String>,
        upload: impl Into<String>,
        number: u32,
        source: impl Into<BlobName>,
    ) -> CopyPart {
        CopyPart::new(self.calls.clone(), key.into(), upload.into(), number, source.into())
    }

    /// Lists the parts of an upload.
    pub fn list_parts(&self, key: impl Into<String>, upload: impl Into<String>) -> ListParts {
        ListParts::new(self.calls.clone(), key.into(), upload.into())
    }

    /// Makes the blob of these parts, which must be in the order of their numbers.
    pub fn complete_upload(
        &self,
        key: impl Into<String>,
        upload: impl Into<String>,
        parts: impl IntoIterator<Item = Part>,
    ) -> CompleteUpload {
        CompleteUpload::new(self.calls.clone(), key.into(), upload.into(), parts.into_iter().collect())
    }

    /// Drops an upload and its parts. That there is no such upload is no error.
    pub fn abort_upload(&self, key: impl Into<String>, upload: impl Into<String>) -> AbortUpload {
        AbortUpload::new(self.calls.clone(), key.into(), upload.into())
    }

    /// Lists the uploads, to keys that begin with this text, that were neither completed nor aborted.
    pub fn list_uploads(&self, prefix: impl Into<String>) -> ListUploads {
        ListUploads::new(self.calls.clone(), prefix.into())
    }

    /// Creates a bucket, in the store's region.
    ///
    /// Operations on buckets go to the store's endpoint with its credentials; the name need not be that of the store's bucket.
    ///
    /// ```no_run
    /// # async fn example(store: sandbucket::Store) -> sandbucket::Result<()> {
    /// use futures::TryStreamExt;
    ///
    /// if !store.bucket_exists("photos").await? {
    ///     store.create_bucket("photos").await?;
    /// }
    /// let mut buckets = store.list_buckets("").buckets();
    /// while let Some(bucket) = buckets.try_next().await? {
    ///     println!("{}", bucket.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) if it exists. Some services and regions report success if it belongs to the
    /// caller.
    pub fn create_bucket(&self, name: impl Into<String>) -> CreateBucket {
        CreateBucket::new(self.calls.clone(), name.into())
    }

    /// Deletes an empty bucket.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it does not exist, [`Error::Conflict`](crate::Error::Conflict) if it is not
    /// empty.
    pub fn delete_bucket(&self, name: impl Into<String>) -> DeleteBucket {
        DeleteBucket::new(self.calls.clone(), name.into())
    }

    /// Returns whether a bucket exists and may be accessed.
    ///
    /// # Errors
    /// [`Error::AccessDenied`](crate::Error::AccessDenied) if it belongs to somebody else.
    pub fn bucket_exists(&self, name: impl Into<String>) -> BucketExists {
        BucketExists::new(self.calls.clone(), name.into())
    }

    /// Lists the buckets of the credentials' owner whose names begin with this text; with an empty one, all.
    pub fn list_buckets(&self, prefix: impl Into<String>) -> ListBuckets {
        ListBuckets::new(self.calls.clone(), prefix.into())
    }

    /// What the store's sandboxes are doing.
    pub fn pool(&self) -> PoolStatus {
        self.calls.status()
    }
}
