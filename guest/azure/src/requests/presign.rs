//! Presigned requests: URLs with a shared access signature of one blob.

use sandbucket_plugin::contract::error::{Error, Failure, Kind};
use sandbucket_plugin::contract::model::{CallOptions, PresignOptions, Presigned, PresignedMethod};
use sandbucket_plugin::http::request::{Method, visible};
use sandbucket_plugin::http::time::LAST;
use sandbucket_plugin::presign::{presigned, push_header, validity};

use super::attributes::apply;
use super::{base, version};
use crate::attributes::groups;
use crate::sas::{Grant, OVERRIDES};
use crate::settings::{Credentials, Settings};

/// Maximum validity in seconds: ten years. Azure has no limit of its own.
pub const MAX_EXPIRES: u64 = 10 * 366 * 24 * 3600;

/// Headers that only the plugin sets.
const RESERVED_HEADERS: [&str; 1] = ["x-ms-blob-type"];

/// Makes a presigned request. `date` is the service's time in seconds since 1970.
///
/// A shared access signature covers the blob and the permissions, no headers: those in the result are to be sent, and the service
/// does not insist on them.
///
/// # Errors
/// [`Kind::Unsupported`] without an account's key.
pub fn presign(
    settings: &Settings,
    key: &str,
    method: PresignedMethod,
    options: &PresignOptions,
    date: u64,
) -> Result<Presigned, Failure> {
    let expires = validity(options, MAX_EXPIRES, "ten years")?;
    let Credentials::SharedKey { account, key: account_key } = &settings.credentials else {
        let mut fault = Error::fault("access-key", "there is no key to sign with: set account and access-key");
        fault.kind = Kind::Unsupported;
        return Err(fault);
    };
    let (method, mut permissions, accepts) = match method {
        PresignedMethod::Get => (Method::Get, "r", groups::NONE),
        PresignedMethod::Head => (Method::Head, "r", groups::NONE),
        PresignedMethod::Put => (Method::Put, "cw", groups::WRITES.union(groups::CHECKSUM)),
        PresignedMethod::Delete if options.version.is_some() => (Method::Delete, "x", groups::NONE),
        PresignedMethod::Delete => (Method::Delete, "d", groups::NONE),
    };
    let mut request = base(method, settings, key);
    version(&mut request, options.version.as_deref())?;
    let reads = matches!(method, Method::Get | Method::Head);
    let (mut call, mut overrides) = (CallOptions::default(), Vec::new());
    for (name, value) in &options.call.attributes {
        match OVERRIDES.iter().find(|(_, attribute)| reads && attribute == name) {
            Some(&(parameter, attribute)) => overrides.push((parameter, visible(attribute, value)?)),
            None => call.attributes.push((name.clone(), value.clone())),
        }
    }
    if method == Method::Put {
        request.header("x-ms-blob-type", "BlockBlob");
    }
    apply(&mut request, &call, settings, accepts)?;
    for header in &options.headers {
        push_header(&mut request, header, &RESERVED_HEADERS)?;
    }
    // Tags need a permission of their own.
    if method == Method::Put && request.headers.iter().any(|(name, _)| name == "x-ms-tags") {
        permissions = "cwt";
    }
    let grant = Grant {
        permissions,
        expires: date.saturating_add(expires).min(LAST),
        container: &settings.container,
        key,
        version: options.version.as_deref(),
        https_only: settings.endpoint.https,
        overrides,
    };
    request.query.extend(grant.parameters(account, account_key));
    Ok(presigned(request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::settings;

    fn options(attributes: &[(&str, &str)], headers: &[(&str, &str)]) -> PresignOptions {
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        PresignOptions {
            expires: 60_900_000_000,
            headers: owned(headers),
            call: CallOptions { attributes: owned(attributes), ..CallOptions::default() },
            ..PresignOptions::default()
        }
    }

    fn made(method: PresignedMethod, options: &PresignOptions) -> Result<Presigned, Failure> {
        presign(&settings(&[]), "a b", method, options, 1_700_000_000)
    }

    #[test]
    fn presigned_get_has_response_overrides_in_its_query() {
        let given = options(&[("response-content-type", "text/plain")], &[]);
        let presigned = made(PresignedMethod::Get, &given).unwrap();
        let url = "http://127.0.0.1:10000/devstoreaccount1/demo/a%20b?sv=2023-11-03&se=2023-11-14T22%3A14%3A20Z&sr=b&sp=r&\
                   rsct=text%2Fplain&sig=";
        assert!(presigned.url.starts_with(url), "{}", presigned.url);
        assert!(presigned.headers.is_empty());
        assert_eq!(made(PresignedMethod::Put, &given).unwrap_err().kind, Kind::Unsupported);
        let version = PresignOptions { version: Some("v".into()), ..options(&[], &[]) };
        let presigned = made(PresignedMethod::Delete, &version).unwrap();
        assert!(presigned.url.contains("?versionid=v&") && presigned.url.contains("&sr=bv&sp=x&"), "{}", presigned.url);
    }

    #[test]
    fn presigned_put_lists_the_headers_to_send() {
        let given = options(&[("cache-control", "no-store")], &[("content-type", "text/plain")]);
        let presigned = made(PresignedMethod::Put, &given).unwrap();
        let names: Vec<_> = presigned.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-ms-blob-type", "x-ms-blob-cache-control", "content-type"]);
        assert!(presigned.url.contains("&sp=cw&"), "{}", presigned.url);
    }

    #[test]
    fn presigned_put_with_tags_permits_to_set_them() {
        for given in [options(&[("tags", "a=b")], &[]), options(&[], &[("x-ms-tags", "a=b")])] {
            let presigned = made(PresignedMethod::Put, &given).unwrap();
            assert!(presigned.headers.contains(&("x-ms-tags".to_owned(), "a=b".to_owned())));
            assert!(presigned.url.contains("&sp=cwt&"), "{}", presigned.url);
        }
    }

    #[test]
    fn only_an_account_key_presigns() {
        for store in [&[("access-key", "")][..], &[("access-key", ""), ("sas-token", "sp=r&sig=s")]] {
            let refused = presign(&settings(store), "k", PresignedMethod::Get, &options(&[], &[]), 0).unwrap_err();
            assert_eq!(refused.kind, Kind::Unsupported);
        }
    }

    #[test]
    fn validity_and_headers_of_presigned_requests_are_limited() {
        let at = |expires| made(PresignedMethod::Get, &PresignOptions { expires, ..PresignOptions::default() });
        assert!(at(1_000_000_000).is_ok() && at(MAX_EXPIRES * 1_000_000_000).is_ok());
        for wrong in [0, 999_999_999, (MAX_EXPIRES + 1) * 1_000_000_000, u64::MAX] {
            assert_eq!(at(wrong).unwrap_err().subject.as_deref(), Some("expires"));
        }
        for wrong in
            [("Content-Type", "a"), ("host", "a"), ("a b", "a"), ("", "a"), ("a", "x\ny"), ("x-ms-blob-type", "1")]
        {
            let refused = made(PresignedMethod::Put, &options(&[], &[wrong])).unwrap_err();
            assert_eq!((refused.kind, refused.subject.as_deref()), (Kind::InvalidArgument, Some("headers")));
        }
        assert!(made(PresignedMethod::Put, &options(&[], &[("a", "1"), ("a", "2")])).is_err());
    }
}
