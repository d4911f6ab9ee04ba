//! Multipart uploads in progress. They end with the server.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use cap_std::fs::Dir;
use s3s::dto::*;
use s3s::{S3Error, S3Result, s3_error};

use super::digests::{self, Expected};
use super::extras::Extras;
use super::list;
use super::storage::Storage;

/// Beside the buckets; the dot prevents it from being one.
const FOLDER: &str = ".uploads";
const MAX_PAGE: i32 = 1000;
/// Completed uploads that are remembered, for clients that did not get the response.
const MAX_COMPLETED: usize = 1000;

/// The uploads in one server's folder.
#[derive(Debug)]
pub(super) struct Uploads {
    storage: Storage,
    /// Minimum size of all parts but the last.
    min_part: u64,
    open: Mutex<HashMap<String, Upload>>,
    /// The last ones that were completed.
    completed: Mutex<VecDeque<Completed>>,
}

/// A completed upload.
#[derive(Debug)]
struct Completed {
    bucket: String,
    key: String,
    id: String,
    /// Without quotes.
    etag: String,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    initiated: SystemTime,
    begun: CreateMultipartUploadInput,
    extras: Extras,
    parts: BTreeMap<i32, Taken>,
    folder: Arc<Folder>,
}

/// The folder of an upload's parts, deleted on drop.
#[derive(Debug)]
pub(super) struct Folder {
    uploads: Dir,
    name: String,
    /// The parts: one file each, named by its number.
    pub parts: Dir,
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = self.uploads.remove_dir_all(&self.name);
    }
}

/// An accepted part.
#[derive(Clone, Debug)]
struct Taken {
    md5: String,
    size: u64,
    at: SystemTime,
    checksum: Checksum,
}

/// The parts of a blob to complete.
#[derive(Debug)]
pub(super) struct Assembly {
    pub begun: CreateMultipartUploadInput,
    pub initiated: SystemTime,
    /// With the entity tag.
    pub extras: Extras,
    /// The folder of its parts, and their files in order.
    pub folder: Arc<Folder>,
    pub files: Vec<String>,
}

