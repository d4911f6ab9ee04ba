//! Conversions between the types of Sandbucket and of `object_store`.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use object_store::{Attribute, AttributeValue, Attributes, Error, GetRange, ObjectMeta, PutResult, Result, TagSet};
use sandbucket::{BlobInfo, ByteRange, Entry, Written};

/// The name of this store in errors.
const STORE: &str = "Sandbucket";

/// Attributes of `object_store` with an equivalent attribute of ours, by our name.
const NAMES: [(&str, Attribute); 5] = [
    ("cache-control", Attribute::CacheControl),
    ("content-disposition", Attribute::ContentDisposition),
    ("content-encoding", Attribute::ContentEncoding),
    ("content-language", Attribute::ContentLanguage),
    ("storage-class", Attribute::StorageClass),
];

/// Converts an error about this path.
pub(crate) fn error(path: &str, error: sandbucket::Error) -> Error {
    use sandbucket::Error as Ours;
    let path = path.to_owned();
    let status = error.failure().and_then(|failure| failure.response.as_ref()).map(|response| response.status);
    match &error {
        // A missing bucket must not look like a missing object.
        Ours::NotFound(_) if error.is_missing_bucket() => generic(error),
        Ours::NotFound(_) => Error::NotFound { path, source: error.into() },
        Ours::PreconditionFailed(_) => Error::Precondition { path, source: error.into() },
        Ours::NotModified(_) => Error::NotModified { path, source: error.into() },
        Ours::AccessDenied(_) if status == Some(401) => Error::Unauthenticated { path, source: error.into() },
        Ours::AccessDenied(_) => Error::PermissionDenied { path, source: error.into() },
        Ours::Unsupported(_) => Error::NotSupported { source: error.into() },
        _ => generic(error),
    }
}

/// An error of the generic variant.
pub(super) fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: STORE, source: source.into() }
}

/// An unsupported option.
pub(super) fn not_supported(why: impl Into<String>) -> Error {
    Error::NotSupported { source: why.into().into() }
}

/// Converts the failed condition of a create-only write to `AlreadyExists`.
pub(super) fn already_exists(error: Error, path: &Path) -> Error {
    match error {
        Error::Precondition { source, .. } | Error::NotModified { source, .. } => {
            Error::AlreadyExists { path: path.to_string(), source }
        }
        error => error,
    }
}

/// S3 reports a missing key as not found if there is nothing to match.
pub(super) fn absent_is_unmatched(error: Error) -> Error {
    match error {
        Error::NotFound { path, source } => Error::Precondition { path, source },
        error => error,
    }
}

pub(super) fn put_result(written: Written) -> PutResult {
    PutResult { e_tag: written.etag, version: written.version, extensions: Default::default() }
}

pub(super) fn range(range: GetRange) -> ByteRange {
    match range {
        GetRange::Bounded(range) => ByteRange::Within(range),
        GetRange::Offset(start) => ByteRange::From(start),
        GetRange::Suffix(count) => ByteRange::Last(count),
    }
}

/// The metadata of a blob at this path.
pub(crate) fn meta(location: Path, info: &BlobInfo) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: time(info.last_modified),
        size: info.size,
        e_tag: info.etag.clone(),
        version: info.version.clone(),
    }
}

/// Converts an entry of a listing. Its key must be a valid path.
pub(crate) fn listed(entry: Entry) -> Result<ObjectMeta> {
    Ok(ObjectMeta {
        location: Path::parse(&entry.key)?,
        last_modified: time(entry.last_modified),
        size: entry.size,
        e_tag: entry.etag,
        version: None,
    })
}

/// Converts a time; a missing one becomes 1970-01-01.
fn time(time: Option<SystemTime>) -> DateTime<Utc> {
    time.unwrap_or(SystemTime::UNIX_EPOCH).into()
}

/// The properties of a write.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub content_type: Option<String>,
    pub metadata: Vec<(String, String)>,
    pub attributes: Vec<(String, String)>,
}

