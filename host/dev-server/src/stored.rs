//! A blob's file and its side files: properties and digests, in the format of `s3s-fs` 0.14, so that folders written by it
//! remain readable.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use bytes::Bytes;
use cap_std::fs::Dir;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::digests::hex;
use super::storage::{self, Storage};

/// Maximum size of a side file in bytes. S3 accepts 2 KiB of metadata and 8 KiB of headers.
const MAX_SIDE_FILE: u64 = 256 * 1024;
/// Read size of a file.
const CHUNK: usize = 64 * 1024;

/// The properties that a blob's writer sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website_redirect_location: Option<String>,
}

/// Extracts a blob's properties from an operation's input.
macro_rules! properties_of {
    ($input:expr) => {
        $crate::stored::Properties {
            user_metadata: $input.metadata.take(),
            content_encoding: $input.content_encoding.take(),
            content_type: $input.content_type.take(),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            expires: $crate::stored::expires($input.expires.take()),
            website_redirect_location: $input.website_redirect_location.take(),
        }
    };
}
pub(super) use properties_of;

/// The stored form.
pub(super) fn expires(at: Option<Timestamp>) -> Option<String> {
    let mut text = Vec::new();
    at?.format(TimestampFormat::DateTime, &mut text).ok()?;
    String::from_utf8(text).ok()
}

impl Properties {
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        Timestamp::parse(TimestampFormat::DateTime, self.expires.as_deref()?).ok()
    }
}

/// The digests of a blob's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Sums {
    /// Their MD5 in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_crc32: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_crc32c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_crc64nvme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_sha1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_sha256: Option<String>,
}

impl Sums {
    pub(crate) fn new(md5: String, checksum: Checksum) -> Self {
        Sums {
            e_tag: Some(md5),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
        }
    }
}

/// An existing blob and its open file.
#[derive(Debug)]
pub(super) struct Stored {
    pub file: File,
    pub size: u64,
    pub modified: Timestamp,
    pub properties: Properties,
    /// Always includes the MD5.
    pub sums: Sums,
    /// The MD5, unless the blob was uploaded in parts.
    pub e_tag: ETag,
}

impl Stored {
    /// Opens the blob with this file name.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no regular file of that name.
    pub(crate) fn open(storage: &Storage, folder: &Dir, bucket: &str, name: &str) -> io::Result<Stored> {
        let mut file = storage::open(folder, name)?;
        let metadata = file.metadata()?;
        let properties = side_file(storage, &properties_file(bucket, name)).unwrap_or_default();
        let mut sums: Sums = side_file(storage, &sums_file(bucket, name)).unwrap_or_default();
        let md5 = match sums.e_tag.take() {
            Some(md5) => md5,
            // A foreign file.
            None => md5_of(&mut file)?,
        };
        sums.e_tag = Some(md5.clone());
        let (size, modified) = (metadata.len(), Timestamp::from(metadata.modified()?));
        Ok(Stored { file, size, modified, properties, sums, e_tag: ETag::Strong(md5) })
    }

    /// The body from byte `start`, `length` bytes long.
    pub(crate) fn body(mut self, start: u64, length: u64) -> io::Result<StreamingBlob> {
        self.file.seek(SeekFrom::Start(start))?;
        let file = tokio::fs::File::from_std(self.file);
        Ok(StreamingBlob::wrap(futures::stream::try_unfold((file, length), |(mut file, left)| async move {
            if left == 0 {
                return Ok::<_, io::Error>(None);
            }
            let mut piece = vec![0; usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK))];
            let read = file.read(&mut piece).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            piece.truncate(read);
            Ok(Some((Bytes::from(piece), (file, left - read as u64))))
        })))
    }
}

/// Stores a blob's side files.
pub(super) fn keep(
    storage: &Storage,
    bucket: &str,
    name: &str,
    properties: &Properties,
    sums: &Sums,
) -> io::Result<()> {
    storage.write(storage.root(), &properties_file(bucket, name), &serde_json::to_vec(properties)?)?;
    storage.write(storage.root(), &sums_file(bucket, name), &serde_json::to_vec(sums)?)
}

fn side_file<T: for<'de> Deserialize<'de>>(storage: &Storage, name: &str) -> Option<T> {
    serde_json::from_slice(&storage::read(storage.root(), name, MAX_SIDE_FILE).ok()?).ok()
}

fn properties_file(bucket: &str, name: &str) -> String {
    format!("{}.metadata.json", side_file_of(bucket, name))
}

fn sums_file(bucket: &str, name: &str) -> String {
    format!("{}.internal.json", side_file_of(bucket, name))
}

fn side_file_of(bucket: &str, name: &str) -> String {
    let encoded = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    format!(".bucket-{}.object-{}", encoded(bucket), encoded(name))
}

/// The MD5 of a whole file, in hex.
fn md5_of(file: &mut File) -> io::Result<String> {
    let (mut sum, mut piece) = (Md5::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => sum.update(&piece[..read]),
        }
    }
    Ok(hex(&sum.finalize()))
}