impl Uploads {
    pub(crate) fn new(storage: Storage, min_part: u64) -> Self {
        // Leftovers of an earlier server.
        if storage.folder(&[FOLDER]).is_ok() {
            let _ = storage.root().remove_dir_all(FOLDER);
        }
        Uploads { storage, min_part, open: Mutex::default(), completed: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` on an upload of this key.
    fn with<T>(&self, bucket: &str, key: &str, id: &str, act: impl FnOnce(&mut Upload) -> S3Result<T>) -> S3Result<T> {
        let mut open = self.open();
        match open.get_mut(id).filter(|upload| upload.bucket == bucket && upload.key == key) {
            Some(upload) => act(upload),
            None => Err(unknown()),
        }
    }

    pub(crate) fn begin(&self, begun: CreateMultipartUploadInput, extras: Extras) -> io::Result<String> {
        // The standard library seeds its hashers randomly: an upload's id cannot be guessed.
        let random = || RandomState::new().hash_one(0);
        let id = format!("u{:016x}{:016x}", random(), random());
        let uploads = self.storage.make_folder(&[FOLDER])?;
        let parts = self.storage.make_folder(&[FOLDER, &id])?;
        let folder = Arc::new(Folder { uploads, name: id.clone(), parts });
        let upload = Upload {
            bucket: begun.bucket.clone(),
            key: begun.key.clone(),
            initiated: SystemTime::now(),
            begun,
            extras,
            parts: BTreeMap::new(),
            folder,
        };
        self.open().insert(id.clone(), upload);
        Ok(id)
    }

    /// Stores a part, and returns its ETag.
    pub(crate) async fn take(
        &self,
        (bucket, key, id): (&str, &str, &str),
        number: i32,
        body: Option<StreamingBlob>,
        expected: Expected,
        customer_key: Option<&String>,
    ) -> S3Result<ETag> {
        if !(1..=10_000).contains(&number) {
            let words = "Part number must be an integer between 1 and 10000, inclusive";
            return Err(s3_error!(InvalidArgument, "{}", words));
        }
        self.with(bucket, key, id, |upload| upload.extras.takes_parts_with(customer_key))?;
        let file = self.storage.temporary().map_err(S3Error::internal_error)?;
        let checksum = expected.checksum.clone();
        let (md5, size) = digests::write(body, expected, &file.file, |_| {}).await?;
        self.with(bucket, key, id, |upload| {
            file.keep(&upload.folder.parts, &number.to_string()).map_err(S3Error::internal_error)?;
            upload.parts.insert(number, Taken { md5: md5.clone(), size, at: SystemTime::now(), checksum });
            Ok(ETag::Strong(md5))
        })
    }

    pub(crate) fn parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let after: i32 = input.part_number_marker.unwrap_or(0);
        let limit = input.max_parts.unwrap_or(MAX_PAGE).clamp(0, MAX_PAGE);
        self.with(&input.bucket, &input.key, &input.upload_id, |upload| {
            let mut parts: Vec<Part> = upload.parts.range(after.saturating_add(1)..).map(to_part).collect();
            let is_truncated = parts.len() > usize::try_from(limit).unwrap_or(0);
            parts.truncate(usize::try_from(limit).unwrap_or(0));
            Ok(ListPartsOutput {
                bucket: Some(input.bucket.clone()),
                key: Some(input.key.clone()),
                upload_id: Some(input.upload_id.clone()),
                is_truncated: Some(is_truncated),
                max_parts: Some(limit),
                next_part_number_marker: parts.last().and_then(|part| part.part_number).filter(|_| is_truncated),
                part_number_marker: Some(after),
                parts: Some(parts),
                ..Default::default()
            })
        })
    }

    pub(crate) fn list(&self, input: ListMultipartUploadsInput) -> ListMultipartUploadsOutput {
        let prefix = input.prefix.as_deref().unwrap_or("");
        let limit = usize::try_from(input.max_uploads.unwrap_or(MAX_PAGE).clamp(0, MAX_PAGE)).unwrap_or(0);
        let mut found: Vec<(String, String, SystemTime)> = self
            .open()
            .iter()
            .filter(|(_, upload)| upload.bucket == input.bucket && upload.key.starts_with(prefix))
            .map(|(id, upload)| (upload.key.clone(), id.clone(), upload.initiated))
            .collect();
        found.sort();
        if let Some(key) = &input.key_marker {
            match input.upload_id_marker.as_ref().filter(|id| !id.is_empty()) {
                Some(id) => found.retain(|(there, its, _)| (there, its) > (key, id)),
                None => found.retain(|(there, _, _)| there > key),
            }
        }
        let is_truncated = found.len() > limit;
        found.truncate(limit);
        let by_url = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == "url");
        let last = found.last().filter(|_| is_truncated).cloned();
        let uploads = found.into_iter().map(|(key, id, initiated)| MultipartUpload {
            key: Some(list::response_key(key, by_url)),
            upload_id: Some(id),
            initiated: Some(Timestamp::from(initiated)),
            ..Default::default()
        });
        ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            is_truncated: Some(is_truncated),
            next_key_marker: last.as_ref().map(|(key, _, _)| list::response_key(key.clone(), by_url)),
            next_upload_id_marker: last.map(|(_, id, _)| id),
            key_marker: input.key_marker.map(|key| list::response_key(key, by_url)),
            upload_id_marker: input.upload_id_marker,
            prefix: input.prefix.map(|prefix| list::response_key(prefix, by_url)),
            encoding_type: input.encoding_type,
            bucket: Some(input.bucket),
            ..Default::default()
        }
    }

    /// Validates the parts of a completion, and returns them.
    pub(crate) fn assemble(
        &self,
        (bucket, key, id): (&str, &str, &str),
        parts: &[CompletedPart],
    ) -> S3Result<Assembly> {
        self.with(bucket, key, id, |upload| {
            if parts.is_empty() {
                return Err(s3_error!(MalformedXML, "You must specify at least one part"));
            }
            let (mut files, mut sizes, mut sums, mut last) = (Vec::new(), Vec::new(), Vec::new(), 0);
            for (n, part) in parts.iter().enumerate() {
                let number = part.part_number.unwrap_or(0);
                if number <= last {
                    return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
                }
                last = number;
                let taken = upload.parts.get(&number);
                let given = part.e_tag.as_ref().map(ETag::value);
                let Some(taken) = taken.filter(|taken| given == Some(taken.md5.as_str())) else {
                    let words = "One or more of the specified parts could not be found. The part may not have been \
                                 uploaded, or the specified entity tag may not match the part's entity tag.";
                    return Err(s3_error!(InvalidPart, "{}", words));
                };
                if n + 1 < parts.len() && taken.size < self.min_part {
                    let words = "Your proposed upload is smaller than the minimum allowed size";
                    return Err(s3_error!(EntityTooSmall, "{}", words));
                }
                files.push(number.to_string());
                sizes.push(taken.size);
                sums.extend((0..16).filter_map(|at| u8::from_str_radix(taken.md5.get(2 * at..2 * at + 2)?, 16).ok()));
            }
            let sum = <s3s::crypto::Md5 as s3s::crypto::Checksum>::checksum(&sums);
            Ok(Assembly {
                begun: upload.begun.clone(),
                initiated: upload.initiated,
                extras: Extras {
                    etag: Some(format!("{}-{}", digests::hex(&sum), parts.len())),
                    parts: sizes,
                    ..upload.extras.clone()
                },
                folder: upload.folder.clone(),
                files,
            })
        })
    }

    /// Deletes an upload and its parts, and remembers its entity tag.
    pub(crate) fn completed(&self, (bucket, key, id): (&str, &str, &str), etag: &str) -> S3Result<()> {
        self.end(bucket, key, id)?;
        let mut completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        if completed.len() == MAX_COMPLETED {
            completed.pop_front();
        }
        let [bucket, key, id, etag] = [bucket, key, id, etag].map(str::to_owned);
        completed.push_back(Completed { bucket, key, id, etag });
        Ok(())
    }

    /// The entity tag of a completed upload.
    pub(crate) fn completed_etag(&self, (bucket, key, id): (&str, &str, &str)) -> Option<ETag> {
        let completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        let found = completed.iter().find(|one| one.id == id && one.bucket == bucket && one.key == key);
        found.map(|one| ETag::Strong(one.etag.clone()))
    }

    /// Deletes an upload and its parts.
    pub(crate) fn end(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        self.with(bucket, key, id, |_| Ok(()))?;
        self.open().remove(id);
        Ok(())
    }
}

fn to_part((number, part): (&i32, &Taken)) -> Part {
    let checksum = part.checksum.clone();
    Part {
        part_number: Some(*number),
        size: i64::try_from(part.size).ok(),
        e_tag: Some(ETag::Strong(part.md5.clone())),
        last_modified: Some(Timestamp::from(part.at)),
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
    }
}

fn unknown() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
}