impl Properties {
    /// Converts attributes and tags.
    pub(super) fn of(attributes: &Attributes, tags: &TagSet) -> Result<Self> {
        let mut properties = Properties::default();
        for (attribute, value) in attributes {
            let value = value.to_string();
            match attribute {
                Attribute::ContentType => properties.content_type = Some(value),
                Attribute::Metadata(name) => properties.metadata.push((name.to_string(), value)),
                known => match NAMES.iter().find(|(_, theirs)| theirs == known) {
                    Some((name, _)) => properties.attributes.push(((*name).to_owned(), value)),
                    None => return Err(not_supported(format!("there is no attribute {known:?} here"))),
                },
            }
        }
        if !tags.is_empty() {
            properties.attributes.push(("tags".to_owned(), tags.encoded().replace('+', "%20")));
        }
        Ok(properties)
    }
}

/// Applies properties to a request builder.
macro_rules! with_properties {
    ($call:expr, $properties:expr) => {{
        let properties = $properties;
        let mut call = $call;
        if let Some(media_type) = properties.content_type {
            call = call.content_type(media_type);
        }
        for (name, value) in properties.metadata {
            call = call.metadata(name, value);
        }
        for (name, value) in properties.attributes {
            call = call.attribute(name, value);
        }
        call
    }};
}
pub(super) use with_properties;

/// The attributes of a blob.
pub(crate) fn attributes(info: &BlobInfo) -> Attributes {
    let mut attributes = Attributes::new();
    if let Some(media_type) = &info.content_type {
        attributes.insert(Attribute::ContentType, media_type.clone().into());
    }
    for (name, value) in &info.attributes {
        if let Some((_, theirs)) = NAMES.iter().find(|(ours, _)| ours == name) {
            attributes.insert(theirs.clone(), AttributeValue::from(value.clone()));
        }
    }
    for (name, value) in &info.metadata {
        attributes.insert(Attribute::Metadata(name.clone().into()), value.clone().into());
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket::Failure;

    #[test]
    fn properties_round_trip() {
        let mut given = Attributes::new();
        for (attribute, value) in NAMES.iter().map(|(name, attribute)| (attribute.clone(), *name)) {
            given.insert(attribute, value.into());
        }
        given.insert(Attribute::ContentType, "text/plain".into());
        given.insert(Attribute::Metadata("a".into()), "1".into());
        let mut tags = TagSet::default();
        tags.push("a b", "é");
        let properties = Properties::of(&given, &tags).unwrap();
        assert!(properties.attributes.contains(&("tags".to_owned(), "a%20b=%C3%A9".to_owned())));
        let mut info = BlobInfo::default();
        info.content_type = properties.content_type;
        info.metadata = properties.metadata;
        info.attributes = properties.attributes;
        assert_eq!(attributes(&info), given);
    }

    #[test]
    fn errors_keep_their_kind_and_message() {
        let failure = || Box::new(Failure::new("what was tried, and where"));
        let theirs = |ours| error("a/b", ours);
        assert!(
            matches!(theirs(sandbucket::Error::NotFound(failure())), Error::NotFound { path, .. } if path == "a/b")
        );
        assert!(matches!(theirs(sandbucket::Error::PreconditionFailed(failure())), Error::Precondition { .. }));
        assert!(matches!(theirs(sandbucket::Error::NotModified(failure())), Error::NotModified { .. }));
        assert!(matches!(theirs(sandbucket::Error::AccessDenied(failure())), Error::PermissionDenied { .. }));
        assert!(matches!(theirs(sandbucket::Error::Unsupported(failure())), Error::NotSupported { .. }));
        let network = theirs(sandbucket::Error::Network(failure()));
        assert!(matches!(&network, Error::Generic { .. }));
        assert!(network.to_string().contains("what was tried, and where"), "{network}");
        let first = already_exists(theirs(sandbucket::Error::PreconditionFailed(failure())), &Path::from("to"));
        assert!(matches!(first, Error::AlreadyExists { path, .. } if path == "to"));
        let unmatched = absent_is_unmatched(theirs(sandbucket::Error::NotFound(failure())));
        assert!(matches!(unmatched, Error::Precondition { .. }));
    }
}
