//! An open store, and its operations.

use crate::credentials::Credentials;
use crate::driver::Driver;
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
use crate::sandbox::pool::PoolStatus;
use crate::types::blob::{BlobName, PresignedMethod};
use crate::types::body::Body;
use crate::types::multipart::Part;

/// An open store: one bucket, one set of credentials, and its own sandboxes.
///
/// Cloning is cheap and returns the same store. Calls may be made concurrently from any task, up to
/// [`Limits::instances_per_store`](crate::Limits::instances_per_store); further calls wait. Dropping a call's future
/// cancels the call; a cancelled write may or may not have been applied.
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
    pub(crate) fn new(driver: Driver) -> Store {
        Store { calls: Calls::new(driver) }
    }

    /// Whether there are clones of it, calls and readers included.
    pub(crate) fn is_shared(&self) -> bool {
        self.calls.is_shared()
    }

    /// Replaces the credentials of later calls. Calls in progress finish with the former credentials, which should stay
    /// valid at the service for a while; a call that the service rejects for that reason is retried with the new ones,
    /// unless its body is a stream. All clones share the credentials.
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
    /// [`Error::InvalidSettings`](crate::Error::InvalidSettings) if the plugin rejects them; the store then keeps the old
    /// ones. No request is sent.
    pub async fn set_credentials(&self, credentials: Credentials) -> Result<()> {
        self.calls.pool().set_credentials(&credentials).await
    }

    /// The limits of the store's calls.
    pub fn limits(&self) -> &Limits {
        self.calls.limits()
    }

    /// Returns the metadata of a blob.
    pub fn head(&self, key: impl Into<String>) -> Head {
        Head::new(self.calls.clone(), key.into())
    }

    /// Reads a blob or a range of it.
    pub fn get(&self, key: impl Into<String>) -> Get {
        Get::new(self.calls.clone(), key.into())
    }

    /// Writes a blob atomically.
    pub fn put(&self, key: impl Into<String>, body: impl Into<Body>) -> Put {
        Put::new(self.calls.clone(), key.into(), body.into())
    }

    /// Deletes a blob. Succeeds if it does not exist.
    pub fn delete(&self, key: impl Into<String>) -> Delete {
        Delete::new(self.calls.clone(), key.into())
    }

    /// Deletes any number of blobs in batches.
    pub fn delete_many<N: Into<BlobName>>(&self, blobs: impl IntoIterator<Item = N>) -> DeleteMany {
        DeleteMany::new(self.calls.clone(), blobs.into_iter().map(Into::into).collect())
    }

    /// Lists the blobs whose keys begin with `prefix`, which may be empty.
    pub fn list(&self, prefix: impl Into<String>) -> List {
        List::new(self.calls.clone(), prefix.into())
    }

    /// Lists the versions of the blobs whose keys begin with `prefix`, on a versioned bucket.
    pub fn list_versions(&self, prefix: impl Into<String>) -> ListVersions {
        ListVersions::new(self.calls.clone(), prefix.into())
    }

    /// Copies a blob at the service, within the store or [from another bucket](Copy::from_bucket), without downloading it.
    pub fn copy(&self, source: impl Into<BlobName>, to: impl Into<String>) -> Copy {
        Copy::new(self.calls.clone(), source.into(), to.into())
    }

    /// Copies a blob to another key, and deletes the source.
    pub fn rename(&self, from: impl Into<String>, to: impl Into<String>) -> Rename {
        Rename::new(self.calls.clone(), from.into(), to.into())
    }

    /// Creates a URL with which anybody can make this request until it expires.
    pub fn presign(&self, method: PresignedMethod, key: impl Into<String>) -> Presign {
        Presign::new(self.calls.clone(), method, key.into())
    }

    /// Returns the tags of a blob.
    pub fn tags(&self, key: impl Into<String>) -> GetTags {
        GetTags::new(self.calls.clone(), key.into())
    }

    /// Replaces the tags of a blob.
    pub fn set_tags<N: Into<String>, V: Into<String>>(
        &self,
        key: impl Into<String>,
        tags: impl IntoIterator<Item = (N, V)>,
    ) -> SetTags {
        let tags = tags.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        SetTags::new(self.calls.clone(), key.into(), tags)
    }

    /// Writes a blob from a stream of any length: with one request, or in parts.
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

    /// Reads a large blob over several connections concurrently, as a stream or into a file.
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

    /// Initiates a multipart upload, step by step. [`upload`](Store::upload) runs all steps.
    pub fn create_upload(&self, key: impl Into<String>) -> CreateUpload {
        CreateUpload::new(self.calls.clone(), key.into())
    }

    /// Uploads or replaces a part, numbered from 1 to 10,000. A part from a [stream](Body::stream) is not retried once it has
    /// begun, and is gathered in memory first if the store [does not send streams](Store::sends_streams).
    pub fn upload_part(
        &self,
        key: impl Into<String>,
        upload: impl Into<String>,
        number: u32,
        body: impl Into<Body>,
    ) -> UploadPart {
        UploadPart::new(self.calls.clone(), key.into(), upload.into(), number, body.into())
    }

    /// Copies a part from a blob of the store or of [another bucket](CopyPart::from_bucket).
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

    /// Completes an upload from these parts, which must be in the order of their numbers.
    pub fn complete_upload(
        &self,
        key: impl Into<String>,
        upload: impl Into<String>,
        parts: impl IntoIterator<Item = Part>,
    ) -> CompleteUpload {
        CompleteUpload::new(self.calls.clone(), key.into(), upload.into(), parts.into_iter().collect())
    }

    /// Aborts an upload and deletes its parts. Succeeds if it does not exist.
    pub fn abort_upload(&self, key: impl Into<String>, upload: impl Into<String>) -> AbortUpload {
        AbortUpload::new(self.calls.clone(), key.into(), upload.into())
    }

    /// Lists the incomplete uploads to keys that begin with `prefix`.
    pub fn list_uploads(&self, prefix: impl Into<String>) -> ListUploads {
        ListUploads::new(self.calls.clone(), prefix.into())
    }

    /// Creates a bucket in the store's region.
    ///
    /// Bucket operations use the store's endpoint and credentials; the name need not be that of the store's bucket.
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

    /// Lists the buckets of the credentials' owner whose names begin with `prefix`, which may be empty.
    pub fn list_buckets(&self, prefix: impl Into<String>) -> ListBuckets {
        ListBuckets::new(self.calls.clone(), prefix.into())
    }

    /// Whether a body from a [stream](Body::stream) is sent as it arrives. Otherwise it is gathered first, because the store's
    /// writes carry digests of their bodies: signatures over plain HTTP do, and the setting `checksum`.
    pub fn sends_streams(&self) -> bool {
        self.calls.sends_streams()
    }

    /// The state of the store's sandboxes.
    pub fn pool(&self) -> PoolStatus {
        self.calls.status()
    }
}
