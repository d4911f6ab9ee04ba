//! Side data of a blob besides properties and digests: ETag for listings, tags, storage class and declared encryption, in a
//! small file per blob beside the buckets.

use std::io;

use s3s::dto::{ETag, ServerSideEncryption, StorageClass};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::storage::{self, Storage};

/// Beside the buckets; the dot prevents it from being one.
const FOLDER: &str = ".extras";
/// Maximum size of a file in bytes: ten tags of 384 characters, each encoded by JSON at its longest, take a tenth of it.
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
        }
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
