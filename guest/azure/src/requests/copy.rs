//! Server-side copies.
//!
//! A copy that keeps the source's properties is a Copy Blob: within an account the service makes it without moving bytes, whatever
//! its size. It always keeps the content headers; so a copy with properties of its own is a Put Blob From URL.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/copy-blob>,
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob-from-url>

use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::{CopyOptions, HeadOptions};
use sandbucket_plugin::http::encode;
use sandbucket_plugin::http::request::{Method, Request, visible};

use super::attributes::apply;
use super::{SOURCE_CONDITIONS, base, check_version, head, metadata, read_conditions};
use crate::attributes::{groups, kept_by_copies};
use crate::container;
use crate::sas::Grant;
use crate::settings::{Credentials, Settings};

/// How long the service may take to read a source, in seconds.
const SOURCE_VALIDITY: u64 = 3600;

/// Maximum length of a source's URL in bytes.
const MAX_URL: usize = 2048;

/// The source of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// Container. Default: the store's own.
    pub container: Option<&'a str>,
    /// Full key, including the prefix.
    pub key: &'a str,
    /// Version. Default: the current one.
    pub version: Option<&'a str>,
}

impl Source<'_> {
    fn container<'s>(&'s self, settings: &'s Settings) -> Result<&'s str, Failure> {
        match self.container {
            Some(name) => container::check("source", name).map(|()| name),
            None => Ok(&settings.container),
        }
    }
}

/// Copies a blob. `date` is the service's time in seconds since 1970.
pub fn copy(
    settings: &Settings,
    key: &str,
    from: Source<'_>,
    options: &CopyOptions,
    date: u64,
) -> Result<Request, Failure> {
    let mut request = base(Method::Put, settings, key);
    read_conditions(&mut request, &options.source_conditions, SOURCE_CONDITIONS)?;
    request.write_condition(&options.condition, true)?;
    let accepts = match &options.properties {
        Some(properties) => {
            request.header("x-ms-blob-type", "BlockBlob");
            request.header("x-ms-copy-source", read_source(settings, from, date)?);
            request.header("x-ms-copy-source-blob-properties", "false");
            if let Some(media_type) = &properties.content_type {
                request.header("x-ms-blob-content-type", visible("content-type", media_type)?);
            }
            metadata(&mut request, &properties.metadata)?;
            groups::WRITES
        }
        None => {
            if let Some(name) = kept_by_copies(&options.call.attributes) {
                let why = format!("{name} is kept as the source has it, unless the copy's properties are given anew");
                return Err(Error::fault(name, why));
            }
            // The account's key permits to read a source in the same account.
            request.header("x-ms-copy-source", url(settings, from)?);
            groups::STORED.union(groups::LEASE)
        }
    };
    apply(&mut request, &options.call, settings, accepts)?;
    Ok(request)
}

/// The URL of a source that the service reads as anybody would: authorized by a signature of its own, or by the store's token.
pub fn read_source(settings: &Settings, from: Source<'_>, date: u64) -> Result<String, Failure> {
    let Credentials::SharedKey { account, key } = &settings.credentials else { return url(settings, from) };
    let grant = Grant {
        permissions: "r",
        expires: date.saturating_add(SOURCE_VALIDITY),
        container: from.container(settings)?,
        key: from.key,
        version: from.version,
        https_only: settings.endpoint.https,
        overrides: Vec::new(),
    };
    let mut url = url(settings, from)?;
    for (name, value) in grant.parameters(account, key) {
        push_parameter(&mut url, &name, &value);
    }
    bounded(url)
}

/// The URL of a source, with the store's token if it has one.
fn url(settings: &Settings, from: Source<'_>) -> Result<String, Failure> {
    let mut url = settings.endpoint.url(from.container(settings)?, from.key);
    if let Some(version) = from.version {
        check_version(version)?;
        push_parameter(&mut url, "versionid", version);
    }
    if let Credentials::Sas(token) = &settings.credentials {
        for (name, value) in token.pairs() {
            push_parameter(&mut url, name, value);
        }
    }
    bounded(url)
}

fn push_parameter(url: &mut String, name: &str, value: &str) {
    let separator = if url.contains('?') { "&" } else { "?" };
    for piece in [separator, &encode::query(name), "=", &encode::query(value)] {
        url.push_str(piece);
    }
}

