//! The HTTP requests of the operations, before authorization.
//!
//! Arguments are validated here: an invalid one is an error before any request is sent.

mod attributes;
mod batch;
mod blob;
mod block;
mod container;
mod copy;
mod listing;
mod metadata;
mod presign;
mod tags;

use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::ReadConditions;
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::key::check_version;

use crate::headers::VERSION;
use crate::settings::{Credentials, Settings};
use crate::shared_key;

pub use batch::{DeleteEntry, MAX_BATCH, delete_many};
pub use blob::{delete, get, head, put};
pub use block::{MAX_BLOCK, block_list, commit, copy_part, create_upload, mark_aborted, upload_part};
pub use container::{container_exists, create_container, delete_container, first_blob, list_containers};
pub use copy::{Source, copy, head_source, read_source};
pub use listing::{list, list_uploads, list_versions};
pub use metadata::metadata;
pub use presign::{MAX_EXPIRES, presign};
pub use tags::{get_tags, set_tags};

/// Condition headers on the source of a copy.
const SOURCE_CONDITIONS: [&str; 4] = [
    "x-ms-source-if-match",
    "x-ms-source-if-none-match",
    "x-ms-source-if-modified-since",
    "x-ms-source-if-unmodified-since",
];

/// A request for the blob with this full key, or for the container if it is empty.
fn base(method: Method, settings: &Settings, key: &str) -> Request {
    let endpoint = &settings.endpoint;
    Request::new(method, endpoint.https, &endpoint.authority, endpoint.path(&settings.container, key))
}

/// Adds version and date of the service's protocol and what authorizes the request: a signature or the token. `date` is the
/// service's time in seconds since 1970, `body_length` that of the body.
pub fn authorize(request: &mut Request, settings: &Settings, body_length: u64, date: u64) {
    request.header("x-ms-version", VERSION);
    authorize_within(request, settings, body_length, date);
}

/// The same for a request within a batch, whose version is that of the batch.
fn authorize_within(request: &mut Request, settings: &Settings, body_length: u64, date: u64) {
    request.header("x-ms-date", sandbucket_plugin::http::time::http_date(date));
    match &settings.credentials {
        Credentials::SharedKey { account, key } => shared_key::sign(request, body_length, account, key),
        Credentials::Sas(token) => {
            for (name, value) in token.pairs() {
                request.parameter(name.to_owned(), value);
            }
        }
        Credentials::Anonymous => {}
    }
}

/// Adds conditions of a read, or on the source of a copy. An entity tag takes precedence over a date (RFC 9110, section 13.2.2); Azure
/// would have both hold.
fn read_conditions(request: &mut Request, given: &ReadConditions, names: [&'static str; 4]) -> Result<(), Failure> {
    let mut given = given.clone();
    if given.if_match.is_some() {
        given.if_unmodified_since = None;
    }
    if given.if_none_match.is_some() {
        given.if_modified_since = None;
    }
    request.read_conditions(&given, names)
}

/// Adds the version of a blob.
fn version(request: &mut Request, version: Option<&str>) -> Result<(), Failure> {
    if let Some(id) = version {
        check_version(id)?;
        request.parameter("versionid", id);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The key of Azurite's account, which its documentation publishes.
    pub(crate) const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Settings of a container on Azurite.
    pub(crate) fn settings(more: &[(&str, &str)]) -> Settings {
        let mut pairs =
            vec![("container", "demo"), ("endpoint", "http://127.0.0.1:10000/devstoreaccount1"), ("access-key", KEY)];
        pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        pairs.extend(more);
        crate::settings::tests::parse(&pairs).unwrap()
    }

    /// The header fields of a request as lines.
    pub(crate) fn lines(request: &Request) -> Vec<String> {
        request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn entity_tags_take_precedence_over_dates() {
        let sent = |given: &ReadConditions| {
            let mut request = base(Method::Get, &settings(&[]), "k");
            read_conditions(&mut request, given, SOURCE_CONDITIONS).unwrap();
            request.headers.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let (tag, date) = (Some("\"e\"".to_owned()), Some(0.into()));
        let matched = ReadConditions { if_match: tag.clone(), if_unmodified_since: date, ..ReadConditions::default() };
        assert_eq!(sent(&matched), ["x-ms-source-if-match"]);
        let unmatched = ReadConditions { if_none_match: tag, if_modified_since: date, ..ReadConditions::default() };
        assert_eq!(sent(&unmatched), ["x-ms-source-if-none-match"]);
        let both = ReadConditions { if_match: matched.if_match, if_modified_since: date, ..ReadConditions::default() };
        assert_eq!(sent(&both), ["x-ms-source-if-match", "x-ms-source-if-modified-since"]);
    }

    #[test]
    fn token_is_added_to_the_query_and_anonymous_requests_get_nothing() {
        let token = "?sv=2023-11-03&sp=r&sig=a%2Bb%3D";
        let store = settings(&[("access-key", ""), ("sas-token", token)]);
        let mut request = base(Method::Get, &store, "k");
        authorize(&mut request, &store, 0, 0);
        assert_eq!(request.path_and_query(), "/devstoreaccount1/demo/k?sv=2023-11-03&sp=r&sig=a%2Bb%3D");
        assert_eq!(lines(&request), ["x-ms-version: 2023-11-03", "x-ms-date: Thu, 01 Jan 1970 00:00:00 GMT"]);
        let store = settings(&[("access-key", "")]);
        let mut request = base(Method::Get, &store, "k");
        authorize(&mut request, &store, 0, 0);
        assert_eq!((request.query.len(), request.headers.len()), (0, 2));
    }
}
