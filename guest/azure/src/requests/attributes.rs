//! Headers of a call's attributes and of the store's defaults. The call's take precedence.

use sandbucket_plugin::attributes::{AttributeGroups, accepted, find};
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::CallOptions;
use sandbucket_plugin::http::request::Request;

use crate::attributes::{TABLE, push};
use crate::settings::Settings;

/// Adds the headers of the call's attributes, and of the store's defaults that the operation accepts.
///
/// # Errors
/// Those of [`accepted`], or a fault of an attribute that is malformed.
pub(super) fn apply(
    request: &mut Request,
    call: &CallOptions,
    settings: &Settings,
    accepts: AttributeGroups,
) -> Result<(), Failure> {
    for given in accepted(&TABLE, call, accepts) {
        let (attribute, value) = given?;
        push(request, attribute, value)?;
    }
    for (name, value) in &settings.defaults {
        let known = find(&TABLE, name, accepts);
        if let Some(attribute) = known.filter(|known| !call.attributes.iter().any(|(given, _)| given == known.name)) {
            push(request, attribute, value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::groups;
    use crate::requests::tests::settings;
    use sandbucket_plugin::contract::error::Kind;
    use sandbucket_plugin::http::request::Method;

    fn applied(
        accepts: AttributeGroups,
        given: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Result<Vec<String>, Failure> {
        let mut request = Request::new(Method::Put, true, "h", "/");
        let attributes = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        apply(&mut request, &CallOptions { attributes, ..CallOptions::default() }, &settings(more), accepts)?;
        Ok(request.headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect())
    }

    #[test]
    fn attributes_become_headers_and_override_settings() {
        let defaults = [("access-tier", "Cool"), ("encryption-scope", "s")];
        let given = [("cache-control", "no-store"), ("access-tier", "Hot"), ("write-id", "w-1")];
        assert_eq!(
            applied(groups::WRITES, &given, &defaults).unwrap(),
            [
                "x-ms-blob-cache-control: no-store",
                "x-ms-access-tier: Hot",
                "x-ms-meta-sandbucket_write_id: w-1",
                "x-ms-encryption-scope: s"
            ]
        );
        // A block takes the scope alone.
        assert_eq!(applied(groups::SCOPE, &[], &defaults).unwrap(), ["x-ms-encryption-scope: s"]);
    }

    #[test]
    fn unknown_repeated_and_malformed_attributes_are_rejected() {
        let kind = |given: &[(&str, &str)]| {
            let fault = applied(groups::WRITES.union(groups::CHECKSUM), given, &[]).unwrap_err();
            (fault.kind, fault.subject.unwrap())
        };
        assert_eq!(kind(&[("acl", "x")]), (Kind::Unsupported, "acl".to_owned()));
        assert_eq!(kind(&[("delete-snapshots", "include")]), (Kind::Unsupported, "delete-snapshots".to_owned()));
        assert_eq!(kind(&[("tags", "a=b"), ("tags", "a=b")]), (Kind::InvalidArgument, "tags".to_owned()));
        for (name, value) in [
            ("access-tier", ""),
            ("cache-control", "a\nb"),
            ("content-md5", "AAAA"),
            ("write-id", "a b"),
            ("write-id", ""),
        ] {
            assert_eq!(kind(&[(name, value)]), (Kind::InvalidArgument, name.to_owned()));
        }
        let fault = applied(groups::SNAPSHOTS, &[("delete-snapshots", "all")], &[]).unwrap_err();
        assert!(fault.message.contains("include or only"), "{fault}");
        assert_eq!(
            applied(groups::SNAPSHOTS, &[("delete-snapshots", "only")], &[]).unwrap(),
            ["x-ms-delete-snapshots: only"]
        );
    }
}