fn bounded(url: String) -> Result<String, Failure> {
    if url.len() > MAX_URL {
        let why =
            format!("the URL of the source has {} bytes, and Azure takes {MAX_URL}: its key is too long", url.len());
        return Err(Error::fault("source", why));
    }
    Ok(url)
}

/// HEAD of a source.
pub fn head_source(settings: &Settings, from: Source<'_>) -> Result<Request, Failure> {
    let options = HeadOptions { version: from.version.map(str::to_owned), ..HeadOptions::default() };
    let mut request = head(settings, from.key, &options)?;
    request.path = settings.endpoint.path(from.container(settings)?, from.key);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::{lines, settings};
    use sandbucket_plugin::contract::model::{CallOptions, Properties, ReadConditions, WriteCondition};

    const SOURCE: &str = "http://127.0.0.1:10000/devstoreaccount1/demo/a%20b/%C3%A9";

    fn made(more: &[(&str, &str)], options: &CopyOptions) -> Result<Vec<String>, Failure> {
        let from = Source { container: None, key: "a b/é", version: None };
        copy(&settings(more), "to", from, options, 0).map(|request| lines(&request))
    }

    fn call(attributes: &[(&str, &str)]) -> CallOptions {
        let attributes = attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        CallOptions { attributes, ..CallOptions::default() }
    }

    #[test]
    fn copy_keeps_the_properties_of_the_source() {
        let options = CopyOptions {
            source_conditions: ReadConditions { if_match: Some("\"s\"".into()), ..ReadConditions::default() },
            condition: WriteCondition::IfAbsent,
            call: call(&[("access-tier", "Cool")]),
            ..CopyOptions::default()
        };
        assert_eq!(
            made(&[], &options).unwrap(),
            [
                "x-ms-source-if-match: \"s\"".to_owned(),
                "if-none-match: *".into(),
                format!("x-ms-copy-source: {SOURCE}"),
                "x-ms-access-tier: Cool".into()
            ]
        );
        let fault = made(&[], &CopyOptions { call: call(&[("cache-control", "x")]), ..CopyOptions::default() });
        assert_eq!(fault.unwrap_err().subject.as_deref(), Some("cache-control"));
    }

    #[test]
    fn copy_with_properties_reads_its_source_by_a_signature() {
        let properties =
            Properties { content_type: Some("text/plain".into()), metadata: vec![("a".into(), "1".into())] };
        let options = CopyOptions {
            properties: Some(properties),
            call: call(&[("cache-control", "no-store")]),
            ..CopyOptions::default()
        };
        let made = made(&[], &options).unwrap();
        let signed = format!("x-ms-copy-source: {SOURCE}?sv=2023-11-03&se=1970-01-01T01%3A00%3A00Z&sr=b&sp=r&sig=");
        assert!(made[1].starts_with(&signed), "{made:?}");
        assert_eq!(
            (&made[..1], &made[2..]),
            (
                &["x-ms-blob-type: BlockBlob".to_owned()][..],
                &[
                    "x-ms-copy-source-blob-properties: false".to_owned(),
                    "x-ms-blob-content-type: text/plain".into(),
                    "x-ms-meta-a: 1".into(),
                    "x-ms-blob-cache-control: no-store".into()
                ][..]
            )
        );
    }

    #[test]
    fn source_has_the_token_of_the_store_and_its_version() {
        let store = settings(&[("access-key", ""), ("sas-token", "sp=r&sig=a%2Bb%3D")]);
        let from = Source { container: Some("other"), key: "k", version: Some("v:1") };
        let url = "http://127.0.0.1:10000/devstoreaccount1/other/k?versionid=v%3A1&sp=r&sig=a%2Bb%3D";
        assert_eq!(read_source(&store, from, 0).unwrap(), url);
        let wrong = Source { container: Some("No"), ..from };
        assert_eq!(read_source(&store, wrong, 0).unwrap_err().subject.as_deref(), Some("source"));
        let long = "é".repeat(1024);
        let fault = read_source(&store, Source { key: &long, ..from }, 0).unwrap_err();
        assert_eq!(fault.subject.as_deref(), Some("source"));
        assert_eq!(head_source(&store, from).unwrap().path_and_query(), "/devstoreaccount1/other/k?versionid=v%3A1");
    }
}
