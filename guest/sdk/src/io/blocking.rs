//! The methods of a store, each until its end.

use crate::contract::error::{Error, Failure, Kind};
use crate::contract::model::{
    AbortOptions, Blob, BlobHead, BlobInfo, BlobRef, BucketOptions, BucketPage, CompleteOptions, CopyOptions,
    CopyPartOptions, CopySource, DeleteManyOptions, DeleteOptions, Digest, GetOptions, HeadOptions, ListBucketsOptions,
    ListOptions, ListPage, ListPartsOptions, ListUploadsOptions, Operation, Output, Pair, Part, PartOptions, PartPage,
    PresignOptions, Presigned, PresignedMethod, PutOptions, TagOptions, UploadPage, VersionPage, Written,
};
use crate::machine::Store;
use crate::machine::service::Service;

use super::{Body, Clock, Driver, Transport, Writer};

/// A blob being read: its properties, and its body as a stream.
pub type Opened<B> = (BlobHead, <B as Body>::Stream);

/// Defines a method of the store as an operation and its output.
macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident($($argument:ident: $type:ty),*) -> $result:ty
        = $operation:expr => $output:pat => $value:expr;)*) => {
        impl<S: Service> Store<S> {
            $(
                $(#[$doc])*
                pub fn $method<E: Transport + Clock>(
                    &mut self,
                    env: &mut E,
                    $($argument: $type,)*
                ) -> Result<$result, Failure> {
                    match Driver::new(self, env).run($operation, &[])? {
                        $output => Ok($value),
                        _ => Err(another_operation()),
                    }
                }
            )*
        }
    };
}

methods! {
    /// Reads a blob's properties.
    head(key: &str, options: &HeadOptions) -> BlobInfo
        = Operation::Head { key: key.to_owned(), options: options.clone() } => Output::Head(info) => info;
    /// Deletes a blob. Returns whether it existed, if the service says.
    delete(key: &str, options: &DeleteOptions) -> Option<bool>
        = Operation::Delete { key: key.to_owned(), options: options.clone() } => Output::Delete(existed) => existed;
    /// Deletes several blobs: an outcome for each.
    delete_many(blobs: &[BlobRef], options: &DeleteManyOptions) -> Vec<Result<(), Failure>>
        = Operation::DeleteMany { blobs: blobs.to_vec(), options: options.clone() }
        => Output::DeleteMany(outcomes) => outcomes;
    /// Lists a page of blobs.
    list(options: &ListOptions) -> ListPage
        = Operation::List { options: options.clone() } => Output::List(page) => page;
    /// Lists a page of versions.
    list_versions(options: &ListOptions) -> VersionPage
        = Operation::ListVersions { options: options.clone() } => Output::ListVersions(page) => page;
    /// Copies a blob at the service.
    copy(source: &CopySource, to: &str, options: &CopyOptions) -> Written
        = Operation::Copy { source: source.clone(), to: to.to_owned(), options: options.clone() }
        => Output::Copy(written) => written;
    /// Makes a URL that permits one request. Sends nothing.
    presign(method: PresignedMethod, key: &str, options: &PresignOptions) -> Presigned
        = Operation::Presign { method, key: key.to_owned(), options: options.clone() }
        => Output::Presign(presigned) => presigned;
    /// Reads a blob's tags.
    tags(key: &str, options: &TagOptions) -> Vec<Pair>
        = Operation::GetTags { key: key.to_owned(), options: options.clone() } => Output::GetTags(tags) => tags;
    /// Replaces a blob's tags.
    set_tags(key: &str, tags: &[Pair], options: &TagOptions) -> ()
        = Operation::SetTags { key: key.to_owned(), tags: tags.to_vec(), options: options.clone() }
        => Output::SetTags => ();
    /// Begins a multipart upload.
    create_upload(key: &str, options: &PutOptions) -> String
        = Operation::CreateUpload { key: key.to_owned(), options: options.clone() } => Output::CreateUpload(id) => id;
    /// Makes a part of a stored blob.
    copy_part(key: &str, upload: &str, number: u32, source: &CopySource, options: &CopyPartOptions) -> Part
        = Operation::CopyPart {
            key: key.to_owned(),
            upload: upload.to_owned(),
            number,
            source: source.clone(),
            options: options.clone(),
        }
        => Output::CopyPart(part) => part;
    /// Lists a page of an upload's parts.
    list_parts(key: &str, upload: &str, options: &ListPartsOptions) -> PartPage
        = Operation::ListParts { key: key.to_owned(), upload: upload.to_owned(), options: options.clone() }
        => Output::ListParts(page) => page;
    /// Makes the blob of its parts.
    complete_upload(key: &str, upload: &str, parts: &[Part], options: &CompleteOptions) -> Written
        = Operation::CompleteUpload {
            key: key.to_owned(),
            upload: upload.to_owned(),
            parts: parts.to_vec(),
            options: options.clone(),
        }
        => Output::CompleteUpload(written) => written;
    /// Drops an upload and its parts.
    abort_upload(key: &str, upload: &str, options: &AbortOptions) -> ()
        = Operation::AbortUpload { key: key.to_owned(), upload: upload.to_owned(), options: options.clone() }
        => Output::AbortUpload => ();
    /// Lists a page of uploads.
    list_uploads(options: &ListUploadsOptions) -> UploadPage
        = Operation::ListUploads { options: options.clone() } => Output::ListUploads(page) => page;
    /// Creates a bucket.
    create_bucket(name: &str, options: &BucketOptions) -> ()
        = Operation::CreateBucket { name: name.to_owned(), options: options.clone() } => Output::CreateBucket => ();
    /// Deletes an empty bucket.
    delete_bucket(name: &str, options: &BucketOptions) -> ()
        = Operation::DeleteBucket { name: name.to_owned(), options: options.clone() } => Output::DeleteBucket => ();
    /// Returns whether a bucket exists.
    bucket_exists(name: &str, options: &BucketOptions) -> bool
        = Operation::BucketExists { name: name.to_owned(), options: options.clone() }
        => Output::BucketExists(exists) => exists;
    /// Lists a page of buckets.
    list_buckets(options: &ListBucketsOptions) -> BucketPage
        = Operation::ListBuckets { options: options.clone() } => Output::ListBuckets(page) => page;
}

