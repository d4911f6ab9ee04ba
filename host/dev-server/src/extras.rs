//! Side data of a blob besides properties and digests: ETag for listings, tags, storage class, declared encryption and sizes of
//! parts, in a small file per blob beside the buckets.

use std::io;
use std::ops::Range;

use http::StatusCode;
use s3s::dto::{ETag, ServerSideEncryption, StorageClass};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::storage::{self, Storage};

/// Beside the buckets; the dot prevents it from being one.
const FOLDER: &str = ".extras";
/// Maximum size of a file in bytes: ten tags of 384 characters, each encoded by JSON at its longest, take a tenth of it, and the
/// sizes of 10,000 parts half of it.
const MAX_FILE: u64 = 256 * 1024;
/// S3's storage classes.
const CLASSES: [&str; 10] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
    "OUTPOSTS",
    "SNOW",
];
/// S3's values of `x-amz-server-side-encryption`.
const ENCRYPTIONS: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];
/// Maximum number of tags of a blob.
const MAX_TAGS: usize = 10;

/// The side data of one blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extras {
    /// Without quotes.
    pub etag: Option<String>,
    pub tags: Vec<(String, String)>,
    pub storage_class: Option<String>,
    pub encryption: Option<String>,
    pub kms_key: Option<String>,
    /// MD5 of the customer key, in base64. Nothing is encrypted here, but reading the blob requires the same key.
    pub customer_key: Option<String>,
    /// Sizes of the parts in bytes; none if the blob was not uploaded in parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<u64>,
}

/// Extracts the side data from an operation's input.
macro_rules! extras_of {
    ($input:expr) => {
        $crate::extras::Extras {
            etag: None,
            tags: $crate::extras::tags($input.tagging.take())?,
            storage_class: $crate::extras::class($input.storage_class.take())?,
            encryption: $input.server_side_encryption.take().map(|way| way.as_str().to_owned()),
            kms_key: $input.ssekms_key_id.take(),
            customer_key: $input.sse_customer_key_md5.take(),
            parts: Vec::new(),
        }
        .with_one_encryption()?
    };
}
pub(super) use extras_of;

impl Extras {
    pub(crate) fn load(storage: &Storage, bucket: &str, name: &str) -> Extras {
        let folder = storage.folder(&[FOLDER, bucket]);
        let read = folder.and_then(|folder| storage::read(&folder, name, MAX_FILE));
        read.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    pub(crate) fn save(&self, storage: &Storage, bucket: &str, name: &str) -> io::Result<()> {
        let folder = storage.make_folder(&[FOLDER, bucket])?;
        storage.write(&folder, name, &serde_json::to_vec(self)?)
    }

    pub(crate) fn remove(storage: &Storage, bucket: &str, name: &str) {
        // Not every blob has side data.
        let _ = storage.folder(&[FOLDER, bucket]).and_then(|folder| storage::remove(&folder, name));
    }

    pub(crate) fn etag(&self) -> Option<ETag> {
        self.etag.clone().map(ETag::Strong)
    }

    /// The storage class for a response: S3 omits the default one.
    pub(crate) fn reported_class(&self) -> Option<StorageClass> {
        self.storage_class.clone().filter(|class| class != "STANDARD").map(StorageClass::from)
    }

    pub(crate) fn reported_encryption(&self) -> Option<ServerSideEncryption> {
        self.encryption.clone().map(ServerSideEncryption::from)
    }

    /// Checks that the blob is to be encrypted one way, and that it is one of S3's.
    pub(crate) fn with_one_encryption(self) -> S3Result<Self> {
        let way = self.encryption.as_deref();
        if way.is_some_and(|way| !ENCRYPTIONS.contains(&way)) {
            return Err(s3_error!(InvalidArgument, "The encryption method specified is not supported"));
        }
        if way.is_some() && self.customer_key.is_some() {
            return Err(s3_error!(
                InvalidArgument,
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
            ));
        }
        if self.kms_key.is_some() && !way.is_some_and(|way| way.starts_with("aws:kms")) {
            return Err(s3_error!(
                InvalidArgument,
                "The key of AWS KMS is applicable only if the encryption method is aws:kms"
            ));
        }
        Ok(self)
    }

    /// The bytes of a part of the blob, which has this size. One that was not uploaded in parts has the part 1, itself.
    pub(crate) fn part(&self, number: i32, size: u64) -> S3Result<Range<u64>> {
        if number < 1 {
            return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
        }
        let before = usize::try_from(number - 1).unwrap_or(usize::MAX);
        match self.parts.get(before) {
            Some(length) => {
                let start = self.parts[..before].iter().sum::<u64>();
                // The file may be another one since.
                Ok(start.min(size)..start.saturating_add(*length).min(size))
            }
            None if self.parts.is_empty() && number == 1 => Ok(0..size),
            None => {
                let code = S3ErrorCode::Custom("InvalidPartNumber".into());
                let mut error = S3Error::with_message(code, "The requested partnumber is not satisfiable");
                error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
                Err(error)
            }
        }
    }

    /// The number of parts, if it was uploaded in parts.
    pub(crate) fn parts_count(&self) -> Option<i32> {
        i32::try_from(self.parts.len()).ok().filter(|count| *count > 0)
    }

    /// The number of tags, if there are any.
    pub(crate) fn tag_count(&self) -> Option<i32> {
        i32::try_from(self.tags.len()).ok().filter(|count| *count > 0)
    }

    /// Checks that the request of a part has the MD5 of the upload's customer key.
    pub(crate) fn takes_parts_with(&self, key: Option<&String>) -> S3Result<()> {
        if self.customer_key.as_ref() == key {
            return Ok(());
        }
        Err(s3_error!(
            InvalidRequest,
            "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate \
             encryption parameters."
        ))
    }

    /// Checks that a request has the MD5 of the blob's customer key.
    pub(crate) fn opens_for(&self, key: Option<&String>) -> S3Result<()> {
        match (&self.customer_key, key) {
            (None, None) => Ok(()),
            (Some(_), None) => Err(s3_error!(
                InvalidRequest,
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided \
                 to retrieve the object."
            )),
            (None, Some(_)) => {
                Err(s3_error!(InvalidRequest, "The encryption parameters are not applicable to this object."))
            }
            (Some(ours), Some(given)) if ours == given => Ok(()),
            _ => Err(s3_error!(AccessDenied, "Access Denied")),
        }
    }
}

/// Parses an `x-amz-tagging` header, which is a query.
pub(super) fn tags(header: Option<String>) -> S3Result<Vec<(String, String)>> {
    let tags: Vec<(String, String)> =
        url::form_urlencoded::parse(header.unwrap_or_default().as_bytes()).into_owned().collect();
    check_tags(&tags)?;
    Ok(tags)
}

pub(super) fn check_tags(tags: &[(String, String)]) -> S3Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(s3_error!(InvalidTag, "Object tags cannot be greater than 10"));
    }
    for (n, (name, value)) in tags.iter().enumerate() {
        let twice = tags[..n].iter().any(|(before, _)| before == name);
        if twice || !(1..=128).contains(&name.chars().count()) || value.chars().count() > 256 {
            return Err(s3_error!(InvalidTag, "The tag provided was not a valid tag."));
        }
    }
    Ok(())
}

pub(super) fn class(class: Option<StorageClass>) -> S3Result<Option<String>> {
    match class {
        Some(class) if !CLASSES.contains(&class.as_str()) => {
            Err(s3_error!(InvalidStorageClass, "The storage class you specified is not valid"))
        }
        class => Ok(class.map(|class| class.as_str().to_owned())),
    }
}
