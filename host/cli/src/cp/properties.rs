//! The properties of a blob that is copied to another store: media type, metadata, and the attributes that are HTTP header fields.
//!
//! A property that the target does not accept is an error, or left out with `--drop-unsupported`.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sandbucket::{BlobInfo, Error, Upload};

use crate::failure::Failure;

/// Properties that a copy preserves.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Properties {
    content_type: Option<String>,
    metadata: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
}

impl Properties {
    /// Those of a blob. An attribute that is given for the write replaces the blob's.
    pub fn of(info: &BlobInfo, given: &[(String, String)]) -> Self {
        let is_header = |name: &str| matches!(name, "cache-control" | "expires") || name.starts_with("content-");
        let attributes = info.attributes.iter();
        let kept = attributes.filter(|(name, _)| is_header(name) && !given.iter().any(|(other, _)| other == name));
        Properties {
            content_type: info.content_type.clone(),
            metadata: info.metadata.clone(),
            attributes: kept.cloned().collect(),
        }
    }

    /// Adds them to an upload.
    pub fn add_to(&self, mut upload: Upload) -> Upload {
        if let Some(media_type) = &self.content_type {
            upload = upload.content_type(media_type);
        }
        upload = self.metadata.iter().fold(upload, |upload, (name, value)| upload.metadata(name, value));
        self.attributes.iter().fold(upload, |upload, (name, value)| upload.attribute(name, value))
    }

    /// The error of an upload with these properties, with advice if the target does not accept one of them.
    pub fn failure(&self, error: Error) -> Failure {
        let copied = subject(&error).is_some_and(|subject| {
            subject == "metadata" && !self.metadata.is_empty()
                || self.attributes.iter().any(|(name, _)| name == subject)
        });
        let failure = Failure::from(error);
        match copied {
            true => failure.with_hint("the target does not accept it: --drop-unsupported copies the blob without it"),
            false => failure,
        }
    }
}

/// What a target is known to accept.
#[derive(Debug)]
pub struct Accepted {
    /// Names of the attributes that its plugin documents.
    attributes: BTreeSet<String>,
    metadata: Mutex<Metadata>,
}

/// What a target is known to accept as metadata: no plugin documents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Metadata {
    /// All, as far as known.
    Any,
    /// Names that every service accepts: letters, digits and underscores, and no digit first.
    Portable,
    /// None.
    Nothing,
}

impl Accepted {
    /// By a plugin with these attributes.
    pub fn by(attributes: impl IntoIterator<Item = String>) -> Self {
        Accepted { attributes: attributes.into_iter().collect(), metadata: Mutex::new(Metadata::Any) }
    }

    /// Removes the properties that the target is known not to accept, and returns their names for people.
    pub fn drop_unsupported(&self, properties: &mut Properties) -> Vec<String> {
        let metadata = *self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = Vec::new();
        properties.attributes.retain(|(name, _)| {
            let kept = self.attributes.contains(name);
            if !kept {
                dropped.push(name.clone());
            }
            kept
        });
        properties.metadata.retain(|(name, _)| {
            let kept = metadata.accepts(name);
            if !kept {
                dropped.push(format!("metadata {name}"));
            }
            kept
        });
        dropped
    }

    /// Learns from the error of an upload with the properties `sent`. Returns whether the target is now known not to accept some of them,
    /// so that an upload without these may succeed.
    pub fn learn(&self, sent: &Properties, error: &Error) -> bool {
        if subject(error) != Some("metadata") {
            return false;
        }
        let known = if matches!(error, Error::Unsupported(_)) { Metadata::Nothing } else { Metadata::Portable };
        let mut metadata = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        // Another copy may have learned more meanwhile.
        *metadata = known.max(*metadata);
        sent.metadata.iter().any(|(name, _)| !known.accepts(name))
    }
}

impl Metadata {
    fn accepts(self, name: &str) -> bool {
        match self {
            Metadata::Any => true,
            Metadata::Portable => {
                !name.starts_with(|c: char| c.is_ascii_digit())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            }
            Metadata::Nothing => false,
        }
    }
}

/// The argument that the target does not accept, if nothing was sent.
fn subject(error: &Error) -> Option<&str> {
    match error {
        Error::InvalidArgument(failure) | Error::Unsupported(failure) if failure.attempts == 0 => {
            failure.subject.as_deref()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn info() -> BlobInfo {
        let mut info = BlobInfo::default();
        info.content_type = Some("text/plain".into());
        info.metadata = pairs(&[("a-b", "1"), ("c_d", "2"), ("1e", "3")]);
        info.attributes = pairs(&[("expires", "e"), ("content-language", "de"), ("storage-class", "GLACIER")]);
        info
    }

    fn fault(subject: &str, attempts: u32) -> Box<sandbucket::Failure> {
        let mut failure = Box::new(sandbucket::Failure::new("wrong"));
        failure.subject = Some(subject.to_owned());
        failure.attempts = attempts;
        failure
    }

    #[test]
    fn headers_and_metadata_are_preserved_unless_given() {
        let properties = Properties::of(&info(), &pairs(&[("content-language", "en")]));
        assert_eq!(properties.attributes, pairs(&[("expires", "e")]));
        assert_eq!((properties.content_type.as_deref(), properties.metadata.len()), (Some("text/plain"), 3));
    }

    #[test]
    fn attributes_that_the_plugin_does_not_document_are_dropped() {
        let accepted = Accepted::by(["content-language".to_owned(), "tags".to_owned()]);
        let mut properties = Properties::of(&info(), &[]);
        assert_eq!(accepted.drop_unsupported(&mut properties), ["expires"]);
        assert_eq!(properties.attributes, pairs(&[("content-language", "de")]));
        assert_eq!(properties.metadata.len(), 3);
    }

    #[test]
    fn metadata_that_is_not_portable_is_dropped_after_the_target_rejected_some() {
        let accepted = Accepted::by(["expires".to_owned(), "content-language".to_owned()]);
        let rejected = Error::InvalidArgument(fault("metadata", 0));
        let mut properties = Properties::of(&info(), &[]);
        assert!(accepted.learn(&properties, &rejected));
        assert_eq!(accepted.drop_unsupported(&mut properties), ["metadata a-b", "metadata 1e"]);
        assert_eq!(properties.metadata, pairs(&[("c_d", "2")]));
        // What is left is at fault: it is too long, say.
        assert!(!accepted.learn(&properties, &rejected));
        // A plugin that stores no metadata.
        assert!(accepted.learn(&properties, &Error::Unsupported(fault("metadata", 0))));
        assert_eq!(accepted.drop_unsupported(&mut properties), ["metadata c_d"]);
        assert!(!accepted.learn(&properties, &Error::Unsupported(fault("metadata", 0))));
    }

    #[test]
    fn errors_of_the_service_and_about_other_arguments_drop_nothing() {
        let accepted = Accepted::by([]);
        for error in [
            Error::InvalidArgument(fault("metadata", 1)),
            Error::InvalidArgument(fault("key", 0)),
            Error::Service(fault("metadata", 0)),
        ] {
            assert!(!accepted.learn(&Properties::of(&info(), &[]), &error), "{error:?}");
        }
    }

    #[test]
    fn error_about_a_copied_property_has_advice() {
        let hint = |error| Properties::of(&info(), &[]).failure(error).hint.unwrap_or_default();
        for copied in ["expires", "metadata"] {
            assert!(hint(Error::Unsupported(fault(copied, 0))).contains("--drop-unsupported"), "{copied}");
        }
        assert!(!hint(Error::Unsupported(fault("tags", 0))).contains("--drop-unsupported"));
    }
}