impl<S: Service> Store<S> {
    /// Reads a blob, or a range of it, into memory.
    pub fn get<E: Transport + Clock>(&mut self, env: &mut E, key: &str, options: &GetOptions) -> Result<Blob, Failure> {
        Driver::new(self, env).get(key, options)
    }

    /// Begins to read a blob, or a range of it, whose body the caller reads.
    pub fn open_get<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &GetOptions,
    ) -> Result<Opened<E::Body>, Failure> {
        Driver::new(self, env).open_get(key, options)
    }

    /// Writes a blob from memory.
    pub fn put<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        body: &[u8],
        options: &PutOptions,
    ) -> Result<Written, Failure> {
        let mut options = options.clone();
        self.add_digests(body, &mut options.digests);
        let operation = Operation::Put { key: key.to_owned(), length: body.len() as u64, options };
        match Driver::new(self, env).run(operation, body)? {
            Output::Put(written) => Ok(written),
            _ => Err(another_operation()),
        }
    }

    /// Uploads a part from memory.
    pub fn upload_part<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        upload: &str,
        number: u32,
        body: &[u8],
        options: &PartOptions,
    ) -> Result<Part, Failure> {
        let mut options = options.clone();
        self.add_digests(body, &mut options.digests);
        let (key, upload, length) = (key.to_owned(), upload.to_owned(), body.len() as u64);
        let operation = Operation::UploadPart { key, upload, number, length, options };
        match Driver::new(self, env).run(operation, body)? {
            Output::UploadPart(part) => Ok(part),
            _ => Err(another_operation()),
        }
    }

    /// Begins to write a blob whose body, of this length, the caller writes.
    pub fn open_put<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        length: u64,
        options: &PutOptions,
    ) -> Result<Writer<E::Exchange, S>, Failure> {
        Writer::open(self, env, Operation::Put { key: key.to_owned(), length, options: options.clone() })
    }

    /// Begins to upload a part whose body, of this length, the caller writes.
    pub fn open_part<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        upload: &str,
        number: u32,
        length: u64,
        options: &PartOptions,
    ) -> Result<Writer<E::Exchange, S>, Failure> {
        let (key, upload) = (key.to_owned(), upload.to_owned());
        Writer::open(self, env, Operation::UploadPart { key, upload, number, length, options: options.clone() })
    }

    /// Computes the digests that the store wants of a body and that are not given.
    fn add_digests(&self, body: &[u8], digests: &mut Vec<Digest>) {
        for algorithm in self.wanted_digests() {
            if !body.is_empty() && !digests.iter().any(|digest| digest.algorithm == algorithm) {
                digests.push(Digest { algorithm, value: algorithm.digest(body) });
            }
        }
    }
}

/// The output is that of another operation, which the state machine rules out.
fn another_operation() -> Failure {
    Error::failure(Kind::Integrity, "the output is that of another operation")
}
